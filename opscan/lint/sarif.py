"""Findings as SARIF 2.1.0. Source: OASIS, Static Analysis Results Interchange Format (SARIF) Version 2.1.0."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from opscan import __version__
from opscan.lint.finding import Finding, Problem
from opscan.lint.output import with_cell
from opscan.lint.rule import RULES
from opscan.lint.words import Words, read_words

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {"error": "error", "warning": "warning", "info": "note"}


def render_sarif(findings: Sequence[Finding], problems: Sequence[Problem]) -> str:
    """One run; the rules that found something are described in it, and files not linted are notifications."""
    codes = sorted({each.code for each in findings})
    words = read_words() if codes else {}
    run = {
        "tool": {
            "driver": {
                "name": "opscan lint",
                "semanticVersion": __version__,
                "rules": [_rule(code, words[code]) for code in codes],
            }
        },
        "columnKind": "unicodeCodePoints",
        "invocations": [
            {
                "executionSuccessful": not problems,
                "toolExecutionNotifications": [_notification(each) for each in problems],
            }
        ],
        "results": [_result(each, codes) for each in findings],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2) + "\n"


def _rule(code: str, words: Words) -> dict[str, Any]:
    rule = RULES[code]
    return {
        "id": code,
        "name": rule.name,
        "shortDescription": {"text": words.title},
        "fullDescription": {"text": words.reason},
        "help": {"text": f"{words.reason}\n\nFix: {words.fix}\n\nEvidence: {'; '.join(words.evidence)}"},
        "defaultConfiguration": {"level": _LEVELS[rule.level]},
    }


def _result(finding: Finding, codes: Sequence[str]) -> dict[str, Any]:
    region: dict[str, int] = {"startLine": finding.line}
    if finding.cell is None:
        region |= {"startColumn": finding.column, "endLine": finding.end_line, "endColumn": finding.end_column}
    return {
        "ruleId": finding.code,
        "ruleIndex": codes.index(finding.code),
        "level": _LEVELS[finding.level],
        "message": {"text": with_cell(finding)},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": _uri(finding.file)}, "region": region}}],
    }


def _notification(problem: Problem) -> dict[str, Any]:
    place: dict[str, Any] = {"artifactLocation": {"uri": _uri(problem.file)}}
    if problem.line:
        place["region"] = {"startLine": problem.line, "startColumn": max(problem.column, 1)}
    return {"level": "error", "message": {"text": problem.what}, "locations": [{"physicalLocation": place}]}


def _uri(file: str) -> str:
    """A path as a reference: relative where it is below the current folder, as code scanning wants it."""
    relative = os.path.relpath(file)
    return quote((file if relative.startswith("..") else relative).replace(os.sep, "/"))
