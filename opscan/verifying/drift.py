"""The ranks of one run side by side: the first place where what is to be equal on several of them is not.

See Note [What is to be equal] in opscan.verifying.watch.replicas.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any, Literal, NamedTuple

from opscan.verifying.stream import Record

Stage = Literal["weights", "buffers", "steps", "gradient", "parameter"]
Parts = tuple[tuple[int, ...], ...]
"""Ranks that agree with one another, together."""

Name = tuple[int, str]
"""The number of an optimizer, -1 for none, and the name of a parameter."""

_LONGEST = 20_000
"""Records that one rank may have ahead of the others before they are no longer compared."""

_SEEDS = 20
"""Seeds that are kept of each rank, from the first on."""


@dataclass(frozen=True, slots=True)
class Drift:
    """Parameters, or buffers, that differ between ranks where they are to be equal, from a step on.

    `why` says what keeps them equal ("ddp", "dtensor", "by hand", ...), `ranks` where; `records` is what each rank told
    at that moment, `at` the place of the first name in it. At the stage "steps" ranks did not make the same steps, and
    the names are those of an optimizer.
    """

    stage: Stage
    step: int
    why: str
    ranks: tuple[int, ...]
    parts: Parts
    names: tuple[str, ...]
    at: int
    records: Mapping[int, Record]


@dataclass
class Ranks:
    """What came of comparing ranks: drifts in their order, what was compared, and what nobody keeps equal."""

    ranks: list[int] = field(default_factory=list)
    drifts: list[Drift] = field(default_factory=list)
    compared: set[Name] = field(default_factory=set)
    steps: int = 0
    shards: set[Name] = field(default_factory=set)
    unkept: set[Name] = field(default_factory=set)
    differing: set[Name] = field(default_factory=set)
    seeds: dict[int, list[Record]] = field(default_factory=dict)


class _Told(NamedTuple):
    """A record of one rank, and what is to be equal of the optimizer it is about."""

    record: Record
    copies: Record | None

    def values(self, key: str) -> Iterator[tuple[str, str, tuple[int, ...], Any]]:
        """Name, why and where it is to be equal, and what was recorded under a key."""
        assert self.copies is not None
        kinds = [(why, tuple(ranks)) for why, ranks in self.copies["kinds"]]
        for name, kind, value in zip(self.copies["names"], self.copies["of"], self._recorded(key), strict=False):
            yield (name, *kinds[kind], value)

    def _recorded(self, key: str) -> list[Any]:
        record = self.record
        if key != "g":
            return list(record.get(key, ()))
        other = set(record["ranks"]["other"])
        return [None if at in other else value for at, value in enumerate(record.get("g", ()))]


class RankComparison:
    """Compares the records of all ranks of one run."""

    def __init__(self) -> None:
        self.found = Ranks()
        self._queues: dict[tuple[Any, ...], dict[int, deque[_Told]]] = {}
        self._copies: dict[tuple[int, int], Record] = {}
        self._ended: dict[int, str] = {}
        self._joining = False
        self._drifted: set[Name] = set()

    def run(self, streams: Mapping[int, Iterable[Record]]) -> Ranks:
        """Read the records of all ranks, by rank, to their ends."""
        self.found.ranks = sorted(streams)
        for records in zip_longest(*(streams[rank] for rank in self.found.ranks)):
            for rank, record in zip(self.found.ranks, records, strict=True):
                if record is not None and not record.get("w"):
                    self._take(rank, record)
        self._rest()
        self.found.drifts.sort(key=lambda each: (each.step, _ORDER.index(each.stage)))
        return self.found

    def _take(self, rank: int, record: Record) -> None:
        kind, number = record["e"], record.get("o", 0)
        if kind == "copies":
            self._copies[rank, number] = record
        elif kind == "end":
            self._ended[rank] = record["status"]
        elif kind == "seed" and len(self.found.seeds.get(rank, ())) < _SEEDS:
            self.found.seeds.setdefault(rank, []).append(record)
        elif kind == "buffers":
            self._add(rank, ("buffers", record["n"]), _Told(record, None))
        elif (kind == "weights" and record["first"]) or (kind == "step" and "ranks" in record):
            self._joining |= kind == "step" and record["ranks"]["join"]
            self._add(rank, (kind, number), _Told(record, self._copies.get((rank, number))))

    def _add(self, rank: int, channel: tuple[Any, ...], told: _Told) -> None:
        queues = self._queues.setdefault(channel, {each: deque() for each in self.found.ranks})
        queues[rank].append(told)
        if all(queues.values()):
            self._compare(channel[0], {each: queue.popleft() for each, queue in queues.items()})
        elif len(queues[rank]) > _LONGEST:
            queues[rank].popleft()

    def _compare(self, kind: str, told: Mapping[int, _Told]) -> None:
        if kind == "buffers":
            self._compare_buffers(told)
        elif all(each.copies is not None for each in told.values()):
            if kind == "weights":
                self._compare_values("weights", "p", told)
            elif self._compare_passes(told):
                self.found.steps += 1
                self._compare_values("gradient", "g", told)
                self._compare_values("parameter", "p", told)

    def _compare_values(self, stage: Stage, key: str, told: Mapping[int, _Told]) -> None:
        """Each parameter on all ranks that are to have it alike; what has drifted once is not looked at again."""
        values: dict[tuple[Name, str, tuple[int, ...]], dict[int, Any]] = {}
        for rank, each in told.items():
            for text, why, ranks, value in each.values(key):
                name = (each.record["o"], text)
                if why == "sharded":
                    self.found.shards.add(name)
                elif name not in self._drifted:
                    values.setdefault((name, why, ranks), {})[rank] = value
        groups: dict[tuple[str, tuple[int, ...], Parts], list[str]] = {}
        for (name, why, ranks), by_rank in values.items():
            (self.found.compared if why else self.found.unkept).add(name)
            if len(by_rank) > 1 and len(set(by_rank.values())) > 1:
                if not why:
                    self.found.differing.add(name)
                    continue
                groups.setdefault((why, ranks, _parts(by_rank)), []).append(name[1])
        for (why, ranks, parts), names in groups.items():
            self._part(stage, told, why, ranks, parts, names)

    def _compare_buffers(self, told: Mapping[int, _Told]) -> None:
        groups: dict[tuple[tuple[int, ...], Parts], list[str]] = {}
        for ranks in dict.fromkeys(tuple(each.record["ranks"]) for each in told.values()):
            these = {rank: told[rank].record for rank in ranks if rank in told}
            for name in dict.fromkeys(name for each in these.values() for name in each["names"]):
                by_rank = {
                    rank: dict(zip(each["names"], each["d"], strict=True)).get(name) for rank, each in these.items()
                }
                if (-1, name) not in self._drifted and len(set(by_rank.values())) > 1:
                    groups.setdefault((ranks, _parts(by_rank)), []).append(name)
        for (ranks, parts), names in groups.items():
            self._part("buffers", told, "ddp", ranks, parts, names)

    def _compare_passes(self, told: Mapping[int, _Told]) -> bool:
        """Whether this step of an optimizer stands at the same place on all ranks: after as many backward passes."""
        by_rank = {rank: each.record["ranks"]["passes"] for rank, each in told.items()}
        first = next(iter(told.values()))
        assert first.copies is not None
        if len(set(by_rank.values())) == 1 or self._joining:
            return True
        self._steps_part(told, _parts(by_rank))
        return False

    def _steps_part(self, told: Mapping[int, _Told], parts: Parts) -> None:
        """Ranks made other steps: a drift of all parameters that are to be equal."""
        copies = next(each.copies for each in told.values() if each.copies is not None)
        kept = {kind: (why, tuple(ranks)) for kind, (why, ranks) in enumerate(copies["kinds"]) if why not in _ALONE}
        for kind, (why, ranks) in kept.items():
            names = [name for name, of in zip(copies["names"], copies["of"], strict=True) if of == kind]
            inside = [tuple(rank for rank in part if rank in ranks) for part in parts]
            inside = [part for part in inside if part]
            known = any((copies["o"], name) in self._drifted for name in names)
            if names and len(inside) > 1 and not known:
                self._part("steps", told, why, ranks, tuple(inside), names)

    def _part(
        self, stage: Stage, told: Mapping[int, _Told], why: str, ranks: tuple[int, ...], parts: Parts, names: list[str]
    ) -> None:
        number = next(iter(told.values())).record.get("o", -1)
        self._drifted.update((number, name) for name in names)
        records = {rank: told[rank].record for rank in ranks if rank in told}
        step = min((each["k"] for each in records.values()), default=0)
        listed = next((each.copies["names"] for each in told.values() if each.copies), names)
        self.found.drifts.append(Drift(stage, step, why, ranks, parts, tuple(names), listed.index(names[0]), records))

    def _rest(self) -> None:
        """Steps that only some ranks have, where all came to their own ends."""
        if self._joining or set(self._ended.values()) != {"ok"} or len(self._ended) < len(self.found.ranks):
            return
        for channel, queues in self._queues.items():
            ahead = {rank: queue[0] for rank, queue in queues.items() if queue}
            if channel[0] == "step" and ahead and all(each.copies is not None for each in ahead.values()):
                self._steps_part(ahead, (tuple(ahead), tuple(each for each in self.found.ranks if each not in ahead)))


_ORDER: Sequence[Stage] = ("weights", "buffers", "steps", "gradient", "parameter")
_ALONE = ("", "sharded")


def _parts(by_rank: Mapping[int, Any]) -> Parts:
    """The ranks that have the same, together; the largest part first."""
    found: dict[Any, list[int]] = {}
    for rank, value in by_rank.items():
        found.setdefault(value, []).append(rank)
    return tuple(tuple(part) for part in sorted(found.values(), key=lambda part: (-len(part), part)))
