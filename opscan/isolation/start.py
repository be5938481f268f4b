"""Two ways to start a server: in an interpreter of its own, or forked from this process as it is."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from typing import NamedTuple, Protocol

from opscan.isolation.limits import adopt_orphans, children, end_children
from opscan.isolation.server import serve

_QUIET = {
    "OMP_NUM_THREADS": "1",  # one thread: forking is safe, and several children do not fight for the cores
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",  # sets of the user's have one order, in every worker
    "HF_HUB_OFFLINE": "1",  # nothing is downloaded
}
_MAIN = "import sys; sys.path[:] = {path!r}; from opscan.isolation.server import serve; serve({requests}, {answers})"
_GLANCE_S = 0.01


class Process(Protocol):
    """A server's process, as subprocess.Popen has it."""

    def wait(self, timeout: float | None = None) -> int: ...

    def kill(self) -> None: ...


class Ends(NamedTuple):
    """The ends of the pipes that a server holds, and those that are not its own: it closes them where it has them."""

    requests: int
    answers: int
    mouth: int | None
    others: tuple[int, ...]


def can_fork() -> bool:
    """Whether this process may be forked as it is: it has one thread, and torch, which may have others, is not here."""
    return hasattr(os, "fork") and threading.active_count() == 1 and "torch" not in sys.modules


def started_fresh(ends: Ends) -> Process:
    """A server in a new interpreter. Without a mouth it is one for scans that are alike on all machines, and silent."""
    path = [os.getcwd(), *(each for each in sys.path if each)]
    silent = None if os.environ.get("OPSCAN_DEBUG") else subprocess.DEVNULL
    return subprocess.Popen(
        [sys.executable, "-c", _MAIN.format(path=path, requests=ends.requests, answers=ends.answers)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL if ends.mouth is None else ends.mouth,
        stderr=silent if ends.mouth is None else ends.mouth,
        pass_fds=(ends.requests, ends.answers),
        start_new_session=True,  # a Ctrl-C at the terminal is not for it
        env={**os.environ, **(_QUIET if ends.mouth is None else {})},
    )


def forked(ends: Ends) -> Process:
    """A server that is a copy of this process, which takes no time: what is imported here is imported there."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    adopt_orphans()
    others = children()
    pid = os.fork()
    if pid:
        return _Forked(pid, others)
    try:
        os.setsid()
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        for pipe in ends.others:
            os.close(pipe)
        _speak_through(ends.mouth)
        serve(ends.requests, ends.answers)
    finally:
        os._exit(0)


def _speak_through(mouth: int | None) -> None:
    """Whatever this process prints goes into the mouth, and nothing comes from the terminal."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for own, meant in (
        (0, nowhere),
        (1, nowhere if mouth is None else mouth),
        (2, nowhere if mouth is None else mouth),
    ):
        os.dup2(meant, own)
    sys.stdout = sys.stderr = io.TextIOWrapper(
        io.FileIO(2, "w", closefd=False), "utf-8", "backslashreplace", None, True
    )


class _Forked:
    """A forked process. Should it be killed, what it watched over falls to this one, and is ended here."""

    def __init__(self, pid: int, others: frozenset[int]) -> None:
        self._pid, self._others = pid, others

    def wait(self, timeout: float | None = None) -> int:
        """Its status. Raises subprocess.TimeoutExpired."""
        until = time.monotonic() + (timeout or 0.0)
        while True:
            pid, status = os.waitpid(self._pid, 0 if timeout is None else os.WNOHANG)
            if pid:
                end_children(but=self._others)
                return os.waitstatus_to_exitcode(status)
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired("opscan", timeout or 0.0)
            time.sleep(_GLANCE_S)

    def kill(self) -> None:
        """End it at once."""
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
