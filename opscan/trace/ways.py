"""All ways a trace is to go where the way through hangs on values that had to be made up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace

from opscan.errors import TraceError
from opscan.trace.choices import FALSE, FALSE_FIRST, TRUE_FIRST, Way
from opscan.trace.glance import Place, places_in
from opscan.trace.graph import Trace

_MOST_OPS = 4_000
"""A longer step is not traced in combinations of ways, and the other way only if a glance shows ops that are new."""


def every_way(trace: Callable[..., Trace], glance: Callable[[Way], frozenset[Place]]) -> tuple[Trace, ...]:
    """The trace; where the way through hung on values that had to be made up, the other ways of Note [Several ways].

    `glance` says which ops another way runs from which lines; it may raise anything.
    """
    try:
        first = trace()
    except TraceError as error:
        try:
            return (trace(way=FALSE),)
        except TraceError:
            raise error from None
    if not first.inventions:
        return (first,)
    is_long = len(first.ops()) > _MOST_OPS
    if is_long and _is_alike(first, glance):
        return (replace(first, alike=(FALSE,)),)
    traces = [first]
    for way in (FALSE, TRUE_FIRST, FALSE_FIRST):
        if way != FALSE and (is_long or len(traces) < 2 or _places(traces) < 2):
            break
        with suppress(TraceError):
            traces.append(trace(way=way))
    return tuple(traces)


def _is_alike(first: Trace, glance: Callable[[Way], frozenset[Place]]) -> bool:
    with suppress(Exception):  # a way that fails is traced, which says why
        return glance(FALSE) <= places_in(first)
    return False


def _places(traces: Sequence[Trace]) -> int:
    return max(each.places for each in traces)
