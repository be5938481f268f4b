"""The answer as a terminal shows it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from opscan.report.printable import printable_fields
from opscan.verifying.cause import KINDS, Cause
from opscan.verifying.growth import Row
from opscan.verifying.outcome import Verification

_LABEL = 12
_SHOWN = 10


def render_text(found: Verification, width: int = 80) -> str:
    """The first difference, what it comes from, and how it grows."""
    found = printable_fields(found)
    lines = [*textwrap.wrap(headline(found), width, break_on_hyphens=False), ""]
    cause = found.cause
    for each in (cause, *found.drifts):
        if each is not None:
            lines += [*_cause_lines(each, width), *[""] * bool(found.drifts)]
    for label, failure in zip(run_names(found), found.failures, strict=False):
        if failure:
            lines += _labelled(label, failure, width)
    for note in found.notes:
        lines += _labelled("note", note, width)
    lines += _labelled("compared", compared_words(found), width)
    for words in found.replicas:
        lines += _labelled("replicas", words, width)
    if cause is not None and found.growth.rows:
        lines += ["", *growth_lines(found)]
    return "\n".join(lines).rstrip() + "\n"


def _cause_lines(cause: Cause, width: int) -> list[str]:
    lines = textwrap.wrap(cause.what, width - 2, initial_indent="  ", subsequent_indent="  ")
    lines.append("")
    lines += [line for label, words in cause.lines for line in _labelled(label, words, width)]
    return lines + (_labelled("do", cause.advice, width) if cause.advice else [])


def run_names(found: Verification) -> Iterator[str]:
    """The names of all runs, as far as they were made."""
    for number in range(max(len(found.failures), 2)):
        yield found.labels[number] if number < len(found.labels) else f"run {number + 1}"


def headline(found: Verification) -> str:
    """`train.py: parts in step 0: initial weights`, or that the runs are identical."""
    if found.cause is not None:
        words = f"the runs part in step {found.cause.step}: {KINDS[found.cause.kind]}"
    elif any(found.failures):
        words = "not compared to the end; the same as far as both runs came"
    else:
        words = "identical to the last bit"
    if found.drifts:
        words = f"replicas drift apart from step {found.drifts[0].step} on; the runs: {words.removeprefix('the runs ')}"
    return f"{found.target}: {words}"


_UNITS = (
    ("step", "step"), ("weights", "set of weights"), ("batch", "batch"), ("op", "op"), ("draw", "draw"),
    ("value", "value"),
)  # fmt: skip


def compared_words(found: Verification) -> str:
    """`16 steps, 16 batches, 240 ops, 31 draws of random numbers`."""
    many = {"batch": "batches", "set of weights": "sets of weights"}
    parts = []
    for kind, unit in _UNITS:
        count = found.counts.get(kind, 0)
        if count:
            parts.append(f"{count:,} {unit if count == 1 else many.get(unit, unit + 's')}")
    return ", ".join(parts) + (f"; {found.steps} steps came in both runs" if found.cause is not None else "")


def _labelled(label: str, words: str, width: int) -> list[str]:
    indent = " " * (_LABEL + 2)
    return textwrap.wrap(
        words, width, initial_indent=f"  {label:<{_LABEL}}", subsequent_indent=indent, break_on_hyphens=False
    )


def growth_lines(found: Verification) -> list[str]:
    """The differences by step, and by epoch where there are several."""
    name = found.growth.name or "value"
    lines = ["  how it grows, by step; of each parameter and gradient 8 elements are compared"]
    lines += _table("step", shown_rows(found.growth.rows), name, found)
    if len(found.growth.epochs) > 1:
        lines += ["", "  by epoch"]
        lines += _table("epoch", shown_rows([row for _, row in sorted(found.growth.epochs.items())]), name, found)
    return lines


def shown_rows(rows: Sequence[Row]) -> list[Row]:
    """A few rows: the first one that differs and the one before, then ever further apart, and the last."""
    first = next((at for at, row in enumerate(rows) if row.difference or row.differing), 0)
    places = {max(first - 1, 0), first, len(rows) - 1}
    gap = 1
    while first + gap < len(rows) and len(places) < _SHOWN:
        places.add(first + gap)
        gap *= 2
    return [rows[at] for at in sorted(places)]


def _table(unit: str, rows: Sequence[Row], name: str, found: Verification) -> list[str]:
    head = (unit, f"{name[:12]} 1", f"{name[:12]} 2", "difference", "differing", "parameters", "gradients")
    cells = [head, *(cells_of(unit, row, found.growth.total) for row in rows)]
    used = [at for at in range(len(head)) if any(row[at] for row in cells[1:])]
    widths = {at: max(len(row[at]) for row in cells) for at in used}
    return ["  " + "  ".join(row[at].rjust(widths[at]) for at in used).rstrip() for row in cells]


def cells_of(unit: str, row: Row, total: int) -> tuple[str, ...]:
    """The texts of a row; "" for what is not known of it."""
    one, other = row.value or (None, None)
    return (
        str(row.epoch if unit == "epoch" else row.step),
        _number(one, 6),
        _number(other, 6),
        _number(row.difference, 3),
        "" if row.differing is None else f"{row.differing:g} of {total}",
        _number(row.parameters, 3),
        _number(row.gradients, 3),
    )


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}g}"
