"""Where a process stood that hung or crashed: the line of the user's in what faulthandler writes of it."""

from __future__ import annotations

import faulthandler
import os
import re
from contextlib import suppress

from opscan.blame import nearest_line

_MOST_BYTES = 1 << 16
_FRAME = re.compile(r'^  File "(.*)", line (\d+) in ', re.MULTILINE)
_EARLIER_S, _EARLIER = 1.0, 0.05


def write_last_line(pipe: int, timeout_s: float) -> None:
    """Have this process write its stack into a pipe when it crashes, and just before its time is up."""
    faulthandler.enable(pipe, all_threads=False)
    with suppress(ValueError, OverflowError):  # so much time that no clock counts it
        faulthandler.dump_traceback_later(timeout_s - min(_EARLIER_S, timeout_s * _EARLIER), file=pipe)


def read_dump(pipe: int) -> str:
    """What is in the pipe of a process that is over, as far as anyone writes that much."""
    os.set_blocking(pipe, False)
    try:
        return os.read(pipe, _MOST_BYTES).decode("ascii", "backslashreplace")
    except BlockingIOError:
        return ""


def last_line(dump: str) -> str:
    """`file:line` of the innermost frame in the user's code of the main thread, which a dump has last; "" for none."""
    main = dump.rpartition("hread 0x")[2]
    return nearest_line((file, int(line)) for file, line in _FRAME.findall(main))
