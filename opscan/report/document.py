"""The JSON document: stable, versioned, described in the README."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from opscan import __version__
from opscan.finding import Finding, Line, Place, Remedy, Spread
from opscan.formats.json import json_text
from opscan.report.fingerprint import code_of, place_fingerprints
from opscan.report.outcome import StaleWaiver, Unseen
from opscan.report.report import Report

SCHEMA = 1


def render_json(
    reports: Iterable[Report],
    unseen: Iterable[Unseen] = (),
    stale: Iterable[StaleWaiver] = (),
    status: int | None = None,
) -> str:
    """All reports as one document, two-space indented, in a stable order.

    `status` is the exit status of the command whose document it is: a launcher may end with another.
    """
    document = {
        "schema": SCHEMA,
        "opscan": __version__,
        "exit_status": status,
        "reports": [report_document(report) for report in reports],
        "not_looked_at": [{"target": each.target, "why": each.why, "skipped": not each.wanted} for each in unseen],
        "stale_waivers": [_stale(each) for each in stale],
    }
    return json_text(document)


def finding_rows(report: Report) -> list[dict[str, Any]]:
    """The findings of a report as plain dictionaries, as they stand in the document."""
    return [_finding(finding) for finding in report.findings]


def report_document(report: Report) -> dict[str, Any]:
    """One report as plain dictionaries, as it stands in the document."""
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


def _stale(stale: StaleWaiver) -> dict[str, Any]:
    waiver = stale.waiver
    return {
        "rule": stale.rule,
        "why": stale.why,
        "number": waiver.number,
        "waives": waiver.words,
        "reason": waiver.reason,
        "until": waiver.until.isoformat() if waiver.until else None,
        "message": stale.words,
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
        "reaches": _spread(finding.spread) if finding.spread else None,
        "message": finding.message,
        "replacements": [
            {"name": each.name, "same_values": each.same_values, "how": each.how} for each in finding.replacements
        ],
        "remedies": [_remedy(each) for each in finding.remedies],
        "waived": {"reason": finding.waived.reason, "until": finding.waived.until} if finding.waived else None,
        "known": finding.known,
        "places": [
            _place(place, each) for place, each in zip(finding.places, place_fingerprints(finding), strict=True)
        ],
    }


def _place(place: Place, fingerprint: str) -> dict[str, Any]:
    return {
        "module": place.module,
        "constructed": _line(place.constructed) if place.constructed else None,
        "called": _line(place.called) if place.called else None,
        "code": code_of(place),
        "count": place.count,
        "fingerprint": fingerprint,
    }


def _spread(spread: Spread) -> dict[str, Any]:
    return {
        "output": spread.output,
        "loss": spread.loss,
        "inputs": spread.inputs,
        "gradients": list(spread.gradients),
        "of_gradients": spread.of_gradients,
        "read": [_line(line) for line in spread.read],
    }


def _remedy(remedy: Remedy) -> dict[str, Any]:
    line = _line(remedy.line) if remedy.line else None
    return {**asdict(remedy), "name": f"opscan.replacements.{remedy.name}", "line": line}


def _line(line: Line) -> dict[str, Any]:
    return {"file": line.file, "line": line.line}
