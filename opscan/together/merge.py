"""The reports of all ranks as one, which names the ranks wherever they differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from opscan.distributed.ranks import Message, World
from opscan.finding import Finding, Place
from opscan.report.report import Report


def merged_ranks(reports: Sequence[Report]) -> Report:
    """One report of the ranks' reports on the same target, by rank.

    A finding that all ranks have stands once, without ranks; of its places and replays the most telling count. What
    rank 0 ran and assumed stands for all; the others' assumptions are added.
    """
    first = reports[0]
    unknown: Counter[str] = Counter()
    for each in reports:
        unknown |= Counter(each.unknown)
    messages = first.world.messages if first.world else ()
    assumptions = dict.fromkeys(line for each in reports for line in each.assumptions)
    return replace(
        first,
        assumptions=(*assumptions, *_other_calls(reports)),
        forward_ops=max(each.forward_ops for each in reports),
        backward_ops=max(each.backward_ops for each in reports),
        unknown=dict(sorted(unknown.items())),
        findings=_findings(reports),
        world=World(len(reports), True, messages),
    )


def _findings(reports: Sequence[Report]) -> tuple[Finding, ...]:
    """Those of rank 0 in their order, then those that only others have; each once."""
    groups: dict[Finding, list[tuple[int, Finding]]] = {}
    for rank, report in enumerate(reports):
        for finding in report.findings:
            key = replace(finding, places=_without_counts(finding), replay=None, remedies=())
            groups.setdefault(key, []).append((rank, finding))
    found = []
    for same in groups.values():
        ranks = tuple(dict.fromkeys(rank for rank, _ in same))
        told = max((each for _, each in same), key=_differing)
        found.append(replace(told, ranks=None if len(ranks) == len(reports) else ranks))
    return tuple(found)


def _without_counts(finding: Finding) -> tuple[Place, ...]:
    return tuple(replace(place, count=0) for place in finding.places)


def _differing(finding: Finding) -> tuple[int, int]:
    return (finding.replay.differing if finding.replay else -1, finding.count)


def _other_calls(reports: Sequence[Report]) -> list[str]:
    """A line where ranks call other collectives than rank 0, or in another order."""
    called = [each.world.messages if each.world else () for each in reports]
    other = [rank for rank, messages in enumerate(called) if _plain(messages) != _plain(called[0])]
    if not other:
        return []
    return [f"rank {', '.join(map(str, other))} calls other collectives than rank 0, or in another order"]


def _plain(messages: Sequence[Message]) -> list[tuple[str, int, str, str, tuple[int, ...]]]:
    """What has to agree between ranks; groups bear different names on them, and shards may differ in size."""
    return [(each.op, each.size, each.reduces, each.dtype, each.order) for each in messages]
