"""From the traces of one rank's step to what a report says of its world."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from opscan.distributed.collectives import Collective, collectives_of
from opscan.distributed.ranks import Message, World
from opscan.trace.graph import Trace


def world_of(size: int, traces: Sequence[Trace], real: bool = False) -> World:
    """What the traces of one rank's step show of its world; of several ways the one with most collectives counts."""
    longest = max((collectives_of(trace.graph) for trace in traces), key=len, default=[])
    return World(size, real, tuple(_messages(longest)))


def _messages(collectives: Iterable[Collective]) -> Iterable[Message]:
    groups: dict[tuple[str, str, int, str, str], list[Collective]] = {}
    for each in collectives:
        dtype = str(each.dtype).removeprefix("torch.") if each.dtype is not None else ""
        groups.setdefault((each.op, each.group, each.size, each.reduces, dtype), []).append(each)
    for key, same in groups.items():
        sent = sum(each.size_bytes for each in same)
        yield Message(*key, sent, len(same), tuple(each.number for each in same), same[0].depends_on_size)
