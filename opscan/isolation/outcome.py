"""What came of running a function in a process of its own."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from opscan.blame import said_by
from opscan.errors import OpscanError

FOREVER_S = 3e8
"""Ten years: a limit of time for what has none."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a call is held to: seconds of wall-clock time, and bytes of memory (None: as much as there is)."""

    timeout_s: float
    memory_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """A value, or the OpscanError it raised, or in `ended` why it came to neither: `killed by signal SIGSEGV`.

    `line` is `file:line` of the user's where the process stood when its time was up or it crashed, "" if that is not
    known. `seconds` is wall-clock time from the fork on. `peak_bytes` is the most memory the process had resident,
    modules that were imported before it was forked included; None where the system does not count it.
    """

    value: Any = None
    error: OpscanError | None = None
    ended: str = ""
    line: str = ""
    seconds: float = 0.0
    peak_bytes: int | None = None


_OUT_OF_MEMORY = (
    "out of memory",
    "not enough memory",
    "can't allocate memory",
    "cannot allocate memory",
    "memoryerror",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error, or one that it came from, says that an allocation failed."""
    return any(
        isinstance(each, MemoryError) or any(words in said_by(each).lower() for words in _OUT_OF_MEMORY)
        for each in _chain(error)
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def ended_words(status: int) -> str:
    """How a process ended that did not hand in a result; `status` is as os.waitstatus_to_exitcode gives it."""
    if status >= 0:
        return f"ended its process with exit status {status}"
    try:
        return f"killed by signal {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"


def timeout_words(limits: Limits) -> str:
    """`timed out after 60 s`."""
    return f"timed out after {limits.timeout_s:g} s"


def memory_words(limits: Limits) -> str:
    """`out of memory (limit 4 GiB)`."""
    return "out of memory" + (f" (limit {limits.memory_bytes / 2**30:g} GiB)" if limits.memory_bytes else "")
