"""What workers run in tests."""

from __future__ import annotations

import os
import signal
from pathlib import Path


def double(task: int) -> int:
    return 2 * task


class KilledOnce:
    """Doubles; the worker that is given 3 is killed, the first time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, task: int) -> int:
        mark = self.folder / "killed"
        if task == 3 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return 2 * task


def killed_always(task: int) -> int:
    if task == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return 2 * task
