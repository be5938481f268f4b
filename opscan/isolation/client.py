"""The end that asks: `isolated` runs a function in a process of its own and tells what came of it."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from opscan.errors import OpscanError
from opscan.isolation.outcome import Limits, Outcome, ended_words, memory_words, timeout_words
from opscan.isolation.pipes import ClosedError, LateError, Reader, send

_START_S = 300.0  # for importing what is preloaded
_GRACE_S = 30.0  # for ending a child whose time is up
_QUIET = {
    "OMP_NUM_THREADS": "1",  # one thread: forking is safe, and several children do not fight for the cores
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",  # sets of the user's have one order, in every worker
    "HF_HUB_OFFLINE": "1",  # nothing is downloaded
}
_MAIN = "import sys; sys.path[:] = {path!r}; from opscan.isolation.server import serve; serve({requests}, {answers})"


def isolated(
    function: Callable[..., Any], arguments: Sequence[Any], limits: Limits, preload: tuple[str, ...] = ()
) -> Outcome:
    """Run `function(*arguments)` in a process of its own, and kill it and all it started when its time is up.

    Both have to be picklable, the function by its name, and so has what it returns; what it prints is lost. Modules in
    `preload` are imported once, in a process that each call is forked from: name the most trusted one first, as all
    others are left out if importing them ends the process. That process is kept for the next call from this thread.
    Nothing is raised for what the function does: see Outcome. Raises OpscanError if no process can be started.
    """
    server = _server_for(preload)
    try:
        return server.ask(pickle.dumps((function, tuple(arguments))), limits)
    except (ClosedError, LateError):
        stop_server()
        return Outcome(ended="killed the process that watches over it")
    except BaseException:  # a Ctrl-C: the answer that is still to come is for nobody
        stop_server()
        raise


def stop_server() -> None:
    """End the process that calls from this thread are forked from; the next call starts another."""
    server = getattr(_kept, "server", None)
    _kept.server = None
    if server is not None:
        server.close()


class _Server:
    """A running server: what it has imported, and the pipes to it."""

    def __init__(self, preload: tuple[str, ...]) -> None:
        self.here = os.getpid(), os.getcwd()
        theirs, requests = os.pipe()
        answers, theirs_too = os.pipe()
        path = [os.getcwd(), *(each for each in sys.path if each)]
        self._process = subprocess.Popen(
            [sys.executable, "-c", _MAIN.format(path=path, requests=theirs, answers=theirs_too)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=None if os.environ.get("OPSCAN_DEBUG") else subprocess.DEVNULL,
            pass_fds=(theirs, theirs_too),
            start_new_session=True,  # a Ctrl-C at the terminal is not for it
            env={**os.environ, **_QUIET},
        )
        os.close(theirs)
        os.close(theirs_too)
        self._requests, self._answers = requests, Reader(answers)
        try:
            send(requests, pickle.dumps(preload))
            self._answers.wait(_START_S)
        except BaseException:
            self.close()
            raise

    def ask(self, payload: bytes, limits: Limits) -> Outcome:
        """Have one call made. Raises ClosedError or LateError if the server is gone."""
        from opscan.isolation.server import Answer, Call

        send(self._requests, pickle.dumps(Call(payload, limits)))
        answer: Answer = pickle.loads(self._answers.wait(limits.timeout_s + _GRACE_S))
        outcome = partial(Outcome, seconds=answer.seconds, peak_bytes=answer.peak_bytes)
        if answer.payload is not None:
            value, error, out_of_memory = pickle.loads(answer.payload)
            if out_of_memory:
                return outcome(ended=memory_words(limits))
            return outcome(value, error)
        return outcome(ended=timeout_words(limits) if answer.timed_out else ended_words(answer.status))

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


class _Kept(threading.local):
    """The server of each thread, and what was asked to be in it: threads do not wait for each other's calls."""

    server: _Server | None = None
    preload: tuple[str, ...] = ()


_kept = _Kept()


def _server_for(preload: tuple[str, ...]) -> _Server:
    kept = _kept.server
    if kept is not None and kept.here == (os.getpid(), os.getcwd()) and _kept.preload == preload:
        return kept
    if kept is not None and kept.here[0] == os.getpid():
        stop_server()
    _kept.server, _kept.preload = _started(preload), preload
    return _kept.server


def _started(preload: tuple[str, ...]) -> _Server:
    """A server that has imported as much of `preload` as it survives."""
    if not hasattr(os, "fork"):
        hint = "Use Linux or macOS (on Windows: WSL)."
        raise OpscanError("targets are run in processes that are forked, which this system cannot", sys.platform, hint)
    for modules in dict.fromkeys((preload, preload[:1], ())):
        with suppress(ClosedError, LateError):
            return _Server(modules)
    raise OpscanError(
        "a process to run targets in could not be started", sys.executable, "Set OPSCAN_DEBUG=1 to see what it says."
    )
