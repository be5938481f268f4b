"""The process that imports once and forks a child for each call.

It runs no code of anyone's but what importing runs: requests are bytes to it, and read by the child; what the child
hands in are bytes as well, and passed on. It has one thread, so that forking is safe, and serves one call at a time. It
ends, and its child with it, when the process it serves is gone: the pipe it reads from is then at its end.
"""

from __future__ import annotations

import importlib
import os
import pickle
import select
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from opscan.cold import uncollected
from opscan.isolation.child import run
from opscan.isolation.codec import to_data
from opscan.isolation.lastline import read_dump
from opscan.isolation.limits import adopt_orphans, end
from opscan.isolation.outcome import Limits
from opscan.isolation.pipes import ClosedError, Reader, TooLongError, send

_GLANCE_S = 0.02  # how long it takes at most to notice a child that ended without a word


class Call(NamedTuple):
    """A request: the pickled function, arguments and type of what it returns, and the limits."""

    payload: bytes
    limits: Limits


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of the child: whether its word follows, how it ended, where it stood, and what it took."""

    has_word: bool
    timed_out: bool
    too_long: bool
    status: int
    dump: str
    seconds: float
    peak_bytes: int


class _End(NamedTuple):
    """How waiting for a child came to an end: with its word, or without."""

    word: bytes | None = None
    timed_out: bool = False
    too_long: bool = False


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
            answer, word = _answer(pickle.loads(reader.wait()), reader, answers)
            send(answers, to_data(answer, Answer))
            if word is not None:
                send(answers, word)


def _answer(call: Call, reader: Reader, answers: int) -> tuple[Answer, bytes | None]:
    """Fork a child for a call, and wait for its word, its end or its deadline. Raises ClosedError if nobody waits."""
    started = time.monotonic()
    inner, outer = os.pipe()
    dumped, dump = os.pipe()
    child = os.fork()
    if child == 0:
        for pipe in (inner, dumped, reader.pipe, answers):
            os.close(pipe)
        run(call.payload, call.limits, outer, dump)
    os.close(outer)
    os.close(dump)
    how = _End()
    try:
        how = _wait(child, Reader(inner), reader, started + call.limits.timeout_s)
    finally:
        seconds = time.monotonic() - started
        status, peak = end(child)
        said = read_dump(dumped)
        os.close(inner)
        os.close(dumped)
    has_word = how.word is not None
    return Answer(has_word, how.timed_out, how.too_long, status, said, seconds, peak), how.word


def _wait(child: int, word: Reader, requests: Reader, deadline: float) -> _End:
    """Until the child has had its word, has ended, or its time is up."""
    pipes = [word.pipe, requests.pipe]
    while time.monotonic() < deadline:
        ready = select.select(pipes, [], [], _GLANCE_S)[0]
        if requests.pipe in ready:
            requests.read_some()  # nobody asks before the answer is there: this is the end
        if word.pipe in ready:
            try:
                word.read_some()
                message = word.message()
            except ClosedError:  # it ends, and soon tells how; or has closed all files, and goes on
                pipes.remove(word.pipe)
                continue
            except TooLongError:
                return _End(too_long=True)
            if message is not None:
                return _End(message)
        elif not ready and _has_ended(child):
            return _End()
    return _End(timed_out=True)


def _has_ended(child: int) -> bool:
    """Whether the child is no more, though something it started may still hold its pipe open."""
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
