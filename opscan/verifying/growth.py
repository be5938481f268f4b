"""How far two runs are apart, step by step: thinned out as they grow long, so that memory stays flat."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from opscan.verifying.stream import Record
from opscan.verifying.watch.digests import read_samples

_ROWS = 2000
"""More rows than this are joined in pairs: of two the larger difference is kept."""


@dataclass(slots=True)
class Row:
    """A step, or the last of several: values of both runs, the largest differences, and how many parameters differ."""

    step: int
    epoch: int = 0
    value: tuple[float, float] | None = None
    differing: float | None = None
    parameters: float | None = None
    gradients: float | None = None

    @property
    def difference(self) -> float | None:
        """Of the value, without its sign."""
        return None if self.value is None else apart(*self.value)

    def join(self, later: Row) -> None:
        """Take over the next row: the larger of what differs, and its values."""
        self.step, self.epoch = later.step, later.epoch
        if later.value is not None and not (self.difference or 0) > (later.difference or 0):
            self.value = later.value
        self.differing = _larger(self.differing, later.differing)
        self.parameters = _larger(self.parameters, later.parameters)
        self.gradients = _larger(self.gradients, later.gradients)


def _larger(one: float | None, other: float | None) -> float | None:
    return max((each for each in (one, other) if each is not None), default=None)


@dataclass
class Growth:
    """Rows by step. `name` is the value shown: the first that the run logs itself, else the loss backward had."""

    name: str = ""
    total: int = 0
    rows: list[Row] = field(default_factory=list)
    epochs: dict[int, Row] = field(default_factory=dict)
    _source: str = ""
    _span: int = 1

    def add(self, a: Record, b: Record) -> None:
        """Two records that stand at the same place."""
        if a["e"] == "value":
            self._value(a, b)
        elif a["e"] == "step" and "p" in a and "p" in b:
            self._step(a, b)

    def _value(self, a: Record, b: Record) -> None:
        if a["name"].startswith("epoch "):
            return
        if not self.name or (self._source == "backward" and a["source"] != "backward"):
            self.name, self._source = a["name"], a["source"]
            for row in self.rows:
                row.value = None
        if a["name"] == self.name and a["source"] == self._source:
            for row in self._rows(a["k"], a.get("ep")):
                value = float(a["v"]), float(b["v"])
                if row.value is None or row.step <= a["k"]:
                    row.value = value

    def _step(self, a: Record, b: Record) -> None:
        differing = sum(one != other for one, other in zip(a["p"], b["p"], strict=False))
        self.total = max(self.total, len(a["p"]))
        parameters = _apart(a["x"], b["x"])
        gradients = _apart(a["y"], b["y"]) if "y" in a and "y" in b else None
        for row in self._rows(a["k"], a.get("ep")):
            row.differing = _larger(row.differing, differing)
            row.parameters = _larger(row.parameters, parameters)
            row.gradients = _larger(row.gradients, gradients)
            row.epoch = a.get("ep", row.epoch)
        self._epoch(a.get("ep", 0))

    def _epoch(self, number: int) -> None:
        last = self.rows[-1]
        row = Row(last.step, number, last.value, last.differing, last.parameters, last.gradients)
        if number in self.epochs:
            self.epochs[number].join(row)
            self.epochs[number].value = last.value
        elif len(self.epochs) < _ROWS:
            self.epochs[number] = row

    def _rows(self, step: int, epoch: int | None) -> Iterable[Row]:
        """The row of a step, which is nearly always the last one."""
        slot = step // self._span
        if not self.rows or self.rows[-1].step // self._span < slot:
            self.rows.append(Row(step, epoch or 0))
            if len(self.rows) > _ROWS:
                self._thin()
        row = self.rows[-1]
        row.step = max(row.step, step)
        return (row,)

    def _thin(self) -> None:
        joined: list[Row] = []
        self._span *= 2
        for row in self.rows:
            if joined and joined[-1].step // self._span == row.step // self._span:
                joined[-1].join(row)
            else:
                joined.append(row)
        self.rows = joined


def apart(one: float, other: float) -> float:
    """|one - other|; infinite where one alone is not a number."""
    if one == other or (math.isnan(one) and math.isnan(other)):
        return 0.0
    difference = abs(one - other)
    return math.inf if math.isnan(difference) else difference


def _apart(one: str, other: str) -> float:
    if one == other:
        return 0.0
    pairs = zip(read_samples(one), read_samples(other), strict=False)
    return max((apart(*pair) for pair in pairs), default=0.0)
