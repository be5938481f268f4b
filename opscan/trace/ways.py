"""All ways a trace is to go where the way through hangs on values that had to be made up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

from opscan.errors import TraceError
from opscan.trace.choices import FALSE, FALSE_FIRST, TRUE_FIRST
from opscan.trace.graph import Trace

_MOST_OPS = 4_000
"""A longer step is traced both ways, and not in combinations of ways."""


def every_way(trace: Callable[..., Trace]) -> tuple[Trace, ...]:
    """The trace; where the way through hung on values that had to be made up, the other ways of Note [Several ways]."""
    try:
        first = trace()
    except TraceError as error:
        try:
            return (trace(way=FALSE),)
        except TraceError:
            raise error from None
    traces = [first]
    for way in (FALSE, TRUE_FIRST, FALSE_FIRST) if first.inventions else ():
        if way != FALSE and (len(traces) < 2 or _places(traces) < 2 or len(first.ops()) > _MOST_OPS):
            break
        with suppress(TraceError):
            traces.append(trace(way=way))
    return tuple(traces)


def _places(traces: Sequence[Trace]) -> int:
    return max(each.places for each in traces)
