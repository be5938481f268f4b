"""Two records side by side: what agrees is forgotten at once, and of what does not the first of each kind is kept.

Records are put into channels (the draws of one generator, the batches of one loader, ...), and each channel is compared
in its own order: a record of one kind more in one run leaves the others aligned. Memory is bounded by how far the two
runs are apart in their order, not by their length.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

from opscan.verifying.growth import Growth
from opscan.verifying.stream import Record

Channel = tuple[Any, ...]
_LONGEST = 20_000
"""Records that one run may have ahead of the other in a channel before the channel counts as parted."""

_COMPARED = {
    "seed": ("g", "v"),
    "draw": ("op", "n", "d"),
    "loader": ("workers", "batch", "sampler", "dataset", "size"),
    "index": ("d",),
    "batch": ("d",),
    "weights": ("names", "shapes", "p"),
    "value": ("name", "v"),
    "step": ("p", "g", "s"),
    "fetch": (),
}
_GROWING = ("value", "step", "weights")
OUTCOMES = ("weights", "loader", "index", "batch", "op", "value", "step")
"""What tells that runs parted; seeds and draws are what it may come from."""


@dataclass(frozen=True, slots=True)
class Parting:
    """The first place where a channel differs: both records, None where one run has none, and where it stands in A."""

    kind: str
    channel: Channel
    a: Record | None
    b: Record | None
    at: float
    step: int

    @property
    def any(self) -> Record:
        """The record of whichever run has one."""
        found = self.a or self.b
        assert found is not None
        return found


@dataclass
class Compared:
    """What came of it: the first parting of each channel, seeds, how far both runs came, and the growth."""

    partings: list[Parting] = field(default_factory=list)
    seeds: list[tuple[int, Record]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    ends: list[Record | None] = field(default_factory=lambda: [None, None])
    steps: list[int] = field(default_factory=lambda: [0, 0])
    loaders: dict[int, Record] = field(default_factory=dict)
    names: dict[int, list[str]] = field(default_factory=dict)
    growth: Growth = field(default_factory=Growth)

    @property
    def first(self) -> Parting | None:
        """The first parting in the order of the run itself; of workers and threads none counts here."""
        outcomes = [each for each in self.partings if each.kind in OUTCOMES and not each.any.get("w")]
        if any(self.counts.get(kind) for kind in OUTCOMES):
            return min(outcomes, key=_order, default=None)
        return min((each for each in self.partings if each.kind == "draw"), key=lambda each: each.at, default=None)


def _order(parting: Parting) -> tuple[bool, float]:
    """Weights before the first step come first of all: whatever was drawn before, they are what the run begins with."""
    return not (parting.kind == "weights" and parting.step == 0), parting.at


class Comparison:
    """Compares two streams of records as they come."""

    def __init__(self) -> None:
        self.found = Compared()
        self._queues: tuple[dict[Channel, deque[tuple[float, Record]]], ...] = ({}, {})
        self._parted: set[Channel] = set()
        self._sites: tuple[dict[int, list[str]], ...] = ({}, {})

    def run(self, one: Iterable[Record], other: Iterable[Record]) -> Compared:
        """Read both to their ends."""
        numbered: Iterator[tuple[Record | None, Record | None]] = zip_longest(one, other)
        for at, pair in enumerate(numbered):
            for side, record in enumerate(pair):
                if record is not None:
                    self._take(side, at, record)
        self._rest()
        return self.found

    def _take(self, side: int, at: int, record: Record) -> None:
        kind = record["e"]
        if not isinstance(record.get("k", 0), int) or not isinstance(record.get("ep", 0), int):
            raise TypeError("a step or an epoch is no number")
        if kind == "site":
            self._sites[side][record["i"]] = record["s"]
        elif kind == "end":
            self.found.ends[side] = record
        elif kind == "ops":
            self.found.counts["op"] = self.found.counts.get("op", 0) + (side == 0) * len(record["ops"])
            for offset, op in enumerate(record["ops"]):
                site = self._sites[side][op[0]]
                entry = {"e": "op", "k": record["k"], "site": site, "in": op[1], "out": op[2]}
                self._add(side, at + offset / len(record["ops"]), entry, ("op",))
        else:
            self._note(side, at, record)
            self._add(side, at, record, channel_of(record))

    def _note(self, side: int, at: int, record: Record) -> None:
        if side == 0:
            self.found.counts[record["e"]] = self.found.counts.get(record["e"], 0) + 1
            if record["e"] == "seed" and len(self.found.seeds) < 1000:
                self.found.seeds.append((at, record))
        if record["e"] == "loader":
            self.found.loaders[record["l"]] = record
        elif record["e"] == "weights":
            self.found.names[record["o"]] = record.get("names", [])
        if record["e"] in ("step", "value"):
            self.found.steps[side] = max(self.found.steps[side], record["k"] + (record["e"] == "step"))

    def _add(self, side: int, at: float, record: Record, channel: Channel) -> None:
        if channel in self._parted and record["e"] not in _GROWING:
            return
        mine, theirs = (queues.setdefault(channel, deque()) for queues in (self._queues[side], self._queues[1 - side]))
        if not theirs:
            mine.append((at, record))
            if len(mine) > _LONGEST and record["e"] not in _GROWING:
                self._part(channel, *((mine[0], None) if side == 0 else (None, mine[0])))
            return
        found = theirs.popleft()
        pair = ((at, record), found) if side == 0 else (found, (at, record))
        self._compare(channel, *pair)

    def _compare(self, channel: Channel, one: tuple[float, Record], other: tuple[float, Record]) -> None:
        a, b = one[1], other[1]
        self.found.growth.add(a, b)
        if not same(a, b):
            self._part(channel, one, other)

    def _part(self, channel: Channel, one: tuple[float, Record] | None, other: tuple[float, Record] | None) -> None:
        if channel in self._parted:
            return
        self._parted.add(channel)
        known = one or other
        assert known is not None
        record, at = known[1], known[0]
        a, b = one[1] if one else None, other[1] if other else None
        self.found.partings.append(Parting(record["e"], channel, a, b, at, record["k"]))
        if record["e"] not in _GROWING:
            for queues in self._queues:
                queues.pop(channel, None)

    def _rest(self) -> None:
        """What only one run has: a parting, unless the other was ended before it came to it."""
        for side, queues in enumerate(self._queues):
            other = self.found.ends[1 - side]
            if other is None or other["status"] not in ("ok", "stopped"):
                continue
            for channel, queue in list(queues.items()):
                if queue and not queue[0][1].get("w"):
                    self._part(channel, *((queue[0], None) if side == 0 else (None, queue[0])))


def channel_of(record: Record) -> Channel:
    """Which records are compared with this one."""
    who = record.get("w")
    match record["e"]:
        case "draw" | "seed":
            return record["e"], record["g"], who
        case "loader" | "index" | "batch":
            return record["e"], record["l"]
        case "value":
            return record["e"], record["name"], who
        case "weights":
            return record["e"], record["o"], record["first"]
        case "step":
            return record["e"], record.get("o", 0)
    return record["e"], who


def same(a: Record, b: Record) -> bool:
    """Whether two records of a channel agree in what is compared."""
    if a["e"] == "op":
        return bool(a["site"][:2] == b["site"][:2] and a["in"] == b["in"] and a["out"] == b["out"])
    return all(_equal(a.get(name), b.get(name)) for name in _COMPARED.get(a["e"], ()))


def _equal(one: Any, other: Any) -> bool:
    """As JSON has it: NaN is NaN, and a zero is not minus zero."""
    if isinstance(one, float) or isinstance(other, float):
        return repr(one) == repr(other)
    return bool(one == other)
