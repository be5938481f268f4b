"""What to write instead, in words: drop-ins with the lines they are for, then what a rule says beside them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from opscan.finding import Finding, Remedy
from opscan.report.words import SAME_VALUES, short_line
from opscan.rules.dropins import DropIn
from opscan.rules.schema import Replacement

_GRADIENT = {"bitwise": "its gradient bit for bit", "rounding": "its gradient up to rounding"}
_FROM = "from opscan import replacements"


class Advice(NamedTuple):
    """A drop-in of a finding: what it gives, the import it needs, the lines with it, and where it cannot be written."""

    name: str
    gives: str
    imports: str
    lines: tuple[tuple[str, str], ...]
    obstacles: tuple[str, ...]


def advice_of(finding: Finding) -> list[Advice]:
    """One per drop-in and import, in the order of the places."""
    groups: dict[tuple[str, str], list[Remedy]] = {}
    for remedy in finding.remedies:
        groups.setdefault((remedy.name, remedy.imports or _FROM), []).append(remedy)
    return [
        Advice(
            f"{imports.rpartition(' ')[2]}.{name}",
            gives_words(remedies[0]),
            imports,
            tuple((short_line(each.line), each.after) for each in remedies if each.line and each.after),
            tuple(dict.fromkeys(_obstacle(each) for each in remedies if each.obstacle)),
        )
        for (name, imports), remedies in groups.items()
    ]


def gives_words(remedy: Remedy | DropIn) -> str:
    """`same values, bit for bit; its gradient up to rounding`, and what is different where anything is."""
    words = SAME_VALUES[remedy.values]
    if remedy.gradient != remedy.values:
        words += f"; {_GRADIENT.get(remedy.gradient, 'another gradient')}"
    return words + (f": {remedy.differs}" if remedy.differs else "")


def _obstacle(remedy: Remedy) -> str:
    return f"{short_line(remedy.line)}: {remedy.obstacle}" if remedy.line else remedy.obstacle


def other_ways(finding: Finding) -> Iterable[Replacement]:
    """What a rule says may be written instead; next to a drop-in with the same values only what gives others."""
    has_same = any(remedy.is_same_valued for remedy in finding.remedies)
    return [each for each in finding.replacements if not has_same or each.same_values == "different"]
