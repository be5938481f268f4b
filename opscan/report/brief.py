"""A report in a few lines: what fails and where, and the command that says the rest."""

from __future__ import annotations

import shlex
import textwrap

from opscan.environment import Environment, Strictness, installed_torch
from opscan.finding import Finding
from opscan.report.acceptance import waived_lines
from opscan.report.instead import advice_of
from opscan.report.paint import VERDICT_STYLES, Paint
from opscan.report.printable import printable_report
from opscan.report.report import Report, fails_in
from opscan.report.words import STRICT_MODE, default_words, describe_environment, place_words, verdict_line

_MOST_PLACES = 3
_LABEL = 10
_PLAIN = Paint(False)
_FLAGS: dict[Strictness, tuple[str, ...]] = {
    True: ("--strict",),
    False: ("--default",),
    "warn_only": ("--warn-only",),
    None: (),
}


def render_brief(report: Report, mode: str = "train", width: int = 100, paint: Paint = _PLAIN) -> str:
    """The findings that fail, with their lines and what each mode does, the verdict, and the command for the rest."""
    report = printable_report(report)
    strict = report.environment.strict
    lines = [f"{paint.text(report.target, 'head')}  ({describe_environment(report.environment)})"]
    for finding in report.findings:
        if fails_in(finding, strict):
            lines += _finding(finding, paint)
    lines += [f"  {line}" for line in waived_lines(report)]
    lines += textwrap.wrap(verdict_line(report), width - 2, initial_indent="  ", subsequent_indent="  ")
    command = [
        "opscan",
        "check",
        report.target,
        *_flags(report.environment),
        *(("--mode", mode) if mode != "train" else ()),
    ]
    lines.append(f"  all of it: {shlex.join(command)}")
    return "\n".join(lines)


def render_line(report: Report) -> str:
    """A report in one line, as --quiet prints it."""
    report = printable_report(report)
    return f"{report.target} ({describe_environment(report.environment)}): {verdict_line(report)}"


def _flags(environment: Environment) -> tuple[str, ...]:
    """What has to be asked for to be answered for this environment."""
    device = () if environment.device == "cuda" else ("--device", environment.device)
    installed = installed_torch()
    torch = () if environment.torch == installed else ("--torch", str(environment.torch))
    return (*device, *torch, *_FLAGS[environment.strict])


def _finding(finding: Finding, paint: Paint) -> list[str]:
    times = f", {finding.count} times" if finding.count > 1 else ""
    places = [f"{module}  {where}".rstrip() for module, where in place_words(finding.places)]
    if len(places) > _MOST_PLACES:
        places[_MOST_PLACES - 1 :] = [f"and {len(places) - _MOST_PLACES + 1} more"]
    labelled = [("where" if not at else "", place) for at, place in enumerate(places)]
    labelled += [("default", default_words(finding)), ("strict", STRICT_MODE[finding.strict])]
    names = [each.name for each in advice_of(finding)] or [each.name for each in finding.replacements]
    labelled += [("instead", name) for name in names[:1]]
    head = f"{finding.op}: {finding.verdict}, in {finding.phase}{times} ({finding.rule})"
    return [
        f"  {paint.text(head, VERDICT_STYLES[finding.verdict])}",
        *(f"    {label:{_LABEL}}{text}" for label, text in labelled),
    ]
