"""Processes that a run starts to be its ranks: each is recorded as well, into a file of its own.

# Note [Ranks that a script starts]
`torch.multiprocessing.spawn`, and multiprocessing.Process with a function of the user's, run in new interpreters or in
forks where nothing watches. So what such a process is to call is wrapped before it is started: in the process the
wrapper records, then calls it. Workers of loaders and of pools are left alone: their targets are not the user's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import count, takewhile
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from opscan.blame import is_users_own, one_line, user_line
from opscan.verifying.options import Options
from opscan.verifying.watch.patches import Patches
from opscan.verifying.watch.recording import Recording

_SPAWN = "torch.multiprocessing.spawn"


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a started process calls in place of its target; it goes to the process in a pickle."""

    target: Callable[..., Any]
    path: str
    options: Options
    words: tuple[str, ...]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        from opscan.verifying.watch.install import recorded

        with recorded(self.path, self.options, self.words) as recording:
            return told(recording, lambda: self.target(*args, **kwargs))


def told(recording: Recording, call: Callable[[], Any]) -> Any:
    """Call something, and record how it ended."""
    try:
        returned = call()
    except SystemExit as leaving:
        good = leaving.code in (None, 0)
        recording.end("ok" if good else "error", "" if good else f"sys.exit({leaving.code!r})")
        raise
    except BaseException as error:
        where = user_line(error)
        recording.end("error", one_line(error) + (f" at {where}" if where else ""))
        raise
    recording.end("ok")
    return returned


def process_path(path: str, number: int) -> str:
    """The file of the process that a run started as its n-th: `run1.process0.opslog`."""
    return f"{path.removesuffix('.opslog')}.process{number}.opslog"


def processes_of(path: Path) -> list[Path]:
    """The files of the processes that a run started, in the order it started them."""
    numbered = (Path(process_path(str(path), number)) for number in count())
    return list(takewhile(Path.exists, numbered))


def watch_processes(path: str, options: Options, words: tuple[str, ...], patches: Patches) -> None:
    """Have every process that looks like a rank recorded, see Note [Ranks that a script starts]."""
    numbers = count()

    def make(original: Any) -> Any:
        def start(process: Any) -> Any:
            target = getattr(process, "_target", None)
            if target is not None and _is_wanted(target):
                process._target = Recorded(target, process_path(path, next(numbers)), options, words)
            return original(process)

        return start

    patches.replace(BaseProcess, "start", make)


def _is_wanted(target: Any) -> bool:
    if getattr(target, "__module__", "") == _SPAWN:
        return True
    code = getattr(target, "__code__", None)
    return code is not None and is_users_own(code.co_filename)
