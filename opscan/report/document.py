"""The JSON document: stable, versioned, described in the README."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from opscan import __version__
from opscan.finding import Finding, Line, Remedy
from opscan.report.report import Report

SCHEMA = 1


def render_json(reports: Iterable[Report]) -> str:
    """All reports as one document, two-space indented, in a stable order."""
    document = {"schema": SCHEMA, "opscan": __version__, "reports": [_report(report) for report in reports]}
    return json.dumps(document, indent=2, ensure_ascii=False)


def finding_rows(report: Report) -> list[dict[str, Any]]:
    """The findings of a report as plain dictionaries, as they stand in the document."""
    return [_finding(finding) for finding in report.findings]


def _report(report: Report) -> dict[str, Any]:
    environment = report.environment
    return {
        "target": report.target,
        "environment": {
            "device": environment.device,
            "torch": str(environment.torch),
            "strict": environment.strict,
            "amp": environment.amp,
        },
        "assumptions": list(report.assumptions),
        "ops": {"forward": report.forward_ops, "backward": report.backward_ops},
        "unknown": dict(report.unknown),
        "run": asdict(report.run) if report.run else None,
        "cost": asdict(report.cost) if report.cost else None,
        "world": asdict(report.world) if report.world else None,
        "findings": finding_rows(report),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "rule": finding.rule,
        "verdict": finding.verdict,
        "op": finding.op,
        "phase": finding.phase,
        "count": finding.count,
        "modules": list(finding.modules),
        "module_type": finding.module_type,
        "constructed": [_line(line) for line in finding.constructed],
        "called": [_line(line) for line in finding.called],
        "default": finding.default,
        "strict": finding.strict,
        "warn_only": finding.warn_only,
        "bits": finding.bits,
        "bits_why": finding.bits_why,
        "alert": finding.alert,
        "newer_torch": finding.newer_torch._asdict() if finding.newer_torch else None,
        "ranks": None if finding.ranks is None else list(finding.ranks),
        "predicted": finding.predicted,
        "observed": finding.observed,
        "replay": finding.replay._asdict() if finding.replay else None,
        "message": finding.message,
        "replacements": [
            {"name": each.name, "same_values": each.same_values, "how": each.how} for each in finding.replacements
        ],
        "remedies": [_remedy(each) for each in finding.remedies],
    }


def _remedy(remedy: Remedy) -> dict[str, Any]:
    line = _line(remedy.line) if remedy.line else None
    return {**asdict(remedy), "name": f"opscan.replacements.{remedy.name}", "line": line}


def _line(line: Line) -> dict[str, Any]:
    return {"file": line.file, "line": line.line}
