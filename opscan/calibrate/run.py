"""Calibrate: run what the file does not have yet, keep what was seen, stop in time."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path

from opscan.calibrate.measure import Bench, is_alive, measured
from opscan.calibrate.rows import Record, Row, Setup, read_record, write_record
from opscan.calibrate.subjects import Subject
from opscan.errors import OpscanError
from opscan.writing import make_folder, write_bytes

_WRITE_EVERY_S = 5.0
_CRASHES = 2


class CalibrationError(OpscanError):
    """Calibration could not go on: the device is lost, or the file is another machine's."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """The file as it is now, how many subjects were run this time, and how many the time was not enough for."""

    record: Record
    path: Path
    run: int
    left: int


def wanted(subjects: Iterable[Subject], pattern: str | None) -> tuple[Subject, ...]:
    """The subjects of which a name or the expression holds `pattern`; a shell pattern stands for the whole of it."""
    return tuple(each for each in subjects if pattern is None or _fits((each.name, *each.cases, each.run), pattern))


def narrowed(record: Record, pattern: str | None) -> Record:
    """The rows that `wanted` would name."""
    if pattern is None:
        return record
    rows = {name: row for name, row in record.rows.items() if _fits((row.name, *row.cases, row.run), pattern)}
    return replace(record, rows=rows)


def _fits(names: Iterable[str], pattern: str) -> bool:
    if not set(pattern) & set("*?["):
        return any(pattern.lower() in name.lower() for name in names)
    return any(fnmatchcase(name.lower(), pattern.lower()) for name in names)


def calibrate(
    subjects: Sequence[Subject],
    bench: Bench,
    setup: Setup,
    folder: Path,
    *,
    again: bool = False,
    budget_s: float | None = None,
) -> Calibration:
    """Run the subjects that the file in `folder` lacks, or all of them `again`, for about `budget_s` seconds.

    A case whose expression or inputs have changed counts as lacking. The file is written
    every few seconds and however this ends, short of a crash; what crashed the process twice is not run a third time,
    and its row says so. Raises CalibrationError where the device stops answering (what was seen
    until then is kept, the row that did it says so and is not run again), or where the file is of another setup.
    """
    path = folder / setup.file_name
    record = read_record(path) if path.is_file() else Record(setup)
    if record.setup != setup:
        raise CalibrationError(f"{record.setup}, not {setup}", str(path), "Name another folder: --out DIR.")
    known = {row.key: row for row in record.rows.values()}
    keeper = _Keeper(record, path)
    for each in () if again else subjects:
        row = known.get(each.key)
        if row is not None and (row.name, row.cases) != (each.name, each.cases):
            keeper.add(replace(row, name=each.name, cases=each.cases))
    todo = [each for each in subjects if again or each.key not in known]
    mark = _Mark(path)
    started = time.monotonic()
    done = 0
    try:
        for subject in todo:
            if budget_s is not None and time.monotonic() - started >= budget_s:
                break
            row = measured(subject, bench) if mark.begins(subject) else _fatal(subject)
            keeper.add(row)
            done += 1
            if row.failed and not is_alive(bench.device):
                what = f"{row.name} ended CUDA for this process: {next(iter(row.failed.values()))}"
                hint = f"{done} rows were kept, this one as failed. Run the command again for the rest."
                raise CalibrationError(what, setup.device, hint)
    finally:
        keeper.write()
        mark.remove()
    return Calibration(keeper.record, path, done, len(todo) - done)


class _Mark:
    """Names what is being run in a file beside the rows; one that is found at the start was left by a crash.

    Once may have been somebody's kill, so that a subject is given up only at the third start.
    """

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(f"{path.name}.running")
        try:
            count, _, self._left = self._path.read_text(encoding="utf-8").partition(" ")
            self._crashes = int(count)
        except (OSError, ValueError):
            self._left, self._crashes = "", 0
        make_folder(path.parent)

    def begins(self, subject: Subject) -> bool:
        """Note that it is being run, unless it crashed twice."""
        crashes = self._crashes if subject.name == self._left else 0
        if crashes >= _CRASHES:
            return False
        write_bytes(self._path, f"{crashes + 1} {subject.name}".encode())
        return True

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)


def _fatal(subject: Subject) -> Row:
    failed = {"run": f"the process crashed, {_CRASHES} times"}
    return Row(subject.name, subject.run, subject.inputs, subject.cases, failed=failed)


class _Keeper:
    """The record as it grows, written down from time to time."""

    def __init__(self, record: Record, path: Path) -> None:
        self.record = record
        self._path = path
        self._written = time.monotonic()
        self._changed = False

    def add(self, row: Row) -> None:
        self.record = self.record.with_row(row)
        self._changed = True
        if time.monotonic() - self._written >= _WRITE_EVERY_S:
            self.write()

    def write(self) -> None:
        if self._changed:
            write_record(self.record, self._path)
            self._written = time.monotonic()
            self._changed = False
