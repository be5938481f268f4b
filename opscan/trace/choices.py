"""Which way a trace goes where the way hangs on values that it does not have.

# Note [Several ways]
A value that decides something and is not known is made up: ones and True, or zeros and False. One trace makes up the
one everywhere, a second one the other. Where more than one place asks, two more take turns: what stands behind
`if a and not b` is found by one of the four, for any two places that are asked one after the other. A place is a call
in the user's code. A loop that waits for such a value would never end: a place that has been asked as often as no loop
should is told the opposite for as long, and in the end the trace gives up. One call of a function that asks so often is
a loop; many calls that ask once each may be as many layers.
"""

from __future__ import annotations

import sys
from collections import Counter
from types import FrameType
from typing import Any, Literal

from opscan.trace.graph import Invention
from opscan.trace.provenance import look_out, place_of, users_frame

Way = Literal["as if true", "as if false", "by turns, true first", "by turns, false first"]
TRUE, FALSE, TRUE_FIRST, FALSE_FIRST = WAYS = (
    "as if true",
    "as if false",
    "by turns, true first",
    "by turns, false first",
)  # type: tuple[Way, Way, Way, Way]

PATIENCE = 64
"""How often one place, in one call of its function, is told the same before it is told the opposite."""

_PATIENCE_WITH_CALLS = 512  # over all calls of its function
_ENDLESS = 2048


class EndlessLoopError(RuntimeError):
    """A place asked so often for a made-up value that what asks will never be done."""


class Choices:
    """What one trace makes up: `made` has each value that was, in order."""

    def __init__(self, way: Way = TRUE) -> None:
        self.way = way
        self.made: list[Invention] = []
        self._asked = Counter[Any]()
        self._last_asked: dict[Any, tuple[FrameType | None, int]] = {}

    @property
    def places(self) -> int:
        """How many places have asked."""
        return len(self._asked)

    def opposite(self, op: Any) -> bool:
        """Note that a value has to be made up for an op, and say whether it is to be zeros and False."""
        frame = sys._getframe(1)
        called, _ = look_out(frame)
        self.made.append(Invention(str(op), called))
        place = place_of(frame)
        self._asked[place] += 1
        asked = self._asked[place]
        if asked > _ENDLESS:
            raise EndlessLoopError(
                f"{op} was asked {_ENDLESS} times in one place for values that a trace does not have"
            )
        turns = (self._asked_in_this_call(place, users_frame(frame)) - 1) // PATIENCE + (
            asked - 1
        ) // _PATIENCE_WITH_CALLS
        return self._starts_with_zeros(place) ^ bool(turns % 2)

    def _asked_in_this_call(self, place: Any, frame: FrameType | None) -> int:
        last, times = self._last_asked.get(place, (None, 0))
        times = times + 1 if last is frame else 1
        self._last_asked[place] = frame, times  # a frame that is held is no other one
        return times

    def _starts_with_zeros(self, place: Any) -> bool:
        if self.way in (TRUE, FALSE):
            return self.way == FALSE
        turn = list(self._asked).index(place) % 2
        return bool(turn) ^ (self.way == FALSE_FIRST)


class NoChoices(Choices):
    """Refuses to make anything up."""

    def opposite(self, op: Any) -> bool:
        """Raises RuntimeError."""
        raise RuntimeError(f"{op}: the values are not there while a model is built on meta")
