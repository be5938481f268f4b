"""A report that a terminal may show: what stands in names cannot act upon it."""

from __future__ import annotations

import dataclasses
from typing import Any

from opscan.finding import Finding
from opscan.formats.text import printable, printable_prose
from opscan.report.report import Report

_PROSE = {"how", "message", "title", "bits_why", "assumptions", "failure", "differs", "obstacle", "reason"}
"""Fields of sentences and code, which may have lines."""


def printable_report(report: Report) -> Report:
    """The same report with escapes for control characters, in every text of it."""
    return dataclasses.replace(
        report,
        target=printable(report.target),
        assumptions=_clean(report.assumptions, True),
        unknown={printable(op): count for op, count in report.unknown.items()},
        findings=tuple(_of_fields(finding) for finding in report.findings),
        run=_of_fields(report.run) if report.run else None,
    )


def printable_finding(finding: Finding) -> Finding:
    """One finding of it."""
    cleaned: Finding = _of_fields(finding)
    return cleaned


def _of_fields(value: Any) -> Any:
    """A dataclass with its fields cleaned; itself if nothing is to be done, as nearly always."""
    changes = {}
    for field in dataclasses.fields(value):
        old = getattr(value, field.name)
        new = _clean(old, field.name in _PROSE)
        if new is not old:
            changes[field.name] = new
    return dataclasses.replace(value, **changes) if changes else value


def _clean(value: Any, prose: bool) -> Any:
    if isinstance(value, str):
        return printable_prose(value) if prose else printable(value)
    if isinstance(value, tuple):
        names = getattr(value, "_fields", ())
        parts = [
            _clean(each, prose or name in _PROSE) for each, name in zip(value, names or ("",) * len(value), strict=True)
        ]
        if all(new is old for new, old in zip(parts, value, strict=True)):
            return value
        return type(value)(*parts) if names else tuple(parts)
    return _of_fields(value) if dataclasses.is_dataclass(value) else value
