"""What a target may do to its process; named by tests, run in processes of their own."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable

from opscan.errors import TargetError


def add(left: int, right: int) -> int:
    return left + right


def hang() -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(1000)


def exit_at_once() -> None:
    os._exit(3)


def exit_politely() -> None:
    sys.exit(4)


def crash() -> None:
    ctypes.string_at(0)


def eat() -> None:
    held = []
    while True:
        held.append(bytes(1 << 28))


def eat_and_wrap() -> None:
    try:
        eat()
    except MemoryError as error:
        raise TargetError("Net() raised MemoryError") from error


def talk() -> str:
    for _ in range(300):
        print("x" * 1_000_000)
        print("y" * 1_000_000, file=sys.stderr)
    return "said"


def fork() -> str:
    os.fork()
    os.fork()
    return "once"


def leave_a_process_behind(pid_file: str) -> str:
    """A grandchild in a session of its own, as a daemon is."""
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            with open(pid_file, "w") as file:
                file.write(str(os.getpid()))
            time.sleep(1000)
        os._exit(0)
    while not os.path.exists(pid_file) or not os.path.getsize(pid_file):
        time.sleep(0.01)
    return "left"


def kill_its_parent() -> None:
    os.kill(os.getppid(), signal.SIGKILL)
    time.sleep(1000)


def stop_its_parent(pid_file: str) -> None:
    with open(pid_file, "w") as file:
        file.write(str(os.getpid()))
    os.kill(os.getppid(), signal.SIGSTOP)
    time.sleep(1000)


def fail() -> None:
    raise ValueError("no such shape")


def complain() -> None:
    raise TargetError("not a model", "mod:Name", "Name a class.")


def return_a_closure() -> Callable[[], int]:
    return lambda: 0


def loaded(name: str) -> bool:
    return name in sys.modules


def write_pid(path: str) -> None:
    with open(path, "w") as file:
        file.write(str(os.getpid()))
    time.sleep(1000)
