"""Observed rows as data: what is written is what is read, one row per line, whole or not at all."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from opscan.calibrate.rows import (
    OpRow,
    Predicted,
    Record,
    Row,
    Setup,
    read_record,
    read_records,
    seen_of_rule,
    write_record,
)
from opscan.errors import RulesError
from opscan.finding import Replay
from opscan.report.rulepage import render_rule
from opscan.rules.load import builtin_rules_dir, load_rules
from tests.conftest import run_process

SETUP = Setup("NVIDIA H200", "cuda", "2.11.0", cuda="12.8", cudnn="91002", driver="570.1")
PREDICTED = (Predicted("OPS102", "switches", "vary", "deterministic"),)
VARIED = OpRow(
    "aten.a.default", "backward", None, Replay(20), Replay(20, 19, 20, 3, 2), PREDICTED, "agrees", dtype="float16"
)
ALERTED = OpRow("torch.f", "backward", "a_cuda", Replay(20), None, (), "raised, not predicted", inside="aten.b")
CASE = Row(
    "OPS102: z", "f(x)", {"x": "2x3"}, ("OPS102: z", "OPS103: y"), {}, {}, (VARIED, ALERTED), ("aten.add.Tensor",)
)
SAMPLE = Row("erf", "OpInfo erf", ran={"float32": 2}, failed={"float16": "RuntimeError: no"})


def record_of(*rows: Row) -> Record:
    record = Record(SETUP)
    for row in rows:
        record = record.with_row(row)
    return record


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.json"
    write_record(record_of(CASE, SAMPLE), path)
    assert read_record(path) == record_of(CASE, SAMPLE)
    assert list(path.parent.iterdir()) == [path]


def test_one_row_per_line_in_an_order_of_its_own(tmp_path: Path) -> None:
    one, other = tmp_path / "a.json", tmp_path / "b.json"
    write_record(record_of(SAMPLE, CASE), one)
    write_record(record_of(CASE, SAMPLE), other)
    text = one.read_text()
    assert text == other.read_text()
    lines = text.splitlines()
    assert [json.loads(line.rstrip(","))["name"] for line in lines[1:-1]] == ["OPS102: z", "erf"]
    assert json.loads(text)["driver"] == "570.1"


def test_a_row_takes_the_place_of_the_one_that_ran_the_same() -> None:
    renamed = replace(CASE, name="OPS101: a")
    assert list(record_of(CASE, renamed).rows) == ["OPS101: a"]
    other_inputs = replace(CASE, name="OPS101: a", inputs={"x": "2x4"})
    assert list(record_of(CASE, other_inputs).rows) == ["OPS102: z", "OPS101: a"]


@pytest.mark.parametrize(
    ("setup", "name"),
    [
        (SETUP, "nvidia-h200-torch-2.11.0.json"),
        (Setup("AMD EPYC", "cpu", "2.13.0", threads=2), "cpu-amd-epyc-2-threads-torch-2.13.0.json"),
        (Setup("Xeon(R) @ 2.2GHz", "cpu", "2.6.0", threads=16), "cpu-xeon-r-2-2ghz-16-threads-torch-2.6.0.json"),
    ],
)  # fmt: skip
def test_the_file_is_named_after_device_and_torch(setup: Setup, name: str) -> None:
    assert setup.file_name == name


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"schema": 2, "rows": []}', '{"schema": 1, "rows": [{"name": "x"}]}'],
    ids=["empty", "a list", "no schema", "another schema", "half a row"],
)
def test_a_file_that_is_none_of_ours_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(RulesError, match=r"x\.json: not a file of observed rows"):
        read_record(tmp_path / "x.json")


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.json"
    write_record(record_of(CASE), path)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_record(record_of(CASE, SAMPLE), path)
    assert read_record(path) == record_of(CASE)
    assert list(tmp_path.iterdir()) == [path]


def test_contradictions_stand_the_worst_first() -> None:
    worse = replace(VARIED, outcome="varied though it cannot")
    row = replace(CASE, ops=(VARIED, ALERTED, worse))
    assert [op.outcome for _, op in record_of(row).wrong] == ["varied though it cannot", "raised, not predicted"]


def test_the_page_of_a_rule_says_what_was_observed_of_it() -> None:
    rule = next(each for each in load_rules().rules if each.id == "OPS102")
    seen = seen_of_rule("OPS102", [record_of(CASE, SAMPLE)])
    assert seen == (
        "NVIDIA H200, torch 2.11.0: ran in 1 case or sample; default mode: 19 of 20 runs differ, 20 results,"
        " up to 3 ULP, in 1 of 1; strict mode: 20 runs, one result",
    )
    page = render_rule(rule, 80, seen)
    assert "19 of 20 runs differ" in " ".join(page.split())
    assert max(map(len, page.partition("observed (")[2].splitlines())) <= 80
    assert seen_of_rule("OPS103", [record_of(CASE)]) == ()
    assert "observed (" not in render_rule(rule, 80)


def test_a_contradiction_is_said_aloud() -> None:
    row = replace(CASE, ops=(replace(VARIED, outcome="varied in strict mode"),))
    assert "CONTRADICTED in 1: varied in strict mode" in seen_of_rule("OPS102", [record_of(row)])[0]


def test_reading_needs_no_torch(tmp_path: Path) -> None:
    code = (
        "import sys; from opscan.calibrate.rows import read_records; from pathlib import Path;"
        f"read_records(Path({str(builtin_rules_dir())!r})); print('torch' in sys.modules)"
    )
    assert run_process(sys.executable, "-c", code, cwd=tmp_path).out == "False\n"


def test_a_folder_without_observed_rows_has_none(tmp_path: Path) -> None:
    assert read_records(tmp_path) == ()
