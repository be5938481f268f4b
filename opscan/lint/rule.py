"""A rule: a code, a level, words that must be in a file for it to say anything, and a function that judges a file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from opscan.lint.finding import Hit, Level
from opscan.lint.module import Module

Word = bytes | re.Pattern[bytes]
Find = Callable[[Module], Iterator[Hit]]


class Rule(NamedTuple):
    """`needs`: of each group at least one word or pattern is in every file the rule can say something about."""

    code: str
    name: str
    level: Level
    needs: tuple[tuple[Word, ...], ...]
    find: Find

    @property
    def group(self) -> str:
        """The file its words and cases are in: "settings"."""
        return self.find.__module__.rpartition(".")[2]


RULES: dict[str, Rule] = {}


def rule(code: str, name: str, level: Level, needs: Iterable[str]) -> Callable[[Find], Find]:
    """Declare a rule. `needs` are groups, as "manual_seed or ~torch\\.seed": words, and after ~ patterns.

    A pattern should begin with a letter or sign that stands for itself, which is searched for fast.
    """

    def declare(find: Find) -> Find:
        assert code not in RULES, f"{code} is declared twice"
        groups = tuple(tuple(_word(word) for word in group.split(" or ")) for group in needs)
        RULES[code] = Rule(code, name, level, groups, find)
        return find

    return declare


def _word(text: str) -> Word:
    return re.compile(text[1:].encode()) if text.startswith("~") else text.encode()
