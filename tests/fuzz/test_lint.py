"""The linter does not crash on any input, and says the same of a program in other words."""

from __future__ import annotations

import ast
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.effort import effort
from tests.fuzz.rewritten import counts, is_comparable, reformatted, renamed
from tests.fuzz.sources import drawn, lint_whole, parsed, rule_examples


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
