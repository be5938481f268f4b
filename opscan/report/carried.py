"""A report on its way from the process that looked: what is left behind there, and what is put back here."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import replace

from opscan.finding import Finding
from opscan.report.report import Report
from opscan.rules.load import Ruleset

_LARGEST_SOURCE = 1 << 26


def packed(report: Report, drawn: bool) -> Report:
    """The report without the rules behind it, which the other process has, and with its graph only if it is `drawn`."""
    return replace(report, rules=(), graph=report.graph if drawn else None)


def unpacked(report: Report, rules: Ruleset) -> Report:
    """The report with the rules behind its findings. Raises ValueError where it names a file that is no source."""
    for file in _files(report.findings):
        if not _may_be_source(file):
            raise ValueError(f"its findings are in {file!r:.200}, which is no source file")
    wanted = {finding.rule for finding in report.findings}
    return replace(report, rules=tuple(rule for rule in rules.rules if rule.id in wanted))


def _files(findings: Iterable[Finding]) -> set[str]:
    lines = [line for each in findings for line in (*each.constructed, *each.called)]
    lines += [each.line for finding in findings for each in finding.remedies if each.line]
    lines += [line for each in findings if each.spread for line in each.spread.read]
    return {line.file for line in lines}


def _may_be_source(file: str) -> bool:
    """Whether reading a file ends: it is not there, or an ordinary one."""
    try:
        found = os.stat(file)
    except (OSError, ValueError):
        return True
    return stat.S_ISREG(found.st_mode) and found.st_size < _LARGEST_SOURCE
