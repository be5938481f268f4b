"""A finding by its places: those that are accepted, and the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from opscan.finding import Finding, Place
from opscan.remedies.suggest import with_remedies

T = TypeVar("T")


def split(finding: Finding, mark: Callable[[Place], T]) -> list[tuple[T, Finding]]:
    """The finding in parts whose places have equal marks, in the order of the places; one part is the finding itself.

    A part has the remedies of its own places; all else that was said of the whole is said of each.
    """
    parts: dict[T, list[Place]] = {}
    for place in finding.places:
        parts.setdefault(mark(place), []).append(place)
    if len(parts) < 2:
        return [(each, finding) for each in parts]
    marks = list(parts)
    pieces = [replace(finding, places=tuple(places)) for places in parts.values()]
    return list(zip(marks, with_remedies(pieces), strict=True))
