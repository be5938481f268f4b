"""The linter does not crash on any input, and says the same of a program in other words."""

from __future__ import annotations

import ast
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opscan.cli import main
from opscan.lint.engine import lint_source
from opscan.lint.fix import Mended, mend
from tests.fuzz.effort import effort
from tests.fuzz.rewritten import counts, is_comparable, reformatted, renamed
from tests.fuzz.sources import EVERY, drawn, lint_whole, parsed, rule_examples


@effort(200)
@given(st.integers(0, 2**64))
def test_no_input_raises(seed: int) -> None:
    lint_whole(*drawn(Random(seed)))


@pytest.mark.parametrize("rewrite", [reformatted, renamed])
def test_a_program_in_other_words_is_judged_alike(rewrite: Callable[[ast.Module], str]) -> None:
    for text in rule_examples():
        tree = parsed(text)
        if tree is not None and is_comparable(text):
            after = rewrite(tree)
            assert counts(after) == counts(text), f"{text}\n--\n{after}"


def notebook(*cells: str) -> bytes:
    return json.dumps({"cells": [{"cell_type": "code", "source": cell} for cell in cells]}).encode()


SEEDED = "import torch\ntorch.use_deterministic_algorithms()\n"


def test_a_broken_cell_is_left_out_by_the_lines_that_python_counts() -> None:
    result = lint_whole(notebook("a = 'x\u2028y'\n", "def (:\n", SEEDED), "x.ipynb")
    assert result.problem is not None
    assert [(each.cell, each.cell_line) for each in result.findings if each.code == "OPL103"] == [(3, 2)]


def test_a_broken_cell_does_not_keep_others_from_being_mended() -> None:
    data = notebook("def (:\n", "import torch as t\nt.use_deterministic_algorithms = True\n")
    result = lint_source(data, "x.ipynb", EVERY)
    mended = mend("x.ipynb", data, result.findings)
    assert isinstance(mended, Mended)
    assert [each.code for each in mended.applied] == ["OPL101"]


def test_what_the_compiler_warns_of_is_not_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.py").write_text('import torch\ntorch.manual_seed(0)\nx = "\\d"\n')
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert main(["lint", str(tmp_path / "x.py")]) == 0
    assert capsys.readouterr().err == ""
