"""Colours of a terminal."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from opscan.formats.text import printable_prose

Choice = Literal["auto", "always", "never"]
STYLES = {"head": "1", "bad": "1;31", "odd": "33", "good": "32", "dim": "2", "mark": "1;36"}
"""Select graphic rendition parameters. Source: ECMA-48, 8.3.117."""

VERDICT_STYLES = {
    "raises": "bad", "silent": "bad", "uninitialized": "bad", "switches": "odd", "config": "dim", "random": "dim",
    "unknown": "odd",
}  # fmt: skip

_OWN = re.compile("(\x1b\\[(?:" + "|".join(map(re.escape, {*STYLES.values(), "0"})) + ")m)")


@dataclass(frozen=True, slots=True)
class Paint:
    """Puts text in colours, or leaves it."""

    on: bool

    def text(self, words: str, style: str) -> str:
        """Words in one of STYLES; each line by itself, so that a pager may cut between them."""
        if not self.on or not words:
            return words
        return "\n".join(f"\x1b[{STYLES[style]}m{line}\x1b[0m" if line else "" for line in words.split("\n"))

    def verdict(self, word: str) -> str:
        """A verdict in its colour."""
        return self.text(word, VERDICT_STYLES.get(word, "head"))


def wants_colour(choice: Choice, is_terminal: bool, environment: Mapping[str, str] | None = None) -> bool:
    """Whether to print in colours: as asked; else not if NO_COLOR is set, else if FORCE_COLOR is, else on a terminal.

    Source: no-color.org and force-color.org: a variable that is set and not empty counts, whatever its value.
    """
    if choice != "auto":
        return choice == "always"
    variables = os.environ if environment is None else environment
    if variables.get("NO_COLOR"):
        return False
    if variables.get("FORCE_COLOR"):
        return True
    return is_terminal and variables.get("TERM") != "dumb"


def without_other_controls(text: str) -> str:
    """Painted text, of whose control characters only the colours of STYLES are left as they are."""
    parts = _OWN.split(text)  # every second one is a colour
    return "".join(part if at % 2 else printable_prose(part) for at, part in enumerate(parts))
