"""Recorded runs: each in a fresh process that is ended with all it started, or in this one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opscan.blame import one_line, user_line
from opscan.isolation.client import isolated, stop_server
from opscan.isolation.outcome import FOREVER_S, Limits, ended_words
from opscan.verifying.child import VARIABLE, Plan, rank_path, tell_returned
from opscan.verifying.options import Options
from opscan.verifying.stream import NO_ROOM
from opscan.verifying.watch.install import recorded
from opscan.verifying.watch.processes import processes_of

_LITTLE = 1 << 16
_TAIL = 2000
"""Characters of what a run printed that are looked at for what it died of."""


@dataclass(frozen=True, slots=True)
class Run:
    """A run that is over: its records, one per rank, and how it failed; "" where it came to its end.

    `started` are the records of processes that the run itself started.
    """

    paths: tuple[Path, ...]
    failure: str = ""
    started: tuple[Path, ...] = ()

    @property
    def is_recorded(self) -> bool:
        """Whether every rank has begun its record; on a full disk none has more than a name."""
        return all(each.exists() and each.stat().st_size for each in self.paths)


@dataclass(frozen=True, slots=True)
class Script:
    """A script or a function by name, run in fresh processes; with `ranks` by torchrun, in so many at once."""

    target: str
    words: tuple[str, ...] = ()
    timeout_s: float | None = None
    ranks: int = 1

    fresh = True

    def record(self, path: Path, options: Options, env: dict[str, str] | None = None) -> Run:
        """Run it once, recorded at `path`. What it prints is kept beside the record."""
        plan = Plan(self.target, self.words, str(path), options)
        output = path.with_suffix(".out")
        variables = {**os.environ, **(env or {}), VARIABLE: plan.as_text(), "PYTHONPATH": _python_path()}
        try:
            outcome = isolated(
                _launch,
                (self._command(), variables, os.getcwd(), str(output)),
                Limits(FOREVER_S if self.timeout_s is None else self.timeout_s),
                int,
            )
        finally:
            stop_server()
        failure = outcome.ended or (str(outcome.error) if outcome.error else "")
        if not failure and outcome.value:
            failure = ended_words(outcome.value)
            failure += next(
                (f": {words}" for words in (_told(path), _last_line(output), _lack(path.parent)) if words), ""
            )
        paths = self.paths(path)
        return Run(paths, failure, tuple(started for each in paths for started in processes_of(each)))

    def paths(self, path: Path) -> tuple[Path, ...]:
        """The files of all ranks."""
        if self.ranks == 1:
            return (path,)
        return tuple(Path(rank_path(str(path), str(rank))) for rank in range(self.ranks))

    def _command(self) -> list[str]:
        if self.ranks == 1:
            return [sys.executable, "-m", "opscan.verifying.child"]
        run = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(self.ranks)]
        return [*run, "-m", "opscan.verifying.child"]


@dataclass(frozen=True, slots=True)
class Function:
    """A function of this process, called in it."""

    function: Callable[[], Any]

    fresh = False

    def record(self, path: Path, options: Options, env: dict[str, str] | None = None) -> Run:
        """Call it once, recorded at `path`. Random number generators are left as it leaves them."""
        name = getattr(self.function, "__qualname__", "function")
        failure = ""
        with recorded(str(path), options, (name,)) as recording:
            recording.on_stop = _stop
            try:
                tell_returned(recording, self.function())
                recording.end("ok")
            except _StopRun:
                pass
            except Exception as error:
                where = user_line(error)
                failure = one_line(error) + (f" at {where}" if where else "")
                recording.end("error", failure)
        return Run((path,), failure)

    def paths(self, path: Path) -> tuple[Path, ...]:
        """Its one file."""
        return (path,)


class _StopRun(BaseException):
    """The function has made all the steps that were asked for."""


def _stop() -> None:
    raise _StopRun


def _python_path() -> str:
    """The variable, with the folder that opscan is imported from at its end."""
    home = str(Path(__file__).parents[2])
    parts = [each for each in os.environ.get("PYTHONPATH", "").split(os.pathsep) if each]
    return os.pathsep.join(parts if home in parts else [*parts, home])


def _launch(command: list[str], env: dict[str, str], folder: str, output: str) -> int:
    """Run a command to its end; what it prints goes to a file. Called in a process that is ended with all it began."""
    with open(output, "ab") as file:
        return subprocess.Popen(
            command, env=env, cwd=folder, stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT
        ).wait()


def _told(path: Path) -> str:
    """The error that ended a run, as its record has it."""
    with suppress(OSError, ValueError, IndexError, KeyError, TypeError):  # there may be half a line, or none
        last = json.loads(path.read_bytes()[-_TAIL:].splitlines()[-1])
        return str(last["what"]) if last["e"] == "end" else ""
    return ""


def _last_line(output: Path) -> str:
    """The last line that a run printed, which of a Python error is its message."""
    with suppress(OSError):
        lines = output.read_bytes()[-_TAIL:].decode(errors="replace").strip().splitlines()
        return lines[-1].strip()[:200] if lines else ""
    return ""


def _lack(folder: Path) -> str:
    """That there is no room left where records are kept: a run that died of it could not even print that."""
    status = os.statvfs(folder) if hasattr(os, "statvfs") else None
    if status is None or status.f_bavail * status.f_frsize > _LITTLE:
        return ""
    return f"no room is left in {folder}. {NO_ROOM}"
