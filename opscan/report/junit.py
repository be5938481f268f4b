"""Findings as JUnit XML: a suite for each target, a test case for each finding, one that passes where there is none.

Source: the format is Ant's; testmoapp/junitxml lists what its readers have in common.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from xml.etree import ElementTree as ET

from opscan.distributed.ranks import world_words
from opscan.finding import Finding
from opscan.formats.text import printable, printable_prose
from opscan.report.acceptance import modules_words, reason_words
from opscan.report.message import headline, paragraphs
from opscan.report.outcome import UNJUDGED, Outcome, unjudged_words
from opscan.report.report import Report
from opscan.report.words import place_words

Case = ET.Element


def render_junit(outcome: Outcome) -> str:
    """A failing finding is a failure; a waived or known one is skipped, with the reason; any other one passes.

    A target that could not be looked at is an error, one that was passed over is skipped; a stale waiver fails.
    """
    root = ET.Element("testsuites", name="opscan")
    for report in outcome.reports:
        suite = _suite(root, report.target, list(_cases(outcome, report)))
        if report.world is not None:
            properties = ET.Element("properties")
            ET.SubElement(properties, "property", name="world", value=world_words(report.world))
            suite.insert(0, properties)
    for each in outcome.unseen:
        case = _case(each.target, "was looked at")
        _add(case, "error" if each.wanted else "skipped", each.why)
        _suite(root, each.target, [case])
    if outcome.stale:
        cases = [
            _case("pyproject.toml", f"waiver {each.waiver.number} ({each.waiver.words})") for each in outcome.stale
        ]
        for case, stale in zip(cases, outcome.stale, strict=True):
            _add(case, "failure", stale.words, kind=stale.rule)
        _suite(root, "pyproject.toml", cases)
    _count(root, root.iter("testcase"))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=False) + "\n"


def _cases(outcome: Outcome, report: Report) -> Iterator[Case]:
    """The findings that are listed, and those of a baseline; a case that passes if there are none."""
    found = list(outcome.in_documents(report))
    for finding in found:
        case = _case(report.target, f"{finding.rule} {finding.op} in {finding.phase} of {modules_words(finding)}")
        if finding.waived:
            _add(case, "skipped", f"waived: {reason_words(finding)}")
        elif finding.known:
            _add(case, "skipped", "known from the baseline")
        elif outcome.failing(report, finding):
            _add(case, "failure", headline(finding), _details(report, finding), finding.rule)
        yield case
    for op in outcome.unjudged(report):
        case = _case(report.target, f"{UNJUDGED} {op}")
        _add(case, "failure", unjudged_words(op), kind=UNJUDGED)
        yield case
    if not found and not outcome.unjudged(report):
        yield _case(report.target, "nothing nondeterministic")


def _details(report: Report, finding: Finding) -> str:
    places = [f"{module}  {where}".rstrip() for module, where in place_words(finding.places)]
    return "\n".join([*places, paragraphs(finding, report.environment)])


def _case(target: str, name: str) -> Case:
    return ET.Element("testcase", classname=printable(target), name=printable(name))


def _add(case: Case, tag: str, message: str, details: str = "", kind: str = "") -> None:
    element = ET.SubElement(case, tag, {"message": printable(message), **({"type": printable(kind)} if kind else {})})
    element.text = printable_prose(details) or None


def _suite(root: ET.Element, name: str, cases: list[Case]) -> ET.Element:
    suite = ET.SubElement(root, "testsuite", name=printable(name))
    suite.extend(cases)
    _count(suite, cases)
    return suite


def _count(element: ET.Element, cases: Iterable[Case]) -> None:
    held = list(cases)
    element.set("tests", str(len(held)))
    for attribute, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
        element.set(attribute, str(sum(case.find(tag) is not None for case in held)))
