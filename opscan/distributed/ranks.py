"""What a report says of the ranks a step belongs to: how many, and the collectives between them. Without torch."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """Equal collectives of a step: the op, its process group and how many ranks that has, and what is sent.

    `reduces` is how values are combined, "" where they are not; `bytes` are those this rank puts in, over all `count`
    calls. `order` are the places of the calls in the order of all collectives, from 0. `depends_on_size` is whether
    another world size gives other bits, also where every run of one size gives the same.
    """

    op: str
    group: str
    size: int
    reduces: str
    dtype: str
    bytes: int
    count: int
    order: tuple[int, ...]
    depends_on_size: bool


@dataclass(frozen=True, slots=True)
class World:
    """The ranks a step belongs to. `real`: they all ran; otherwise one was traced and nothing was sent."""

    size: int
    real: bool
    messages: tuple[Message, ...] = ()


def rank_words(ranks: tuple[int, ...]) -> str:
    """`rank 2 alone`, `ranks 0, 2 alone`: who has what the others have not."""
    return f"{'rank' if len(ranks) == 1 else 'ranks'} {', '.join(map(str, ranks))} alone"


def size_words(size: int, real: bool) -> str:
    """`4 ranks, all ran`, `one of 64 ranks, traced`: whose step a report is about."""
    return f"{_ranks(size)}, all ran" if real else f"one of {_ranks(size)}, traced"


def world_words(world: World) -> str:
    """One line: how many ranks, and which collectives between them."""
    counts = Counter[str]()
    sent = Counter[str]()
    for each in world.messages:
        name = " ".join(filter(None, (_plain(each.op), each.reduces, each.dtype, f"over {each.size}")))
        counts[name] += each.count
        sent[name] += each.bytes
    listed = "; ".join(f"{count} x {name}, {_size(sent[name])}" for name, count in counts.items())
    how = "all ran" if world.real else "one traced, nothing sent"
    said = f"{_ranks(world.size)}, {how}. Collectives: {listed or 'none'}"
    if any(each.depends_on_size for each in world.messages):
        said += ". Another number of ranks gives other bits, whatever repeats from run to run"
    return said


def _ranks(size: int) -> str:
    return f"{size} rank" if size == 1 else f"{size} ranks"


def _plain(op: str) -> str:
    """The name of a collective without namespace and overload."""
    return op.partition(".")[2].rpartition(".")[0].strip("_")


def _size(count: int) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count //= 1024
    return f"{count} GiB"
