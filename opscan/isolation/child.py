"""The child that one call is made in: from the fork to its word, and to its end."""

from __future__ import annotations

import os
import pickle
import signal
import sys
from contextlib import suppress
from typing import Literal

from opscan.isolation.codec import prepare, to_data
from opscan.isolation.lastline import write_last_line
from opscan.isolation.limits import confine
from opscan.isolation.outcome import Limits, is_out_of_memory
from opscan.isolation.pipes import ClosedError, send
from opscan.isolation.terminal import NoTerminal
from opscan.isolation.told import Told, tell

Kind = Literal[b"value", b"error", b"no memory"]
"""What the first line of a child's word says that the rest is."""


def run(payload: bytes, limits: Limits, pipe: int, dump: int) -> None:
    """The child's whole life; never returns. A process that the function itself forks ends here without a word."""
    own = os.getpid()
    word: bytes | None = None
    try:
        confine(limits.memory_bytes)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        write_last_line(dump, limits.timeout_s)
        sys.stdin = NoTerminal()
        word = _word(payload)
    finally:
        if word is not None and os.getpid() == own:
            with suppress(ClosedError):
                send(pipe, word)
        os._exit(0 if word is not None else 1)


def _word(payload: bytes) -> bytes:
    """What came of a call, as data: what it returned, or what it raised."""
    try:
        function, arguments, kind = pickle.loads(payload)
        prepare(kind)
        return b"value\n" + to_data(function(*arguments), kind)
    except MemoryError:
        return b"no memory\n"
    except BaseException as error:
        if is_out_of_memory(error):
            return b"no memory\n"
        sys.setrecursionlimit(10_000)  # it may have been set to next to nothing
        return b"error\n" + to_data(tell(error), Told)
