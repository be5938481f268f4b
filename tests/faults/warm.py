"""opscan as a process of its own, many times over: forked from one that has imported torch, and what befalls it.

Run as a script it reads a case per line, and answers with what came of it. A child runs the command line, and flushes
the streams as the interpreter does at its end.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import opscan
from opscan.cli import process

Stream = Literal["kept", "closed", "full", "left early"]
_LIMIT_S = 120.0


@dataclass(frozen=True)
class Case:
    """What is run where, where its streams lead to, the largest file it may write, and a signal after some seconds."""

    words: tuple[str, ...]
    folder: str
    stdout: Stream = "kept"
    stderr: Stream = "kept"
    encoding: str | None = None
    largest: int | None = None
    number: int = 0
    after_s: float = 0.0


@dataclass(frozen=True)
class Ended:
    """How it ended: as a shell has the status; `left` are processes that are still in the folder."""

    status: int
    out: bytes
    err: str
    seconds: float
    left: int


class Warm:
    """The process that forks."""

    def __init__(self) -> None:
        root = str(Path(opscan.__file__).parents[1])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.warm"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=root,
            env={**os.environ, "PYTHONPATH": root},
        )

    def run(self, *words: str, folder: Path, **how: Any) -> Ended:
        """Run the command line in a folder."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asdict(Case(words, str(folder), **how))) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return Ended(**answer | {"out": answer["out"].encode("latin-1")})

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)


def any_process_in(folder: str) -> int:
    """How many processes have this folder, or one in it, for their current one."""
    found = 0
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").readlink().is_relative_to(folder) and "State:\tZ" not in (entry / "status").read_text():
                found += int(entry.name) != os.getpid()
        except OSError:
            continue
    return found


def _serve() -> None:
    """Answer cases until there are no more. Returns only in a child, which is then to run the command line."""
    for line in sys.stdin:
        case = Case(**json.loads(line))
        kept = [os.memfd_create("stdout"), os.memfd_create("stderr")]
        made = [_stream(kind, own) for kind, own in zip((case.stdout, case.stderr), kept, strict=True)]
        ready, tell = os.pipe()
        child = os.fork()
        if child == 0:
            _become(case, *made, tell)
            return
        os.read(ready, 1)
        started = time.monotonic()
        status = _wait(case, child, started)
        seconds = time.monotonic() - started
        out, err = (os.pread(own, os.fstat(own).st_size, 0) for own in kept)
        for each in {*kept, *made, ready, tell} - {-1}:
            os.close(each)
        answer = Ended(status, out, err.decode(), seconds, _settled(case.folder))
        print(json.dumps(asdict(answer) | {"out": out.decode("latin-1")}), flush=True)
    os._exit(0)


def _stream(kind: Stream, kept: int) -> int:
    """A descriptor to write to, -1 for none."""
    if kind == "left early":
        reader, writer = os.pipe()
        os.close(reader)
        return writer
    if kind == "full":
        return os.open("/dev/full", os.O_WRONLY)
    return kept if kind == "kept" else -1


def _become(case: Case, out: int, err: int, tell: int) -> None:
    """Make this child what `opscan` is when a shell begins it; it tells when it hears signals."""
    os.setsid()
    os.chdir(case.folder)
    for number, made in ((1, out), (2, err)):
        if made < 0:
            os.close(number)
        else:
            os.dup2(made, number)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if case.largest is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (case.largest, case.largest))
    sys.stdout = os.fdopen(1, "w", encoding=case.encoding) if out >= 0 else None  # type: ignore[assignment]
    sys.stderr = os.fdopen(2, "w", errors="backslashreplace") if err >= 0 else None  # type: ignore[assignment]
    begin = process.begin
    process.begin = lambda: (begin(), os.write(tell, b"."))
    sys.argv = ["opscan", *case.words]
    sys.path.insert(0, "")


def _wait(case: Case, child: int, started: float) -> int:
    """The exit status, as a shell has it; the child gets its signal on the way."""
    sent = not case.number
    while time.monotonic() < started + _LIMIT_S:
        if not sent and time.monotonic() >= started + case.after_s:
            os.kill(child, case.number)
            sent = True
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -1


def _settled(folder: str) -> int:
    """Processes that are still there after a while."""
    for _ in range(200):
        left = any_process_in(folder)
        if not left:
            return 0
        time.sleep(0.02)
    return left


def _flushed(status: int) -> int:
    """What Python does last, and 120 if that fails. The rest of its ending, seconds where torch is loaded, is left out.

    Source: CPython, Python/pylifecycle.c, flush_std_files.
    """
    for each in (sys.stdout, sys.stderr):
        try:
            each.flush()
        except (OSError, ValueError):
            return 120
    return status


if __name__ == "__main__":
    import opscan.scan
    from opscan.cli import main
    from opscan.report import html_page, junit, markdown, rows, sarif, table  # noqa: F401

    gc.freeze()
    _serve()
    try:
        status = main()
    except SystemExit as leaving:
        status = int(leaving.code or 0)
    os._exit(_flushed(status))
