"""What a child process is held to, and how it and whatever it started are ended."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
from contextlib import suppress
from pathlib import Path

# Note [Which memory limit]
# RLIMIT_DATA counts what is private and writable: the heap, anonymous mappings, thread stacks (setrlimit(2), since
# Linux 4.7). RLIMIT_AS would count address space as well that nobody uses: mapped libraries (gigabytes of them in a
# CUDA build of torch), and what allocators reserve. Neither counts memory that is shared between processes. On macOS
# mappings are not counted at all, and a child that eats memory is stopped by its time limit alone.

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h


def adopt_orphans() -> None:
    """Make processes whose parents die children of this one, however they left their process group (Linux)."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def confine(memory_bytes: int | None) -> None:
    """Set up the calling process, a fresh child: its own session, dead when its parent is, no core dumps, the limit.

    Where the system runs out of memory it is the first to go.
    """
    os.setsid()
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if memory_bytes is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, memory_bytes))  # Note [Which memory limit]


def end(child: int) -> tuple[int, int]:
    """Kill a child and all it started; its exit status (or minus the signal it died of) and its peak memory in bytes.

    A child that had ended by itself keeps the status it ended with.
    """
    with suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
    with suppress(ProcessLookupError, PermissionError):  # it may have died before it had a group of its own
        os.killpg(child, signal.SIGKILL)
    _, status, usage = os.wait4(child, 0)
    end_children()
    return os.waitstatus_to_exitcode(status), usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def end_children(but: frozenset[int] = frozenset()) -> None:
    """Kill all children of this process but these, and theirs, who are its children once their parents are dead."""
    while orphans := children() - but:
        for orphan in orphans:  # all of them first: one that is left may start others
            with suppress(ProcessLookupError):
                os.kill(orphan, signal.SIGKILL)
        for orphan in orphans:
            with suppress(ChildProcessError):
                os.waitpid(orphan, 0)


def children() -> frozenset[int]:
    """The processes this one is parent of; none where the system does not tell."""
    try:
        return frozenset(map(int, Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()))
    except OSError:
        return frozenset()


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        _LIBC.prctl(option, value, 0, 0, 0)


_LIBC = ctypes.CDLL(None)  # opened before any fork
