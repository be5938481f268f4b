"""Whatever is typed after `opscan check`: a result or a complaint, and exit status 0, 1 or 2."""

from __future__ import annotations

import io
from collections.abc import Iterable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from random import Random
from unittest.mock import patch

import hypothesis
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

import opscan
from opscan.cli import main
from opscan.errors import InputError, OpscanError
from opscan.target.inputs import make_inputs, parse_init, parse_input
from opscan.target.load import load_object
from opscan.target.spec import parse_target
from tests.fuzz.bounded import ended, value_or_error
from tests.fuzz.effort import effort
from tests.fuzz.words import command, init_word, input_word, target

SEEDS = st.integers(0, 2**64)


@effort(200)
@given(SEEDS.map(lambda seed: target(Random(seed))))
@example("m:Net(" + "(" * 300 + ")" * 300 + ")")
@example("x" * 5000)
def test_any_target_is_read_or_refused(text: str) -> None:
    value_or_error(lambda: parse_target(text))


@effort(200)
@given(SEEDS.map(lambda seed: input_word(Random(seed))))
@example("99999999999x99999999999")
@example("int64:65536x65536x16")
@example("int64:2<" + "9" * 5000)
@example("0x99999999999999999999")
def test_any_input_is_read_as_it_is_written_or_refused(text: str) -> None:
    spec = value_or_error(lambda: parse_input(text))
    if isinstance(spec, InputError):
        return
    assert parse_input(str(spec)) == spec
    made = value_or_error(lambda: make_inputs([spec]))
    assert not isinstance(made, OpscanError) or "too large" in made.what


@effort(60)
@given(SEEDS.map(lambda seed: init_word(Random(seed))))
def test_any_constructor_argument_is_read_or_refused(text: str) -> None:
    value_or_error(lambda: parse_init([text]))


@pytest.mark.parametrize("path", ["loop.py", "\0.py", "x" * 5000 + ".py", "~nobody-of-this-name/x.py", "folder.py"])
def test_any_path_is_found_or_refused(path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop.py").symlink_to("loop.py")
    (tmp_path / "folder.py").mkdir()
    assert isinstance(value_or_error(lambda: load_object(parse_target(f"{path}:Net"))), OpscanError)


def status_of(words: Iterable[str]) -> int:
    """The exit status of the command line, in this process; what main takes for an error of opscan's own is raised."""
    out = io.StringIO()
    with patch.dict("os.environ", {"OPSCAN_DEBUG": "1"}), ended(60), redirect_stdout(out), redirect_stderr(out):
        try:
            return main(list(words))
        except SystemExit as leaving:  # argparse
            return leaving.code if isinstance(leaving.code, int) else 1


@effort(100)
@given(SEEDS.map(lambda seed: command(Random(seed))))
@example(["check", "--in-process", "tests.fuzz.zoo:refuses"])
@example(["check", "--in-process", "tests.fuzz.zoo:refuses.x"])
@example(["check", "--in-process", "tests.fuzz.zoo:Raises", "--trace-device", "cpu", "--input", "2"])
@example(
    [
        "check",
        "--in-process",
        "tests.fuzz.zoo:Net.forward",
        "--inputs",
        "tests.fuzz.zoo:make",
        "--loss",
        "cross_entropy",
    ]
)
@example(["check", "--in-process", "tests.fuzz.zoo:Net", "--input", "65536x65536x16", "--trace-device", "cpu"])
@example(["check", "--in-process", "tests.fuzz.zoo:Net", "--input", "y=2x3x8x8"])
def test_any_words_end_in_an_exit_status(words: list[str]) -> None:
    hypothesis.note(repr(words))
    assert status_of(words) in (0, 1, 2)


def test_what_the_forward_does_not_take_is_said_at_once() -> None:
    said = value_or_error(lambda: opscan.check("tests.fuzz.zoo:Words", {"idss": torch.zeros(2, 3, dtype=torch.int64)}))
    assert "the forward takes no 'idss'" in str(said)
    assert "Did you mean ids?" in str(said)
