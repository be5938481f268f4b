"""What opscan costs, as ratios measured side by side in one run: `python benchmarks/run.py`, or `make bench`.

Prints a table. With --write (as `make bench` has it) the rows are kept in benchmarks/results.json, with the table and
the plot in docs/ and the rows that have targets in the README; with --only the other sections stay as they were. It
takes about ten minutes on two cores and needs no network. Other linters are left out where they are not installed: see
benchmarks/lint.py.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import devices
import lint
import onebyone
import scans
import startup
import table
import torch
from measure import Row

import opscan

_SECTIONS = ("start-up", "scan", "cost by ops", "memory", "lint", "device", "one by one")


def measured(arguments: argparse.Namespace) -> list[Row]:
    """The rows of the sections asked for, each printed as it comes."""
    runs, tree = arguments.runs, os.path.abspath(arguments.tree or lint.default_tree())
    makers: dict[str, Callable[[], Iterable[Row]]] = {
        "start-up": lambda: startup.rows(runs),
        "scan": lambda: scans.rows(runs),
        "cost by ops": lambda: scans.rows_by_ops(runs, arguments.most_ops),
        "memory": lambda: [scans.memory_row()],
        "lint": lambda: lint.rows(tree, arguments.bin, runs),
        "device": lambda: devices.rows(runs),
        "one by one": lambda: [onebyone.row(runs)],
    }
    rows = []
    for section in arguments.only or _SECTIONS:
        start = time.perf_counter()
        for row in makers[section]():
            rows.append(row)
            print(f"  {row.what}: {row.ratio:.3g} beside {row.floor}", flush=True)
        print(f"{section}: {time.perf_counter() - start:.0f} s", flush=True)
    return rows


def together(rows: list[Row]) -> list[Row]:
    """The rows with those that were kept of sections that were not measured now, if it was on the same machine."""
    now, kept_on, kept = machine([]), *table.read()
    if now != {**kept_on, "slope": now["slope"]}:
        return rows
    measured_now = {row.section for row in rows}
    others = [row for row in kept if row.section not in measured_now]
    return sorted([*rows, *others], key=lambda row: _SECTIONS.index(row.section))


def machine(rows: Iterable[Row]) -> dict[str, Any]:
    """What the numbers hold for; no date, so that equal runs would be equal."""
    from picture import ops_of

    by_ops = [row for row in rows if row.section == "cost by ops"]
    return {
        "opscan": opscan.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "on": _processor(),
        "cores": os.cpu_count(),
        "slope": round(scans.slope([ops_of(row) for row in by_ops], [row.cost for row in by_ops]), 3)
        if by_ops
        else None,
    }


def _processor() -> str:
    """The processor's own name where the system tells it, else its family."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text().splitlines() if told.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="pairs measured per row; fewer of what takes long")
    parser.add_argument("--only", action="append", choices=_SECTIONS, help="a section; may be given again")
    parser.add_argument("--most-ops", type=int, default=300_000, help="where the cost by ops ends")
    parser.add_argument("--tree", help="what is linted (default: the sources of torch.nn)")
    parser.add_argument("--bin", default="", metavar="FOLDER", help="where the other linters are")
    parser.add_argument("--write", action="store_true", help="keep the rows, the page and the plot")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rows = measured(arguments)
    print(table.printed(rows))
    if arguments.write:
        import picture

        rows = together(rows)
        table.write(machine(rows), rows)
        picture.draw(rows)


if __name__ == "__main__":
    main()
