"""Findings as CSV: a row for each."""

from __future__ import annotations

import csv
import io
from pathlib import Path

from opscan.finding import Finding, Line
from opscan.formats.cells import cell
from opscan.formats.paths import find_root, relative_path
from opscan.report.fingerprint import fingerprint, place_fingerprints, target_identity
from opscan.report.outcome import Outcome
from opscan.report.reaches import reach_words
from opscan.report.report import Report
from opscan.report.spots import spots

COLUMNS = (
    "target", "device", "torch", "rule", "verdict", "fails", "op", "phase", "count", "modules", "lines", "bits",
    "default", "strict", "warn_only", "observed", "reaches", "waived", "known", "message", "fingerprint",
    "ranks", "world",
)  # fmt: skip


def render_csv(outcome: Outcome, root: Path | None = None) -> str:
    """Every finding of every report, those that fail nothing too, and the ops that no rule speaks for; then a row for
    each stale waiver.

    Paths are relative to `root`, by default the git repository of the current folder, or that folder.
    What a spreadsheet would take for a formula has an apostrophe before it.
    """
    base = find_root(Path.cwd()) if root is None else root
    written = io.StringIO()
    writer = csv.writer(written, lineterminator="\n")
    writer.writerow(COLUMNS)
    for report in outcome.reports:
        for finding in report.findings:
            writer.writerow([_cell(each) for each in _row(outcome, report, finding, base)])
        for op, count in report.unknown.items():
            fails = op in outcome.unjudged(report)
            cells = {"target": report.target, "verdict": "unknown", "fails": fails, "op": op, "count": count}
            writer.writerow([_cell(cells.get(column)) for column in COLUMNS])
    for each in outcome.stale:
        cells = {
            "target": "pyproject.toml",
            "rule": each.rule,
            "verdict": each.why,
            "fails": True,
            "message": each.words,
        }
        writer.writerow([_cell(cells.get(column)) for column in COLUMNS])
    return written.getvalue()


def _row(outcome: Outcome, report: Report, finding: Finding, root: Path) -> tuple[object, ...]:
    environment = report.environment
    return (
        report.target,
        environment.device,
        str(environment.torch),
        finding.rule,
        finding.verdict,
        outcome.failing(report, finding),
        finding.op,
        finding.phase,
        finding.count,
        ";".join(finding.modules),
        ";".join(_place(each.line, root) for each in spots(finding) if each.line),
        finding.bits,
        finding.default,
        finding.strict,
        finding.warn_only,
        finding.observed,
        reach_words(finding.spread) if finding.spread else None,
        finding.waived.reason if finding.waived else None,
        finding.known,
        " ".join(finding.message.split()),
        fingerprint((target_identity(report.target), *sorted(place_fingerprints(finding)))),
        ";".join(map(str, finding.ranks)) if finding.ranks is not None else None,
        report.world.size if report.world is not None else None,
    )


def _place(line: Line, root: Path) -> str:
    return f"{relative_path(line.file, root) or line.file}:{line.line}"


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return cell(str(value))
