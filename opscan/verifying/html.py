"""The answer as a page of its own, with plots. Every text from outside is escaped."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from opscan.report.printable import printable_fields
from opscan.verifying.growth import Row
from opscan.verifying.outcome import Verification
from opscan.verifying.plot import plot
from opscan.verifying.text import cells_of, compared_words, headline, run_names, shown_rows

_STYLE = """\
body{font-family:sans-serif;font-size:14px;line-height:1.45;color:#24292f;max-width:60em;margin:2em auto;padding:0 1em}
table{border-collapse:collapse}th,td{text-align:left;vertical-align:top;padding:2px 14px 2px 0}
.numbers td,.numbers th{text-align:right}.part{margin:1.2em 0;overflow-x:auto}
"""


def render_page(found: Verification) -> str:
    """A whole document; it loads nothing."""
    title = escape(headline(printable_fields(found)))
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style></head><body>{render_body(found)}</body></html>\n"
    )


def render_body(found: Verification) -> str:
    """The same without a head, as a notebook shows it."""
    found = printable_fields(found)
    parts = [f"<h2>{escape(headline(found))}</h2>"]
    rows: list[tuple[str, str]] = []
    if found.cause is not None:
        parts.append(f"<p>{escape(found.cause.what)}</p>")
        rows += found.cause.lines
        rows += [("do", found.cause.advice)] if found.cause.advice else []
    for each in found.drifts:
        rows += [("replicas", each.what), *each.lines, *([("do", each.advice)] if each.advice else [])]
    rows += [(name, words) for name, words in zip(run_names(found), found.failures, strict=False) if words]
    rows += [("note", note) for note in found.notes]
    rows.append(("compared", compared_words(found)))
    rows += [("replicas", words) for words in found.replicas]
    cells = "".join(f"<tr><th>{escape(label)}</th><td>{escape(words)}</td></tr>" for label, words in rows)
    parts.append(f'<div class="part"><table>{cells}</table></div>')
    parts += [f'<div class="part">{each}</div>' for each in (*_plots(found), *_tables(found)) if each]
    return f"<div>{''.join(parts)}</div>"


def _plots(found: Verification) -> list[str]:
    name, rows = found.growth.name or "value", found.growth.rows
    epochs = [row for _, row in sorted(found.growth.epochs.items())]
    plots = [_values(name, "step", rows, found), _differences("step", rows, name)]
    if len(epochs) > 1:
        plots += [_values(f"{name}, last of each epoch", "epoch", epochs, found), _differences("epoch", epochs, name)]
    return plots


def _values(title: str, unit: str, rows: Sequence[Row], found: Verification) -> str:
    curves = [
        (found.labels[side], [(_x(unit, row), row.value[side]) for row in rows if row.value is not None])
        for side in (0, 1)
    ]
    return plot(title, unit, curves)


def _differences(unit: str, rows: Sequence[Row], name: str) -> str:
    if not any(row.difference or row.parameters or row.gradients for row in rows):
        return ""
    curves = [
        (name, [(_x(unit, row), row.difference) for row in rows if row.difference is not None]),
        ("parameters", [(_x(unit, row), row.parameters) for row in rows if row.parameters is not None]),
        ("gradients", [(_x(unit, row), row.gradients) for row in rows if row.gradients is not None]),
    ]
    return plot(f"difference, by {unit}", unit, [each for each in curves if each[1]], logarithmic=True)


def _x(unit: str, row: Row) -> int:
    return row.epoch if unit == "epoch" else row.step


def _tables(found: Verification) -> list[str]:
    if found.cause is None or not found.growth.rows:
        return []
    name = escape(found.growth.name or "value")
    heads = (f"{name} 1", f"{name} 2", "difference", "differing", "parameters", "gradients")
    tables = []
    for unit, rows in (("step", found.growth.rows), ("epoch", [row for _, row in sorted(found.growth.epochs.items())])):
        if unit == "epoch" and len(rows) < 2:
            continue
        head = "".join(f"<th>{each}</th>" for each in (unit, *heads))
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells_of(unit, row, found.growth.total)) + "</tr>"
            for row in shown_rows(rows)
        )
        tables.append(f'<table class="numbers"><tr>{head}</tr>{body}</table>')
    return tables
