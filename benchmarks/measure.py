"""Measuring two things side by side: what a row of the table is, and how its ratio comes about.

Each row alternates opscan and its floor, so that whatever else the machine does falls on both, and has the medians of
the ratios of neighbours: of CPU time, which other work on the machine changes least, and of wall time. CPU time is that
of this process, or of a child with all of its own children.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent


class Cost(NamedTuple):
    """What one run took, in seconds."""

    cpu: float
    wall: float


@dataclass(frozen=True)
class Row:
    """One line of the table. `cost` and `floor_cost` are medians; `target` bounds the ratio of CPU time.

    `above` says that the target is the least the ratio has to be. `unit` is seconds, or MiB: the `ratio` is then a
    difference.
    """

    section: str
    what: str
    cost: float
    floor: str
    floor_cost: float
    ratio: float
    wall_ratio: float | None
    target: float | None
    pairs: int
    above: bool = False
    unit: str = "s"

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None where there is none."""
        if self.target is None:
            return None
        return self.ratio >= self.target if self.above else self.ratio <= self.target


Work = Callable[[], Cost]


def here(work: Callable[[], object]) -> Work:
    """Measured in this process."""

    def run() -> Cost:
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        return Cost(time.process_time() - cpu, time.perf_counter() - wall)

    return run


def child(*words: str, **variables: str) -> Work:
    """Measured in a child process, away from any pyproject.toml; bytecode lies beside the sources, as pip leaves it."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    path = os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))
    environment = {**kept, "PYTHONPATH": path, **variables}

    def run() -> Cost:
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(words, capture_output=True, check=False, cwd=tempfile.gettempdir(), env=environment)
        wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        return Cost(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall)

    return run


def several(works: Sequence[Work]) -> Work:
    """One after the other, and the sum."""

    def run() -> Cost:
        costs = [work() for work in works]
        return Cost(sum(each.cpu for each in costs), sum(each.wall for each in costs))

    return run


def compare(
    section: str,
    what: str,
    work: Work,
    floor: str,
    bare: Work,
    pairs: int,
    target: float | None = None,
    above: bool = False,
    warm: bool = True,
) -> Row:
    """A row of so many pairs; `above` has the floor's cost divided by opscan's, for what is slower than opscan."""
    if warm:
        work(), bare()  # what is done once per process or per machine (imports, caches) is not what is measured
    measured = [(work(), bare()) for _ in range(pairs)]
    one, other = (0, 1) if not above else (1, 0)
    return Row(
        section,
        what,
        statistics.median(pair[0].cpu for pair in measured),
        floor,
        statistics.median(pair[1].cpu for pair in measured),
        statistics.median(pair[one].cpu / pair[other].cpu for pair in measured),
        statistics.median(pair[one].wall / pair[other].wall for pair in measured),
        target,
        pairs,
        above,
    )
