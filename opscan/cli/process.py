"""opscan as a process of its own: the streams it is given, and the signals that ask it to end."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any, NoReturn


class Ended(KeyboardInterrupt):
    """Somebody asked the process to end: by the signal of this number."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.status = 128 + number


def begin() -> None:
    """Make all descriptors of the streams open ones, and hear SIGTERM and SIGHUP as Ctrl-C is heard.

    A signal that is ignored, as nohup has it, stays ignored.
    """
    _open_streams()
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _end)


def close() -> None:
    """The exit status is settled: nothing that comes now changes it, or adds a word to what was said."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None:
            signal.signal(number, signal.SIG_IGN)


def _end(number: int, frame: Any) -> NoReturn:
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
