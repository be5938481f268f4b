"""How much memory there is for a process here: the machine's, or what its container may have."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
# Source: Linux, Documentation/admin-guide: cgroup-v2.rst (memory.max), cgroup-v1/memory.rst (memory.limit_in_bytes).


def memory_here() -> int | None:
    """Bytes of memory that this process and its children can have together; None where the system does not tell."""
    with suppress(OSError, ValueError, AttributeError):  # AttributeError: Windows
        return min((os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), *_allowed()))
    return None


def _allowed() -> Iterator[int]:
    """The limits of the control groups this process is in, where there are any."""
    for file in _files():
        with suppress(OSError, ValueError):  # ValueError: "max"
            yield int(file.read_text())


def _files() -> Iterator[Path]:
    yield from (_CGROUPS / "memory.max", _CGROUPS / "memory" / "memory.limit_in_bytes")
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:
                yield _CGROUPS / path.strip("/") / "memory.max"
            elif "memory" in controllers.split(","):
                yield _CGROUPS / "memory" / path.strip("/") / "memory.limit_in_bytes"
