"""Changes that say the same of several places, together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from opscan.diffs.compare import Change, Kind, TargetDiff
from opscan.diffs.read import Spotted
from opscan.report.acceptance import place_names

SIGNS: dict[Kind, str] = {"added": "+", "removed": "-", "changed": "~"}
_NAMES = ("verdict", "default mode", "strict mode", "warn_only", "bits")


@dataclass(frozen=True, slots=True)
class Group:
    """Places that one op came to, left, or is judged otherwise at."""

    kind: Kind
    places: tuple[Spotted, ...]
    says: str

    @property
    def first(self) -> Spotted:
        """The first of its places: rule, op, phase and verdict are the same of all."""
        return self.places[0]

    @property
    def modules(self) -> str:
        """Where, in few words."""
        return place_names(each.module for each in self.places)


def groups_of(changes: Iterable[Change]) -> list[Group]:
    """What is added first, then what is judged otherwise, then what is removed; each in the order it was met."""
    found: dict[tuple[object, ...], list[Spotted]] = {}
    for change in changes:
        place = change.place
        key = (change.kind, place.rule, place.op, place.phase, place.behaviour, place.ranks, says(change))
        found.setdefault(key, []).append(place)
    order: list[Kind] = ["added", "changed", "removed"]
    return [
        Group(kind, tuple(places), str(key[-1])) for kind in order for key, places in found.items() if key[0] == kind
    ]


def says(change: Change) -> str:
    """What is otherwise about a place, and why what is added fails nothing: `verdict switches, now raises`."""
    old, new = change.old, change.new
    if new is not None and new.reason is not None:
        return f"waived: {new.reason}"
    if old is None or new is None:
        return ""
    pairs = [*zip(_NAMES, old.behaviour, new.behaviour, strict=True), ("ranks", _ranks(old), _ranks(new))]
    words = [f"{name}: {before}, now {after}" for name, before, after in pairs if before != after]
    return "; ".join(words + (["no longer waived"] if old.reason is not None else []))


def _ranks(place: Spotted) -> str:
    return "all" if place.ranks is None else ", ".join(map(str, place.ranks))


def counted(diffs: Iterable[TargetDiff]) -> dict[Kind, int]:
    """How many places there are of each kind of change."""
    counts: dict[Kind, int] = {"added": 0, "removed": 0, "changed": 0}
    for diff in diffs:
        for change in diff.changes:
            counts[change.kind] += 1
    return counts
