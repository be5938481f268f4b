"""What changed from one set of reports to another, place by place."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from opscan.diffs.read import ReadReport, Spotted
from opscan.report.fingerprint import target_identity
from opscan.report.words import ALWAYS_SHOWN

Kind = Literal["added", "removed", "changed"]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Change:
    """One place that came, went, or is judged otherwise now."""

    kind: Kind
    old: Spotted | None
    new: Spotted | None

    @property
    def place(self) -> Spotted:
        """The place as it is now, or as it was last."""
        place = self.new or self.old
        assert place is not None
        return place

    @property
    def adds(self) -> bool:
        """Whether something varies or raises now that did not before, or was waived."""
        return self.new is not None and counts(self.new) and not (self.old is not None and counts(self.old))


def counts(place: Spotted, verdicts: Iterable[str] = ALWAYS_SHOWN) -> bool:
    """Whether a place is one that fails a check: by its verdict, if it is not waived and can vary."""
    return place.reason is None and place.verdict in verdicts and not place.is_harmless


@dataclass(frozen=True, slots=True)
class TargetDiff:
    """What changed for one target: None stands for a report that the other document does not have."""

    old: ReadReport | None
    new: ReadReport | None
    changes: tuple[Change, ...]

    @property
    def target(self) -> str:
        """Its name now, or what it was last."""
        report = self.new or self.old
        assert report is not None
        return report.target

    @property
    def new_ops(self) -> list[str]:
        """Ops that no rule speaks for, now and not before."""
        old = self.old.unknown if self.old else frozenset()
        return sorted(self.new.unknown - old) if self.new else []

    @property
    def is_for_other_environment(self) -> bool:
        """Whether the two reports are answers for different devices, versions or modes."""
        return self.old is not None and self.new is not None and self.old.environment != self.new.environment


def compare(old: Sequence[ReadReport], new: Sequence[ReadReport]) -> list[TargetDiff]:
    """One for each target of either document, in the order of the new one, then what is there no more.

    Targets are paired by their names, then by what the name is in its file, then the one left with the one left.
    """
    pairs, gone = paired(old, new, [lambda each: target_identity(each.target), _short_name])
    lonely = [each for each in pairs if each[0] is None]
    if len(lonely) == 1 and len(gone) == 1:
        pairs = [(gone[0], each) if before is None else (before, each) for before, each in pairs]
        gone = []
    diffs = [TargetDiff(before, after, tuple(_changes(before, after))) for before, after in pairs]
    return diffs + [TargetDiff(each, None, tuple(_changes(each, None))) for each in gone]


def _short_name(report: ReadReport) -> str:
    return report.target.partition("(")[0].rpartition(":")[2]


def paired(
    old: Sequence[T], new: Sequence[T], keys: Sequence[Callable[[T], Hashable]]
) -> tuple[list[tuple[T | None, T]], list[T]]:
    """Each new one with the old one that has the same first key, else the same second; and the old ones left over."""
    left = list(range(len(old)))
    found: dict[int, int] = {}
    for key in keys:
        by_key: dict[Hashable, list[int]] = {}
        for at in left:
            by_key.setdefault(key(old[at]), []).append(at)
        for at, each in enumerate(new):
            if at not in found and (candidates := by_key.get(key(each))):
                found[at] = candidates.pop(0)
        taken = set(found.values())
        left = [at for at in left if at not in taken]
    return [(old[found[at]] if at in found else None, each) for at, each in enumerate(new)], [old[at] for at in left]


def _changes(old: ReadReport | None, new: ReadReport | None) -> Iterable[Change]:
    """Ranks are compared where there are as many in both: those of another world are others."""
    pairs, gone = pair_places(old.places if old else (), new.places if new else ())
    same_world = old is not None and new is not None and old.world == new.world
    for before, after in pairs:
        if before is None:
            yield Change("added", None, after)
        elif (before.behaviour, before.reason) != (after.behaviour, after.reason) or (
            same_world and before.ranks != after.ranks
        ):
            yield Change("changed", before, after)
    yield from (Change("removed", each, None) for each in gone)


def pair_places(
    old: Sequence[Spotted], new: Sequence[Spotted]
) -> tuple[list[tuple[Spotted | None, Spotted]], list[Spotted]]:
    """Places by their fingerprints, then what is left by all but the text of the line: it may have been rewritten."""
    return paired(old, new, [lambda each: each.fingerprint, lambda each: each.kin])
