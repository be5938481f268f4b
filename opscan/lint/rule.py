"""A rule: a code, a level, words that must be in a file for it to say anything, and a function that judges a file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from opscan.lint.finding import Hit, Level
from opscan.lint.module import Module

Find = Callable[[Module], Iterator[Hit]]


class Rule(NamedTuple):
    """`needs`: of each group of words at least one stands in every file the rule can say something about."""

    code: str
    name: str
    level: Level
    needs: tuple[tuple[bytes, ...], ...]
    pattern: re.Pattern[bytes] | None
    find: Find

    @property
    def group(self) -> str:
        """The file its words and cases are in: "settings"."""
        return self.find.__module__.rpartition(".")[2]


RULES: dict[str, Rule] = {}


def rule(code: str, name: str, level: Level, needs: Iterable[str], pattern: str = "") -> Callable[[Find], Find]:
    """Declare a rule. `needs` are groups of words, as "manual_seed|seed_everything"; `pattern` narrows them down."""

    def declare(find: Find) -> Find:
        assert code not in RULES, f"{code} is declared twice"
        groups = tuple(tuple(word.encode() for word in group.split("|")) for group in needs)
        compiled = re.compile(pattern.encode()) if pattern else None
        RULES[code] = Rule(code, name, level, groups, compiled, find)
        return find

    return declare
