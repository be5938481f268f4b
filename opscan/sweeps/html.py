"""A sweep as a page of HTML. Every text from outside is escaped."""

from __future__ import annotations

from html import escape
from typing import Any

from opscan.report.printable import printable_fields
from opscan.sweeps.columns import columns_of, records
from opscan.sweeps.summary import total_line
from opscan.sweeps.table import Setting, Sweep

_STYLE = "td,th{text-align:left;vertical-align:top;padding:.2em .6em}"


def render_html(sweep: Sweep, cost: bool = False) -> str:
    """The whole table under its totals."""
    sweep = printable_fields(sweep)
    names = [name for name in columns_of(cost) if name not in Setting.__dataclass_fields__]
    head = "".join(f"<th>{escape(name.replace('_', ' '))}</th>" for name in names)
    rows = "".join(
        f"<tr>{''.join(f'<td>{escape(_words(record[name]))}</td>' for name in names)}</tr>"
        for record in records(sweep, cost)
    )
    title = escape(f"opscan sweep of {sweep.setting.source} ({sweep.setting.environment})")
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style></head><body><h1>{title}</h1><p>{escape(total_line(sweep))}</p>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></body></html>"
    )


def _words(value: Any) -> str:
    if value is None:
        return ""
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
