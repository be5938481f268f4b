"""What every damaged input must do: give a value or an OpscanError that helps, and soon."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TypeVar

from opscan.errors import OpscanError

T = TypeVar("T")
LONGEST_S = 20.0
"""Of the processor's time; of a wait, which a loaded machine may make long, five times as much."""


class TooLongError(BaseException):
    """It did not end."""


@contextmanager
def ended(seconds: float = LONGEST_S) -> Iterator[None]:
    """Raise TooLongError in what does not end."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise TooLongError

    timers = {signal.SIGPROF: (signal.ITIMER_PROF, seconds), signal.SIGALRM: (signal.ITIMER_REAL, 5 * seconds)}
    before = {number: signal.signal(number, stop) for number in timers}
    try:
        for timer in timers.values():
            signal.setitimer(*timer)
        yield
    finally:
        for timer, _ in timers.values():
            signal.setitimer(timer, 0)
        for number, handler in before.items():
            signal.signal(number, handler)


def value_or_error(read: Callable[[], T]) -> T | OpscanError:
    """What reading gives: a value, or an OpscanError that says what, where and what to do next; nothing else."""
    with ended():
        try:
            return read()
        except OpscanError as error:
            said = error
    assert said.what, repr(said)
    assert said.where, repr(said)
    assert said.hint, repr(said)
    return said
