"""What a terminal shows of a sweep: totals, why targets were not traced, and which ops stand in the way."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterable

from tabulate import tabulate

from opscan.report.printable import printable_fields
from opscan.sweeps.reason import grouped
from opscan.sweeps.row import Row, most_frequent
from opscan.sweeps.table import Sweep

_MOST = 10
_SHORT = 160  # of a reason, as one of a group; the table has each in full


def render_summary(sweep: Sweep, width: int = 80) -> str:
    """Totals in a few lines, and short tables; at most `width` columns wide."""
    sweep = printable_fields(sweep)
    width = max(width, 60)
    setting = sweep.setting
    parts = [f"{setting.source}  ({setting.environment}{', eval mode' if setting.mode == 'eval' else ''})"]
    parts.append(_table(("training", "models"), trainings(sweep.rows), width) if sweep.traced else "")
    ways = [(str(count), f"{op} ({verdict})") for verdict, op, count in most_frequent(sweep.rows)]
    parts.append(_table(("models", "op in the way"), ways[:_MOST], width))
    parts.append(_table(("models", "not traced: why"), _reasons(sweep)[:_MOST], width))
    if sweep.skipped:
        count = len(sweep.skipped)
        what = f"{count} {'module' if count == 1 else 'modules'} could not be imported"
        parts.append(_filled(f"{what}: {_first(sweep)}", width))
    parts.append(_filled(total_line(sweep), width))
    return "\n\n".join(part for part in parts if part)


def trainings(rows: Iterable[Row]) -> list[tuple[str, str]]:
    """How many traced targets there are of each kind of training, the most frequent first."""
    counted = Counter(row.training for row in rows if row.training)
    return [(training, str(count)) for training, count in sorted(counted.items(), key=lambda each: (-each[1], each))]


def total_line(sweep: Sweep) -> str:
    """`95 of 100 targets traced (95.0%), 5 not.`."""
    total, traced = len(sweep.rows), len(sweep.traced)
    share = f" ({traced / total:.1%})" if total else ""
    failing = sum(row.fails for row in sweep.rows)
    return f"{traced} of {total} targets traced{share}; {failing} with findings, {total - traced} not looked at."


def _reasons(sweep: Sweep) -> list[tuple[str, str]]:
    return [
        (str(count), textwrap.shorten(reason, _SHORT)) for count, reason in grouped(row.reason for row in sweep.missed)
    ]


def _first(sweep: Sweep) -> str:
    module, reason = sweep.skipped[0]
    return f"{module} ({reason})" + (" and others" if len(sweep.skipped) > 1 else "")


def _filled(text: str, width: int) -> str:
    return textwrap.fill(text, width, subsequent_indent="  ", break_on_hyphens=False)


def _table(heads: tuple[str, str], lines: list[tuple[str, str]], width: int) -> str:
    """Two columns: a number, and text that is wrapped; nothing for no lines."""
    if not lines:
        return ""
    numbers = heads.index("models")
    room = width - max(len("models"), *(len(line[numbers]) for line in lines)) - 2
    wrapped = [
        tuple(
            cell if at == numbers else textwrap.fill(cell, room, break_on_hyphens=False) for at, cell in enumerate(line)
        )
        for line in lines
    ]
    return tabulate(
        wrapped, headers=heads, tablefmt="simple", disable_numparse=True,
        colalign=["right" if at == numbers else "left" for at in range(2)],
    )  # fmt: skip
