"""Why a target was not traced, in one line that is the same on every machine and in every run."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

from opscan.errors import OpscanError

_LONGEST = 300
_ARGUMENTS = re.compile(r"\(.{60,}\) raised ", re.DOTALL)  # a configuration of a hundred values
_FOLDERS = re.compile(r"(?<![\w.])(?:/[\w.@+-]+)+/([\w.-]+)")
_ADDRESS = re.compile(r"\b0x[0-9a-f]{6,}\b")
_TRIED = re.compile(r"; tried \d+ shapes")  # as many as there was time for
_VARYING = re.compile(r"\d+|'[^']*'|`[^`]*`|\b(?!\w*Error\b)\w*[A-Z]\w*[a-z]\w*\b")


def reason_of(error: OpscanError) -> str:
    """An error in one line: what, and the first of the details that its hint goes into, which are indented there."""
    detail = next((line.strip() for line in error.hint.splitlines() if line.startswith("    ")), "")
    text = _ARGUMENTS.sub("(...) raised ", error.what)
    text = " ".join(f"{_TRIED.sub('', text)}{': ' * bool(detail)}{detail}".split())
    text = _FOLDERS.sub(r"\1", _ADDRESS.sub("0x...", text))
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def grouped(reasons: Iterable[str]) -> list[tuple[int, str]]:
    """Reasons with how often they occur, the most frequent first: alike are those that differ in numbers and names."""
    alike: dict[str, Counter[str]] = {}
    for reason in reasons:
        alike.setdefault(_kind(reason), Counter())[reason] += 1
    counted = [(each.total(), min(each)) for each in alike.values()]
    return sorted(counted, key=lambda each: (-each[0], each[1]))


def _kind(reason: str) -> str:
    """What is left of a reason without details, numbers, and names of classes."""
    _, raised, error = reason.partition(" raised ")
    what = error if raised else reason.partition(": ")[0] if reason.startswith("no input") else reason
    return _VARYING.sub("", re.sub(r"forward\([^()]*\)", "forward", what))
