"""The end that asks: `isolated` runs a function in a process of its own and tells what came of it."""

from __future__ import annotations

import os
import pickle
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from opscan.errors import OpscanError
from opscan.isolation.codec import DataError, from_data
from opscan.isolation.heard import Heard
from opscan.isolation.lastline import last_line
from opscan.isolation.outcome import Limits, Outcome, ended_words, memory_words, timeout_words
from opscan.isolation.pipes import ClosedError, LateError, Reader, TooLongError, send
from opscan.isolation.server import Answer, Call
from opscan.isolation.start import Ends, can_fork, forked, started_fresh
from opscan.isolation.told import Told, error_of

_START_S = 300.0  # for importing what is preloaded
_GRACE_S = 30.0  # for ending a child whose time is up


def isolated(
    function: Callable[..., Any],
    arguments: Sequence[Any],
    limits: Limits,
    returns: Any,
    preload: tuple[str, ...] = (),
    is_heard: bool = False,
) -> Outcome:
    """Run `function(*arguments)` in a process of its own, and kill it and all it started when its time is up.

    Both have to be picklable, the function by its name. What it returns comes back as data, as a value of the type
    `returns` (see codec.py): nothing that the process hands in is run here. What it prints is lost, or with `is_heard`
    shown on stderr, up to a megabyte.

    Modules in `preload` are imported once, in a process that each call is forked from: name the most trusted one first,
    as all others are left out if importing them ends the process. That process is kept for the next call from this
    thread. With `is_heard` it is a copy of this one where that is safe, and has its environment; else it begins anew.

    Nothing is raised for what the function does: see Outcome. Raises OpscanError if no process can be started.
    """
    server = _server_for(preload, is_heard)
    try:
        return server.ask(pickle.dumps((function, tuple(arguments), returns)), limits, returns)
    except (ClosedError, LateError, TooLongError, DataError):
        stop_server()
        return Outcome(ended="killed the process that watches over it")
    except BaseException:  # a Ctrl-C: the answer that is still to come is for nobody
        stop_server()
        raise


def start_server(preload: tuple[str, ...] = (), is_heard: bool = False) -> None:
    """Start the process that the calls with these arguments are forked from, if it is not there yet."""
    _server_for(preload, is_heard)


def stop_server() -> None:
    """End the process that calls from this thread are forked from; the next call starts another."""
    server = getattr(_kept, "server", None)
    _kept.server = None
    if server is not None:
        server.close()


class _Server:
    """A running server: what it has imported, and the pipes to it."""

    def __init__(self, preload: tuple[str, ...], is_heard: bool) -> None:
        self.here = os.getpid(), os.getcwd()
        theirs, self._requests = os.pipe()
        answers, theirs_too = os.pipe()
        self._answers = Reader(answers)
        self._heard = Heard() if is_heard else None
        own = (self._requests, answers, *([self._heard.pipe] if self._heard else ()))
        ends = Ends(theirs, theirs_too, self._heard.mouth if self._heard else None, own)
        self._process = forked(ends) if is_heard and can_fork() else started_fresh(ends)
        os.close(theirs)
        os.close(theirs_too)
        if self._heard:
            self._heard.opened()
        try:
            send(self._requests, pickle.dumps(preload))
            self._await(_START_S)
        except BaseException:
            self.close()
            raise

    def ask(self, payload: bytes, limits: Limits, returns: Any) -> Outcome:
        """Have one call made. Raises ClosedError, LateError, TooLongError or DataError if the server is gone."""
        send(self._requests, pickle.dumps(Call(payload, limits)))
        answer: Answer = from_data(self._await(limits.timeout_s + _GRACE_S), Answer)
        word = self._await(_GRACE_S) if answer.has_word else None
        if self._heard:
            self._heard.rest()
        outcome = partial(Outcome, seconds=answer.seconds, peak_bytes=answer.peak_bytes)
        if word is not None:
            return _read(word, limits, returns, outcome)
        if answer.too_long:
            return outcome(ended="handed in more than any report takes")
        line = last_line(answer.dump)
        return outcome(ended=timeout_words(limits) if answer.timed_out else ended_words(answer.status), line=line)

    def _await(self, timeout_s: float) -> bytes:
        """The next message; what is printed until it comes is shown. Raises as `ask` does."""
        if self._heard is None:
            return self._answers.wait(timeout_s)
        deadline = time.monotonic() + timeout_s
        pipes = [self._answers.pipe, self._heard.pipe]
        while (message := self._answers.message()) is None:
            ready = select.select(pipes, [], [], max(deadline - time.monotonic(), 0))[0]
            if not ready:
                raise LateError
            if self._heard.pipe in ready and not self._heard.hear():
                pipes.remove(self._heard.pipe)
            if self._answers.pipe in ready:
                self._answers.read_some()
        return message

    def close(self) -> None:
        """End it: it sees that the pipe is closed, kills its child and goes."""
        for pipe in (self._requests, self._answers.pipe):
            with suppress(OSError):
                os.close(pipe)
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:  # it still imports
            self._process.kill()
            self._process.wait()
        if self._heard:
            self._heard.rest()
            self._heard.close()


def _read(word: bytes, limits: Limits, returns: Any, outcome: Callable[..., Outcome]) -> Outcome:
    """What a child's word says, if it is one."""
    kind, _, data = word.partition(b"\n")
    try:
        if kind == b"value":
            return outcome(from_data(data, returns))
        if kind == b"error":
            return outcome(error=error_of(from_data(data, Told)))
    except DataError as error:
        return outcome(ended=f"handed in what is no result ({error})")
    return outcome(ended=memory_words(limits) if kind == b"no memory" else "handed in what is no result")


class _Kept(threading.local):
    """The server of each thread, and what was asked to be in it: threads do not wait for each other's calls."""

    server: _Server | None = None
    asked: tuple[tuple[str, ...], bool] = ((), False)


_kept = _Kept()


def _server_for(preload: tuple[str, ...], is_heard: bool) -> _Server:
    kept, asked = _kept.server, (preload, is_heard)
    if kept is not None and kept.here == (os.getpid(), os.getcwd()) and _kept.asked == asked:
        return kept
    if kept is not None and kept.here[0] == os.getpid():
        stop_server()
    _kept.server, _kept.asked = _started(preload, is_heard), asked
    return _kept.server


def _started(preload: tuple[str, ...], is_heard: bool) -> _Server:
    """A server that has imported as much of `preload` as it survives."""
    if not hasattr(os, "fork"):
        hint = "Use Linux or macOS (on Windows: WSL)."
        raise OpscanError("targets are run in processes that are forked, which this system cannot", sys.platform, hint)
    for modules in dict.fromkeys((preload, preload[:1], ())):
        with suppress(ClosedError, LateError):
            return _Server(modules, is_heard)
    raise OpscanError(
        "a process to run targets in could not be started", sys.executable, "Set OPSCAN_DEBUG=1 to see what it says."
    )
