"""Waivers put to a report, and those that are of no use any more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date

from opscan.accepted.split import split
from opscan.finding import Finding, Place, Waived
from opscan.report.outcome import StaleWaiver
from opscan.report.report import Report
from opscan.report.targets import file_of
from opscan.waiver import Waiver


def waive(report: Report, waivers: Sequence[Waiver], today: date) -> Report:
    """The report with what the waivers accept marked so, place by place; one that has ended accepts nothing."""
    holding = [each for each in waivers if not each.has_ended(today)]
    if not holding:
        return report
    parts = (part for finding in report.findings for part in _waived(finding, report.target, holding))
    return replace(report, findings=tuple(parts))


def _waived(finding: Finding, label: str, waivers: Sequence[Waiver]) -> Iterator[Finding]:
    def mark(place: Place) -> Waived | None:
        found = next((each for each in waivers if each.covers(label, finding.rule, finding.op, place)), None)
        if found is None:
            return None
        return Waived(found.reason, found.until.isoformat() if found.until else None, found.number)

    for waived, part in split(finding, mark):
        yield replace(part, waived=waived) if waived else part


def stale_waivers(
    waivers: Iterable[Waiver], reports: Sequence[Report], today: date, all_were_scanned: bool = True
) -> list[StaleWaiver]:
    """The waivers that have ended, or that accept nothing in reports they are about.

    What is said of a pattern of targets or files, or of all, counts as unused only with `all_were_scanned`: else a
    target that was not may need it.
    """
    used = {finding.waived.number for report in reports for finding in report.findings if finding.waived}
    found = []
    for waiver in waivers:
        if not any(waiver.is_about(report.target, _files_of(report)) for report in reports):
            continue
        if waiver.has_ended(today):
            found.append(StaleWaiver(waiver, "expired"))
        elif waiver.number not in used and (waiver.is_exact or all_were_scanned):
            found.append(StaleWaiver(waiver, "unused"))
    return found


def _files_of(report: Report) -> set[str]:
    """The files that a report speaks of: the target's own, and those of its lines."""
    lines = (each for finding in report.findings for each in (*finding.constructed, *finding.called))
    own = file_of(report.target)
    return {each.file for each in lines} | ({own} if own else set())
