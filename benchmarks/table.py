"""The rows as a table, and the page of them: from the data that a run left, and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from measure import ROOT, Row
from tabulate import tabulate

RESULTS = ROOT / "benchmarks" / "results.json"
PAGE = ROOT / "docs" / "benchmarks.md"
README = ROOT / "README.md"
_BLOCK = re.compile(r"(<!-- benchmarks -->\n).*?(\n<!-- /benchmarks -->)", re.DOTALL)


def printed(rows: Iterable[Row]) -> str:
    """A Markdown table."""
    cells = [(row.what, _cost(row, row.cost), row.floor, _cost(row, row.floor_cost), *_ratios(row)) for row in rows]
    headers = ("opscan", "", "beside", "", "ratio", "of wall time", "target")
    return str(tabulate(cells, headers=headers, tablefmt="github"))


def _cost(row: Row, value: float) -> str:
    if row.unit == "MiB":
        return f"{value:.0f} MiB"
    return f"{value:.2f} s" if value >= 1 else f"{value * 1000:.0f} ms" if value >= 0.01 else f"{value * 1000:.1f} ms"


def _ratios(row: Row) -> tuple[str, str, str]:
    """The ratio of CPU time, of wall time, and the target; `missed` stands beside a target that is."""
    target = ""
    if row.target is not None:
        target = ("at least " if row.above else "at most ") + _number(row, row.target) + ("" if row.met else ", missed")
    return _number(row, row.ratio), "" if row.wall_ratio is None else _number(row, row.wall_ratio), target


def _number(row: Row, value: float) -> str:
    if row.unit == "MiB":
        return f"{value:+.0f} MiB"
    return f"{value:.0f}x" if value >= 100 else f"{value:.3g}x"


def read() -> tuple[dict[str, Any], list[Row]]:
    """What the last run that was kept found: the machine, and the rows; nothing where none was."""
    if not RESULTS.is_file():
        return {}, []
    kept = json.loads(RESULTS.read_text(encoding="utf-8"))
    return kept["machine"], [Row(**row) for row in kept["rows"]]


def write(machine: Mapping[str, Any], rows: Sequence[Row]) -> None:
    """Keep a run, with its page and, where the README has a place for them, the rows that have targets."""
    kept = {"machine": machine, "rows": [asdict(row) for row in rows]}
    RESULTS.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(machine, rows), encoding="utf-8")
    README.write_text(filled(README.read_text(encoding="utf-8"), rows), encoding="utf-8")


def filled(text: str, rows: Sequence[Row]) -> str:
    """A text with the table of the rows that have targets between its two comments, if it has those."""
    table = printed(row for row in rows if row.target is not None)
    return _BLOCK.sub(lambda found: found[1] + table + found[2], text)


def page(machine: Mapping[str, Any], rows: Sequence[Row]) -> str:
    """docs/benchmarks.md."""
    parts = [
        "# What opscan costs",
        "<!-- Written by `python benchmarks/run.py --write`. -->",
        "Both sides of a row were measured alternately in one run: the times are medians, the ratios medians of the"
        " ratios of neighbours, first of CPU time (with that of child processes), then of wall time. Where opscan is"
        " the quicker one, the ratio is the other's cost divided by opscan's, and the target says at least. A scan lets"
        " Python's cyclic garbage collector rest, a bare step does not.",
        "Measured with opscan {opscan}, torch {torch} and Python {python} on {cores} cores, {on}.".format_map(machine),
        "![Cost by the number of ops, and ratios](benchmarks.png)",
    ]
    for section in dict.fromkeys(row.section for row in rows):
        parts += [f"## {section[0].upper()}{section[1:]}", printed(row for row in rows if row.section == section)]
        if section == "cost by ops":
            parts.append(f"CPU time grows with the {machine['slope']:.2f}th power of the number of ops.")
    return "\n\n".join(parts) + "\n"
