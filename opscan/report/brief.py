"""A report in a few lines: what fails and where, and the command that says the rest."""

from __future__ import annotations

import shlex
import textwrap
from importlib import metadata

from packaging.version import Version

from opscan.environment import Environment, Strictness
from opscan.finding import Finding
from opscan.report.instead import advice_of
from opscan.report.report import Report, fails_in
from opscan.report.words import DEFAULT_MODE, STRICT_MODE, describe_environment, place_words, verdict_line

_MOST_PLACES = 3
_LABEL = 10
_FLAGS: dict[Strictness, tuple[str, ...]] = {
    True: ("--strict",),
    False: ("--default",),
    "warn_only": ("--warn-only",),
    None: (),
}


def render_brief(report: Report, mode: str = "train", width: int = 100) -> str:
    """The findings that fail, with their lines and what each mode does, the verdict, and the command for the rest."""
    strict = report.environment.strict
    lines = [f"{report.target}  ({describe_environment(report.environment)})"]
    for finding in report.findings:
        if fails_in(finding, strict):
            lines += _finding(finding)
    lines += textwrap.wrap(verdict_line(report), width - 2, initial_indent="  ", subsequent_indent="  ")
    command = [
        "opscan",
        "check",
        report.target,
        *_flags(report.environment),
        *(("--mode", mode) if mode != "train" else ()),
    ]
    return "\n".join([*lines, f"  all of it: {shlex.join(command)}"])


def _flags(environment: Environment) -> tuple[str, ...]:
    """What has to be asked for to be answered for this environment."""
    device = () if environment.device == "cuda" else ("--device", environment.device)
    installed = Version(Version(metadata.version("torch")).base_version)
    torch = () if environment.torch == installed else ("--torch", str(environment.torch))
    return (*device, *torch, *_FLAGS[environment.strict])


def _finding(finding: Finding) -> list[str]:
    times = f", {finding.count} times" if finding.count > 1 else ""
    places = [f"{module}  {where}".rstrip() for module, where in place_words(finding.places)]
    if len(places) > _MOST_PLACES:
        places[_MOST_PLACES - 1 :] = [f"and {len(places) - _MOST_PLACES + 1} more"]
    labelled = [("where" if not at else "", place) for at, place in enumerate(places)]
    labelled += [("default", DEFAULT_MODE[finding.default]), ("strict", STRICT_MODE[finding.strict])]
    names = [each.name for each in advice_of(finding)] or [each.name for each in finding.replacements]
    labelled += [("instead", name) for name in names[:1]]
    return [
        f"  {finding.op}: {finding.verdict}, in {finding.phase}{times} ({finding.rule})",
        *(f"    {label:{_LABEL}}{text}" for label, text in labelled),
    ]
