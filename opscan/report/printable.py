"""Values that may be shown: what stands in names can act neither upon a terminal nor upon a page."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, TypeVar

from opscan.formats.text import printable, printable_prose
from opscan.report.report import Report

_PROSE = {
    "how", "message", "title", "bits_why", "assumptions", "failure", "differs", "obstacle", "reason",
    "what", "lines", "advice", "failures", "notes",
}  # fmt: skip
"""Fields of sentences and code, which may have lines."""

Value = TypeVar("Value")


def printable_fields(value: Value) -> Value:
    """A dataclass with escapes for control characters in every text of it; itself if there are none."""
    cleaned: Value = _of_fields(value)
    return cleaned


def printable_report(report: Report) -> Report:
    """The same report with escapes for control characters, in every text of it."""
    return dataclasses.replace(
        report,
        target=printable(report.target),
        assumptions=_clean(report.assumptions, True),
        unknown=_clean(report.unknown, False),
        findings=tuple(_of_fields(finding) for finding in report.findings),
        run=_of_fields(report.run) if report.run else None,
        world=_of_fields(report.world) if report.world else None,
    )


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
    if isinstance(value, Mapping):
        return {_clean(key, False): _clean(each, prose) for key, each in value.items()}
    if isinstance(value, tuple):
        names = getattr(value, "_fields", ())
        parts = [
            _clean(each, prose or name in _PROSE) for each, name in zip(value, names or ("",) * len(value), strict=True)
        ]
        if all(new is old for new, old in zip(parts, value, strict=True)):
            return value
        return type(value)(*parts) if names else tuple(parts)
    return _of_fields(value) if dataclasses.is_dataclass(value) else value
