"""The columns of a sweep's table, and the formats that hold all of them: CSV, which is also read again, and JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from opscan.errors import SweepError
from opscan.formats.cells import cell, text_of
from opscan.formats.json import json_text
from opscan.report.report import ALL_VERDICTS
from opscan.sweeps.row import Row, row_from
from opscan.sweeps.table import Setting, Sweep

SCHEMA = 1

_COUNTED = ("parameters", "forward_ops", "backward_ops", *ALL_VERDICTS)
_YES_NO = ("fails", "loss")
_SETTING = tuple(Setting.__dataclass_fields__)
_COST = ("seconds", "peak_bytes")
_FIRST = ("target", "family", "outcome", "training", "fails", "parameters", "forward_ops", "backward_ops")
_LAST = ("in_the_way", "loss", "reason")


def columns_of(cost: bool) -> tuple[str, ...]:
    """The names of the columns. The last ones say what the sweep was for, so that tables can be put together."""
    return (*_FIRST, *ALL_VERDICTS, *_LAST, *(_COST if cost else ()), *_SETTING)


def records(sweep: Sweep, cost: bool) -> list[dict[str, Any]]:
    """Each row as plain values by column; None where a target was not traced."""
    return [{name: record[name] for name in columns_of(cost)} for record in map(_record, sweep.rows, _same(sweep))]


def _same(sweep: Sweep) -> list[Setting]:
    return [sweep.setting] * len(sweep.rows)


def _record(row: Row, setting: Setting) -> dict[str, Any]:
    counts = {verdict: row.counts.get(verdict, 0) if row.training else None for verdict in ALL_VERDICTS}
    return {**row.document(), **counts, "in_the_way": row.ways, **asdict(setting)}


def render_csv(sweep: Sweep, cost: bool = False) -> str:
    """The table as CSV; yes and no for what is so or not, nothing where there is nothing to say."""
    file = io.StringIO()
    writer = csv.DictWriter(file, columns_of(cost), lineterminator="\n")
    writer.writeheader()
    writer.writerows({name: _cell(value) for name, value in record.items()} for record in records(sweep, cost))
    return file.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return cell(value) if isinstance(value, str) else value


def render_json(sweep: Sweep, cost: bool = False) -> str:
    """The table as one document, rows in order, ops in the way as numbers by verdict and name."""
    left_out = () if cost else _COST
    document = {
        "schema": SCHEMA,
        **asdict(sweep.setting),
        "skipped": [{"module": module, "reason": reason} for module, reason in sweep.skipped],
        "rows": [{name: value for name, value in row.document().items() if name not in left_out} for row in sweep.rows],
    }
    return json_text(document)


def read_csv(path: Path) -> Sweep:
    """The sweep that a CSV file holds. Raises SweepError if it is not one of a sweep."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            records = [{name: text_of(each) for name, each in record.items()} for record in csv.DictReader(file)]
        settings = [Setting(**{name: record[name] for name in _SETTING}) for record in records]
        rows = tuple(map(_row, records))
    except (OSError, UnicodeDecodeError, csv.Error, KeyError, TypeError, ValueError) as error:
        raise SweepError(f"is not the table of a sweep: {error!r}", str(path), "Name one written with -o.") from error
    if len(set(settings)) != 1:
        raise SweepError(f"holds {len(set(settings))} sweeps", str(path), "Name a table of one sweep.")
    return Sweep(settings[0], rows)


def _row(record: Mapping[str, str]) -> Row:
    if None in record or None in record.values():
        raise ValueError("a line has more or fewer cells than the first")
    numbers = {name: int(record[name]) if record[name] else None for name in _COUNTED}
    values: dict[str, Any] = {name: record[name] for name in (*_FIRST, "reason")}
    values |= {name: numbers[name] for name in _COUNTED if name in _FIRST}
    values |= {name: {"yes": True, "no": False}.get(record[name]) for name in _YES_NO}
    values["training"] = values["training"] or None
    values["counts"] = {verdict: numbers[verdict] for verdict in ALL_VERDICTS if numbers[verdict]}
    return row_from({**values, "in_the_way": _ways(record["in_the_way"])})


def _ways(text: str) -> dict[str, dict[str, int]]:
    """What `Row.ways` says, as numbers."""
    ways = {}
    for part in filter(None, text.split("; ")):
        verdict, _, ops = part.partition(": ")
        ways[verdict] = {op: int(count) for op, _, count in (each.rpartition(" ") for each in ops.split(", "))}
    return ways
