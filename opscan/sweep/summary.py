"""What a terminal shows of a sweep: totals, why targets were not traced, and which ops stand in the way."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from collections.abc import Iterable

from tabulate import tabulate

from opscan.sweep.row import Row, most_frequent
from opscan.sweep.table import Sweep

_MOST = 10


def render_summary(sweep: Sweep, width: int = 80) -> str:
    """Totals in a few lines, and short tables; at most `width` columns wide."""
    width = max(width, 60)
    setting = sweep.setting
    parts = [f"{setting.source}  ({setting.environment}{', eval mode' if setting.mode == 'eval' else ''})"]
    parts.append(_table(("training", "models"), trainings(sweep.rows), width) if sweep.traced else "")
    ways = [(str(count), f"{op} ({verdict})") for verdict, op, count in most_frequent(sweep.rows)]
    parts.append(_table(("models", "op in the way"), ways[:_MOST], width))
    parts.append(_table(("models", "not traced: why"), reasons(sweep.missed)[:_MOST], width))
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


def reasons(rows: Iterable[Row]) -> list[tuple[str, str]]:
    """Reasons with how many targets have them; those that differ in numbers and names only count as one."""
    alike: dict[str, list[str]] = {}
    for row in rows:
        alike.setdefault(_kind(row.reason), []).append(row.reason)
    return [(str(len(each)), each[0]) for each in sorted(alike.values(), key=lambda each: (-len(each), each[0]))]


def _kind(reason: str) -> str:
    return re.sub(
        r"\d+|'[^']*'|\([^()]*\)|\b\w*[A-Z]\w*[a-z]\w*\b(?!Error)", "", reason.partition(" raised ")[2] or reason
    )


def total_line(sweep: Sweep) -> str:
    """`95 of 100 targets traced (95.0%), 5 not.`."""
    total, traced = len(sweep.rows), len(sweep.traced)
    share = f" ({traced / total:.1%})" if total else ""
    failing = sum(row.fails for row in sweep.rows)
    return f"{traced} of {total} targets traced{share}; {failing} with findings, {total - traced} not looked at."


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
