"""The record of a run: a text file with a header and a JSON object per line, written as the run goes on.

A file that was cut off, as by a crash, is read up to its last whole line.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from opscan.errors import VerifyError

VERSION = 1
Record = dict[str, Any]
NO_ROOM = "Make room there, or keep the records on another disk: --keep DIR, or TMPDIR=DIR before the command."
_LINES = 512
_PATIENCE_S = 0.5
_POLL_S = 0.05


class Writer:
    """Appends records. Several processes may write to one file: each write is of whole lines."""

    def __init__(self, path: str, header: Record) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        self._path = path
        self._lines: list[str] = []
        self._lock = threading.Lock()
        self._flushed = time.monotonic()
        self.put({"opslog": VERSION, **header})
        self.flush()

    def put(self, record: Record) -> None:
        """Add a record; it is in the file after half a second, or with the next flush."""
        self._lines.append(json.dumps(record, separators=(",", ":")))
        if len(self._lines) >= _LINES or time.monotonic() - self._flushed > _PATIENCE_S:
            self.flush()

    def flush(self) -> None:
        """Write what is held back."""
        with self._lock:
            lines, self._lines = self._lines, []
            rest = memoryview("".join(f"{line}\n" for line in lines).encode())
            try:
                while rest:
                    rest = rest[os.write(self._file, rest) :]
            except OSError as error:
                raise VerifyError(f"cannot be written: {error.strerror}", self._path, NO_ROOM) from error
            self._flushed = time.monotonic()

    def after_fork(self) -> None:
        """Forget what the parent still holds back: the parent writes it."""
        self._lines, self._lock = [], threading.Lock()

    def close(self) -> None:
        """Write the rest, and let go of the file."""
        self.flush()
        os.close(self._file)


def read_header(path: Path) -> Record:
    """The first line. Raises VerifyError where it is not that of a record."""
    try:
        with path.open(encoding="utf-8") as file:
            header = json.loads(file.readline())
    except (OSError, ValueError, RecursionError) as error:
        raise VerifyError(
            f"not a record of a run: {error}", str(path), "Name a file that -o or --keep wrote."
        ) from error
    if not isinstance(header, dict) or "opslog" not in header:
        raise VerifyError("not a record of a run", str(path), "Name a .opslog file that opscan verify kept.")
    if header["opslog"] != VERSION:
        raise VerifyError(f"written in format {header['opslog']}", str(path), f"This opscan reads format {VERSION}.")
    return header


def read_records(path: Path, ended: Callable[[], bool] = lambda: True) -> Iterator[Record]:
    """The records behind the header, as they come; the last one when `ended` says that no more will be written."""
    with path.open(encoding="utf-8", errors="replace") as file:
        rest = ""
        while True:
            last = ended()  # asked first: what was written before the end is still read
            rest += file.readline()
            if rest.endswith("\n"):
                yield from _parsed(rest)
                rest = ""
            elif last:
                return
            else:
                time.sleep(_POLL_S)


def _parsed(line: str) -> Iterator[Record]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):  # a line that a dying process left half, with the next one behind it
        return
    if isinstance(record, dict) and "e" in record:  # the header has no kind
        yield record
