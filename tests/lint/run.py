"""Shared: judge a piece of code with every rule, or with one."""

from __future__ import annotations

from opscan.lint.engine import Options, lint_source
from opscan.lint.finding import Finding
from opscan.lint.rule import RULES
from opscan.lint.rules import load_all

load_all()
SHOWN = tuple(rule for rule in RULES.values() if rule.level != "info")


def findings_of(code: str, *codes: str, file: str = "code.py", torch: tuple[int, ...] | None = None) -> list[Finding]:
    """What the rules say; by default those that are shown by default."""
    rules = tuple(RULES[each] for each in codes) or SHOWN
    result = lint_source(code.encode("utf-8"), file, Options(rules, torch))
    assert result.problem is None, result.problem
    return list(result.findings)


def codes_of(code: str, *codes: str) -> list[str]:
    return [each.code for each in findings_of(code, *codes)]
