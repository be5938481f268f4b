"""A baseline: the findings that an earlier document has are known, and fail nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from opscan.accepted.split import split
from opscan.diffs.compare import Change, pair_places
from opscan.diffs.read import ReadReport, Spotted, read_report
from opscan.finding import Finding
from opscan.formats.json import json_text
from opscan.formats.paths import relative_path
from opscan.report.document import render_json, report_document
from opscan.report.fingerprint import target_identity
from opscan.report.report import Report


def with_known(report: Report, baseline: Sequence[ReadReport]) -> Report:
    """The report with the findings marked, place by place, that the baseline has for the same target.

    A place that could not vary there, or was waived, is not known if it counts now.
    """
    name = target_identity(report.target)
    old = next((each for each in baseline if target_identity(each.target) == name), None)
    if old is None:
        return report
    now = read_report(report_document(report), report.target)
    flags = iter(_known(old.places, now.places))
    parts = tuple(part for finding in report.findings for part in _marked(finding, flags))
    return replace(report, findings=parts, known_ops=old.unknown)


def render_baseline(reports: Iterable[Report], root: Path) -> str:
    """The reports as the JSON document, with paths relative to `root`: a file to keep beside the source."""
    document = json.loads(render_json(report.without_cost() for report in reports))
    return json_text(_relative(document, root)) + "\n"


def _relative(value: Any, root: Path) -> Any:
    """The same with each "file" below the root as a relative path."""
    if isinstance(value, list):
        return [_relative(each, root) for each in value]
    if not isinstance(value, dict):
        return value
    inner = {key: _relative(each, root) for key, each in value.items()}
    file = inner.get("file")
    return inner | {"file": relative_path(file, root) or file} if isinstance(file, str) else inner


def _known(old: Sequence[Spotted], new: Sequence[Spotted]) -> list[bool]:
    pairs, _ = pair_places(old, new)
    return [before is not None and not Change("changed", before, after).adds for before, after in pairs]


def _marked(finding: Finding, flags: Iterator[bool]) -> Iterator[Finding]:
    for is_known, part in split(finding, lambda _: next(flags)):
        yield replace(part, known=is_known)
