"""The rows that are done, one JSON line each, written as they come, so that a sweep can go on where it was stopped."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from opscan.errors import SweepError
from opscan.sweeps.row import Row, row_from


class Journal:
    """A file of finished rows, each with its key: all that it depends on.

    `key_of` says what the key of a target is today: rows with another one are not read. A line that was cut short,
    because the machine or the process stopped, counts for nothing.
    """

    def __init__(self, path: Path, key_of: Callable[[str], Mapping[str, Any]], fresh: bool = False) -> None:
        self.path = path
        self._key_of = key_of
        if fresh:
            self._remove()
        self.done = {row.target: row for row in self._read()}

    def add(self, row: Row) -> None:
        """Append one row, in one write. Raises SweepError if the file cannot be written."""
        line = json.dumps({"key": self._key_of(row.target), "row": row.document()}) + "\n"
        try:
            with self.path.open("ab") as file:
                file.write(line.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise SweepError(f"cannot be written: {error}", str(self.path), "Give another file with -o.") from error
        self.done[row.target] = row

    def _remove(self) -> None:
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            what = f"cannot be removed: {error.strerror}"
            raise SweepError(what, str(self.path), "Give another file with -o, or leave out --fresh.") from error

    def _read(self) -> list[Row]:
        """The rows whose keys are today's; the file ends with a whole line afterwards."""
        try:
            text = self.path.read_text(encoding="utf-8", errors="replace")
            if text and not text.endswith("\n"):
                with self.path.open("ab") as file:
                    file.write(b"\n")
        except FileNotFoundError:
            return []
        except OSError as error:
            raise SweepError(f"cannot be read: {error}", str(self.path), "Give another file with -o.") from error
        return [row for line in text.splitlines() if (row := self._row(line)) is not None]

    def _row(self, line: str) -> Row | None:
        try:
            entry = json.loads(line)
            row = row_from(entry["row"])
            return row if entry["key"] == self._key_of(row.target) else None
        except (ValueError, TypeError, KeyError, RecursionError):
            return None
