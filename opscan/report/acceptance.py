"""What is accepted, in words: waived findings with their reasons, and how many a baseline has."""

from __future__ import annotations

from collections.abc import Iterable

from opscan.finding import Finding
from opscan.report.paths import short_paths
from opscan.report.report import Report, varies_in


def waived_lines(report: Report) -> list[str]:
    """One line for each waived finding, with its reason."""
    return [f"waived: {waived_words(finding)}" for finding in report.findings if finding.waived]


def known_findings(report: Report) -> list[Finding]:
    """What would be listed if a baseline did not have it."""
    return [each for each in report.findings if each.known and not each.waived and varies_in(each, None)]


def waived_words(finding: Finding) -> str:
    """`aten.cumsum.default silent in head (OPS301): the reason (until 2027-03-31)`."""
    return f"{finding.op} {finding.verdict} in {modules_words(finding)} ({finding.rule}): {reason_words(finding)}"


def reason_words(finding: Finding) -> str:
    """Why a finding is waived, and until when; "" for one that is not."""
    if finding.waived is None:
        return ""
    return " ".join(finding.waived.reason.split()) + (
        f" (until {finding.waived.until})" if finding.waived.until else ""
    )


def modules_words(finding: Finding) -> str:
    """The first module concerned, and how many there are beside it: `conv1 and 5 more`."""
    return place_names(finding.modules)


def place_names(modules: Iterable[str]) -> str:
    """The first of some modules, and how many there are beside it; "" is the model itself."""
    names = short_paths(dict.fromkeys(module or "(model)" for module in modules))
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def accepted_among(findings: Iterable[Finding]) -> str:
    """` Of them 4 are waived and 2 known from the baseline.`, or nothing."""
    findings = list(findings)
    waived = sum(each.count for each in findings if each.waived)
    known = sum(each.count for each in findings if each.known and not each.waived)
    words = [*([f"{waived} waived"] if waived else []), *([f"{known} known from the baseline"] if known else [])]
    return f" Of them {' and '.join(words)}." if words else ""
