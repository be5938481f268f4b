"""opscan as a process of its own: the streams it is given, and the signals that ask it to end."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any, NoReturn

_HEEDED = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_heard: list[int] = []


class Ended(KeyboardInterrupt):
    """Somebody asked the process to end: by the signal of this number."""

    def __init__(self, number: int) -> None:
        super().__init__("interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}")
        self.status = 128 + number


def begin() -> None:
    """Make all descriptors of the streams open ones, and hear SIGTERM and SIGHUP as Ctrl-C is heard.

    A signal that is ignored, as nohup has it, stays ignored.
    """
    _open_streams()
    for number in _HEEDED:
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, _end)


def close() -> None:
    """The exit status is settled: nothing that comes now changes it, or adds a word to what was said."""
    for number in _HEEDED:
        signal.signal(number, signal.SIG_IGN)


def raise_if_heard() -> None:
    """Raise Ended if a signal came: an import that catches everything may have lost it."""
    if _heard:
        raise Ended(_heard[0])


def _end(number: int, frame: Any) -> NoReturn:
    _heard.append(number)
    raise Ended(number)


def _open_streams() -> None:
    """Put something behind stdin, stdout and stderr where they are closed.

    The next file that is opened would get the free number, and what some library prints would end up in it. A closed
    stdout is one that cannot be written to, so that this is told; a closed stderr takes all, and tells nobody.
    """
    for number, mode in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, mode), True)  # it gets the lowest number that is free: this one
    sys.stdin = sys.stdin or os.fdopen(0, closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
