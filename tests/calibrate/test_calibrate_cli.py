"""`opscan rules calibrate`, and what it leaves for `opscan rules show`."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from opscan.calibrate.rows import read_record
from tests.conftest import Outcome, run_process

Run = Callable[..., Outcome]
OWN_ROW = """
[[rule]]
id = "MINE001"
title = "erf is said to raise"
ops = ["aten.erf"]
phase = "forward"
mechanism = "made up"
history = [{ device = ["cpu"], torch = ">=2", default = "nondeterministic", strict = "raises", alert = "e", why = "x" }]
evidence = [{ kind = "test", ref = "this" }]
"""
OWN_CASE = """
[[case]]
rule = "MINE001"
flag = true
name = "any input"
run = "torch.erf(x)"
inputs = { x = "3" }
device = "cpu"
verdict = "raises"
"""


@pytest.fixture
def calibrate(opscan: Run) -> Run:
    return lambda *words: opscan("rules", "calibrate", "--device", "cpu", "--samples", "0", "--replays", "2", *words)


def only_file(folder: Path) -> Path:
    (path,) = (folder / "rules" / "observed").iterdir()
    return path


def test_what_agrees_exits_zero_and_is_not_run_again(calibrate: Run, workplace: Path) -> None:
    outcome = calibrate("--only", "max_unpool")
    assert outcome.status == 0, outcome.out
    record = read_record(only_file(workplace))
    assert record.setup.kind == "cpu"
    assert {op.alert for row in record.rows.values() for op in row.ops} >= {"max_unpooling2d_forward_out"}
    assert "opscan: 0 run, " in calibrate("--only", "max_unpool").err


def test_a_row_that_is_wrong_exits_one_and_is_judged_anew_once_it_is_right(
    calibrate: Run, opscan: Run, workplace: Path
) -> None:
    own = workplace / "own"
    own.mkdir()
    (own / "mine.toml").write_text(OWN_ROW)
    (own / "mine.cases.toml").write_text(OWN_CASE)
    words = ("--rules", "own", "--only", "MINE001", "--out", "own/observed")
    outcome = calibrate(*words)
    assert outcome.status == 1
    assert "did not raise: aten.erf.default, forward" in outcome.out
    assert "predicted by MINE001: raises, alert e, bits: vary" in outcome.out
    (path,) = (own / "observed").iterdir()
    page = opscan("rules", "show", "MINE001", "--rules", "own").out
    assert "CONTRADICTED in 1: did not raise" in " ".join(page.split())
    document = json.loads(opscan("rules", "show", "MINE001", "--rules", "own", "--format", "json").out)
    assert "did not raise" in document["rules"][0]["observed"][0]
    right = workplace / "right"
    right.mkdir()
    (right / "mine.toml").write_text(OWN_ROW.replace('"cpu"', '"cuda"'))
    (right / "mine.cases.toml").write_text(OWN_CASE)
    judged = calibrate("--rules", "right", "--judge", str(path))
    assert (judged.status, "quiet" in judged.out) == (0, True)
    assert read_record(path).wrong == ()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--budget", "soon"), "is not a time"),
        (("--replays", "1"), "2 or more"),
        (("--only", "NOSUCHNAME"), "nothing has such a name"),
        (("--judge", "gone.json"), "no such file"),
    ],
)
def test_words_that_make_no_sense_are_named(calibrate: Run, words: tuple[str, ...], says: str) -> None:
    outcome = calibrate(*words)
    assert (outcome.status, outcome.out) == (2, "")
    assert says in outcome.err


def test_a_device_that_is_not_here_cannot_be_looked_at(opscan: Run) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is one")
    outcome = opscan("rules", "calibrate", "--device", "cuda")
    assert (outcome.status, "no CUDA device" in outcome.err) == (2, True)


def test_a_budget_that_is_spent_says_what_is_left(calibrate: Run) -> None:
    outcome = calibrate("--only", "OPS4", "--budget", "0s")
    assert outcome.status == 0
    assert "still to run" in outcome.err


@pytest.mark.slow
def test_pytorchs_own_samples_are_run(tmp_path: Path) -> None:
    """In a process of its own: PyTorch's test modules change the one they are imported into."""
    pytest.importorskip("expecttest")
    words = ("--device", "cpu", "--only", "*max_unpool2d", "--replays", "2", "--samples", "1")
    outcome = run_process(sys.executable, "-m", "opscan", "rules", "calibrate", *words, cwd=tmp_path)
    assert outcome.status == 0, outcome.err
    row = read_record(only_file(tmp_path)).rows["nn.functional.max_unpool2d"]
    assert row.ran["float32"] == 1
    assert {(op.alert, op.dtype) for op in row.ops} >= {("max_unpooling2d_forward_out", "float32")}


def test_without_them_the_cases_are_run_alone(opscan: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from opscan.calibrate import subjects

    def missing() -> None:
        raise ImportError("No module named 'expecttest'")

    monkeypatch.setattr(subjects, "_op_db", missing)
    outcome = opscan("rules", "calibrate", "--device", "cpu", "--only", "OPS409", "--replays", "2")
    assert outcome.status == 0, outcome.out
    assert "the cases alone: No module named 'expecttest'" in outcome.err
