"""A rule: a code, a level, words that must be in a file for it to say anything, and a function that judges a file."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from opscan.lint.finding import Hit, Level
from opscan.lint.module import Module

_HEAD = re.compile(rb"\w{3,}(?![?*{])")


class Pattern(NamedTuple):
    """A regular expression, compiled when it is first looked for, and the letters that all that fits begins with."""

    text: bytes
    head: bytes


Word = bytes | Pattern
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

    A pattern should begin with letters that stand for themselves, which are searched for fast, and has alternatives
    only in parentheses.
    """

    def declare(find: Find) -> Find:
        assert code not in RULES, f"{code} is declared twice"
        groups = tuple(tuple(_word(word) for word in group.split(" or ")) for group in needs)
        RULES[code] = Rule(code, name, level, groups, find)
        return find

    return declare


def _word(text: str) -> Word:
    if not text.startswith("~"):
        return text.encode()
    pattern = text[1:].encode()
    head = _HEAD.match(pattern)
    return Pattern(pattern, head.group() if head else b"")
