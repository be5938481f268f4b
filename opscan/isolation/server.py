"""The process that imports once and forks a child for each call.

It runs no code of anyone's but what importing runs: requests are bytes to it, and read by the child. It has one thread,
so that forking is safe, and serves one call at a time. It ends, and its child with it, when the process it serves is
gone: the pipe it reads from is then at its end.
"""

from __future__ import annotations

import importlib
import os
import pickle
import select
import signal
import time
from contextlib import suppress
from typing import Any, NamedTuple

from opscan.cold import uncollected
from opscan.errors import OpscanError
from opscan.isolation.limits import adopt_orphans, confine, end
from opscan.isolation.outcome import Limits, is_out_of_memory
from opscan.isolation.pipes import ClosedError, Reader, send

_GLANCE_S = 0.02  # how long it takes at most to notice a child that ended without a word


class Call(NamedTuple):
    """A request: the pickled function and arguments, and the limits."""

    payload: bytes
    limits: Limits


class Answer(NamedTuple):
    """What became of the child: its pickled word, if it had one, how it ended, and what it took."""

    payload: bytes | None
    timed_out: bool
    status: int
    seconds: float
    peak_bytes: int


def serve(requests: int, answers: int) -> None:
    """Import what the first message names, say so, and then answer calls until the other end is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the one it serves decides when to stop
    adopt_orphans()
    reader = Reader(requests)
    with suppress(ClosedError):
        names = pickle.loads(reader.wait())
        with uncollected():  # a collection in a child would otherwise write to, and so copy, all that was imported
            for name in names:
                with suppress(Exception, SystemExit):  # each call meets the error again, and it is told there
                    importlib.import_module(name)
        send(answers, b"ready")
        while True:
            call = pickle.loads(reader.wait())
            send(answers, pickle.dumps(_answer(call, reader, answers)))


def _answer(call: Call, reader: Reader, answers: int) -> Answer:
    """Fork a child for a call, and wait for its word, its end or its deadline. Raises ClosedError if nobody waits."""
    started = time.monotonic()
    inner, outer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(inner)
        os.close(reader.pipe)
        os.close(answers)
        _run(call, outer)
    os.close(outer)
    word, timed_out = None, False
    try:
        word, timed_out = _wait(child, Reader(inner), reader, started + call.limits.timeout_s)
    finally:
        seconds = time.monotonic() - started
        status, peak = end(child)
        os.close(inner)
    return Answer(word, timed_out, status, seconds, peak)


def _wait(child: int, word: Reader, requests: Reader, deadline: float) -> tuple[bytes | None, bool]:
    """The child's word, if it had one, and whether its time was up."""
    while time.monotonic() < deadline:
        ready = select.select([word.pipe, requests.pipe], [], [], _GLANCE_S)[0]
        if requests.pipe in ready:
            requests.read_some()  # nobody asks before the answer is there: this is the end
        if word.pipe in ready:
            try:
                word.read_some()
            except ClosedError:
                return None, False
            if (message := word.message()) is not None:
                return message, False
        elif not ready and _has_ended(child):
            return None, False
    return None, True


def _has_ended(child: int) -> bool:
    """Whether the child is no more, though something it started may still hold its pipe open."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _run(call: Call, pipe: int) -> None:
    """The child's whole life. A process that the function itself forks ends here without a word."""
    own = os.getpid()
    word: bytes | None = None
    try:
        confine(call.limits.memory_bytes)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        word = _word(call.payload)
    finally:
        if word is not None and os.getpid() == own:
            with suppress(ClosedError):
                send(pipe, word)
        os._exit(0 if word is not None else 1)


def _word(payload: bytes) -> bytes:
    """The pickled (value, error, out of memory) of a call."""
    try:
        function, arguments = pickle.loads(payload)
        return pickle.dumps((function(*arguments), None, False))
    except MemoryError:
        return pickle.dumps((None, None, True))
    except BaseException as error:
        return pickle.dumps((None, _carried(error), is_out_of_memory(error)))


def _carried(error: BaseException) -> Any:
    """An error that can be read without importing anything of the user's: opscan's own as it is, others in words."""
    if isinstance(error, OpscanError):
        return error
    return OpscanError(f"{type(error).__name__}: {error}")
