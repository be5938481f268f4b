"""Findings as SARIF 2.1.0: one result for each line of a finding, with the edit that mends it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from opscan.finding import Finding
from opscan.formats.paths import find_root
from opscan.formats.sarif import artifact, notification, physical, render_run
from opscan.formats.text import printable
from opscan.remedies.suggest import Desk
from opscan.report.fingerprint import fingerprint, target_identity
from opscan.report.fixes import fixes_at
from opscan.report.message import sentence
from opscan.report.outcome import UNJUDGED, Outcome, StaleWaiver, unjudged_words
from opscan.report.report import Report
from opscan.report.spots import Spot, spot_fingerprint, spots
from opscan.report.targets import file_of

_FINGERPRINT = "opscan/v1"


def render_sarif(outcome: Outcome, root: Path | None = None) -> str:
    """One run. Paths are relative to `root`, by default the git repository of the current folder, or that folder.

    Waived findings are results with a suppression, those of a baseline are "unchanged". What was not looked at is a
    notification, and a stale waiver a result at its pyproject.toml.
    """
    base = find_root(Path.cwd()) if root is None else root
    found = [(report, each) for report in outcome.reports for each in outcome.in_documents(report)]
    rules = {each.rule: _rule(each) for _, each in found} | {each.rule: _stale_rule(each) for each in outcome.stale}
    if any(outcome.unjudged(report) for report in outcome.reports):
        rules[UNJUDGED] = {"id": UNJUDGED, "shortDescription": {"text": "No rule speaks for an op"}}
    order = sorted(rules)
    results = list(_results(outcome, found, order, base))
    for report in outcome.reports:
        results += [
            _unjudged(report, op, base) | {"ruleIndex": order.index(UNJUDGED)} for op in outcome.unjudged(report)
        ]
    results += [_stale(each, base) | {"ruleIndex": order.index(each.rule)} for each in outcome.stale]
    unseen = [notification(f"{each.target}: {each.why}", "error" if each.wanted else "note") for each in outcome.unseen]
    return render_run("opscan check", [rules[each] for each in order], results, unseen, base)


def _results(
    outcome: Outcome, found: Sequence[tuple[Report, Finding]], order: Sequence[str], root: Path
) -> Iterator[dict[str, Any]]:
    """A result for each line of each finding; equal lines are numbered, so that no two have one fingerprint."""
    seen, desk = Counter[str](), Desk()
    for report, finding in found:
        for spot in spots(finding):
            name = spot_fingerprint(report.target, finding, spot)
            yield _result(outcome, report, finding, spot, root, desk) | {
                "ruleIndex": order.index(finding.rule),
                "partialFingerprints": {_FINGERPRINT: f"{name}:{seen[name]}"},
            }
            seen[name] += 1


def _rule(finding: Finding) -> dict[str, Any]:
    others = [f"Instead, {each.name}:\n{each.how.strip()}" for each in finding.replacements]
    return {
        "id": finding.rule,
        "shortDescription": {"text": finding.title},
        "fullDescription": {"text": finding.message},
        "help": {"text": "\n\n".join([finding.message, *others, f"opscan rules show {finding.rule}"])},
    }


def _stale_rule(stale: StaleWaiver) -> dict[str, Any]:
    title = {"expired": "A waiver has ended", "unused": "A waiver accepts nothing"}[stale.why]
    return {"id": stale.rule, "shortDescription": {"text": title}, "defaultConfiguration": {"level": "error"}}


def _result(outcome: Outcome, report: Report, finding: Finding, spot: Spot, root: Path, desk: Desk) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "kind": "fail",
        "level": "error" if outcome.failing(report, finding) else "note",
        "message": {"text": f"{report.target}: {sentence(finding, spot.modules)}"},
        "locations": [_location(report, spot, root)],
        "occurrenceCount": sum(place.count for place in spot.places),
    }
    if finding.waived is not None:
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": finding.waived.reason}]
    if outcome.has_baseline:
        result["baselineState"] = "unchanged" if finding.known else "new"
    properties = _properties(report, finding)
    if properties:
        result["properties"] = properties
    fixes = fixes_at(finding, spot, root, desk)
    return result | ({"fixes": fixes} if fixes else {})


def _properties(report: Report, finding: Finding) -> dict[str, Any]:
    """The ranks that have it where not all have, and how many there are; no property of SARIF's own says that."""
    if report.world is None:
        return {}
    ranks = None if finding.ranks is None else list(finding.ranks)
    return {"ranks": ranks, "worldSize": report.world.size, "allRanksRan": report.world.real}


def _unjudged(report: Report, op: str, root: Path) -> dict[str, Any]:
    return {
        "ruleId": UNJUDGED,
        "level": "error",
        "message": {"text": printable(f"{report.target}: {unjudged_words(op)}")},
        "locations": [_somewhere(report, root)],
        "partialFingerprints": {_FINGERPRINT: fingerprint((target_identity(report.target), UNJUDGED, op))},
    }


def _location(report: Report, spot: Spot, root: Path) -> dict[str, Any]:
    """The line, or the target's file where none is known; and the modules by their paths."""
    names = [{"fullyQualifiedName": each, "kind": "member"} for each in spot.modules if each]
    location: dict[str, Any] = {"logicalLocations": names} if names else {}
    if spot.line is None:
        return location | _somewhere(report, root)
    span = spot.span
    region = {"startLine": spot.line.line}
    if span is not None:
        region = {
            "startLine": span.line, "startColumn": span.column, "endLine": span.end_line, "endColumn": span.end_column,
        }  # fmt: skip
    return location | physical(spot.line.file, root, region)


def _somewhere(report: Report, root: Path) -> dict[str, Any]:
    """The file of a target whose lines are not known."""
    file = file_of(report.target)
    return physical(file, root) if file else {"message": {"text": printable(f"somewhere in {report.target}")}}


def _stale(stale: StaleWaiver, root: Path) -> dict[str, Any]:
    return {
        "ruleId": stale.rule,
        "level": "error",
        "message": {"text": stale.words},
        "locations": [{"physicalLocation": {"artifactLocation": artifact(str(stale.waiver.config), root)}}],
        "partialFingerprints": {_FINGERPRINT: stale.fingerprint},
    }
