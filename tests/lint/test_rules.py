"""Every rule, by the cases beside it."""

from __future__ import annotations

import ast
import re

import pytest

from opscan.lint.engine import Options
from opscan.lint.fix import apply_edits
from opscan.lint.prefilter import rules_for
from opscan.lint.rule import RULES, Pattern
from opscan.lint.words import Case, read_words
from tests.lint.run import findings_of

WORDS = read_words()
FLAG = [pytest.param(code, case, id=f"{code}: {case.why}") for code, words in WORDS.items() for case in words.flag]
MENDED = [each for each in FLAG if any(one.edits for one in findings_of(each.values[1].code, each.values[0]))]
OK = [pytest.param(code, case, id=f"{code}: {case.why}") for code, words in WORDS.items() for case in words.ok]


@pytest.mark.parametrize(("code", "case"), FLAG)
def test_what_a_rule_is_for_is_found_on_the_marked_lines(code: str, case: Case) -> None:
    assert case.lines, "a case that shows a mistake marks its lines"
    assert [each.line for each in findings_of(case.code, code)] == list(case.lines)


@pytest.mark.parametrize(("code", "case"), OK)
def test_what_is_no_mistake_is_left_alone(code: str, case: Case) -> None:
    assert not case.lines
    assert findings_of(case.code, code) == []


@pytest.mark.parametrize(("code", "case"), FLAG)
def test_the_prefilter_lets_every_mistake_through(code: str, case: Case) -> None:
    assert rules_for(case.code.encode(), [RULES[code]], is_notebook=False) == [RULES[code]]


@pytest.mark.parametrize("code", RULES)
def test_all_that_fits_a_pattern_begins_with_its_head(code: str) -> None:
    for each in (word for group in RULES[code].needs for word in group if isinstance(word, Pattern)):
        first = [(str(kind), value) for kind, value in re._parser.parse(each.text)][: len(each.head)]
        assert first == [("LITERAL", letter) for letter in each.head]


@pytest.mark.parametrize(("code", "case"), MENDED)
def test_what_is_mended_parses_and_is_no_longer_found(code: str, case: Case) -> None:
    found = findings_of(case.code, code)
    mendable = [each for each in found if each.edits]
    mended = apply_edits(case.code, [edit for each in mendable for edit in each.edits])
    ast.parse(mended)
    assert len(findings_of(mended, code)) == len(found) - len(mendable)


@pytest.mark.parametrize("code", WORDS)
def test_a_rule_says_why_and_shows_both_sides(code: str) -> None:
    words = WORDS[code]
    assert len(words.flag) >= 2
    assert len(words.ok) >= 2
    assert words.evidence
    assert len(words.reason) > 40


def test_options_can_be_sent_to_other_processes() -> None:
    import pickle

    options = Options(tuple(RULES.values()), (2, 6))
    assert pickle.loads(pickle.dumps(options)) == options
