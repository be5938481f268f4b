"""From reports to changed files: what is edited, and what is left and why."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from opscan.blame import shown_path
from opscan.finding import Finding, Remedy
from opscan.lint.finding import Edit
from opscan.lint.fix import Mended, apply_edits
from opscan.lint.source import NotTextError, decode
from opscan.remedies.edits import Editor
from opscan.report.report import Report, fails_in
from opscan.rules.dropins import load_dropins

_OTHER = "other values: {differs} (--allow-different-values)"
_CROSSING = "another edit stands there: run opscan fix again"


@dataclass(frozen=True, slots=True)
class Left:
    """A finding, or one place of it, that no edit ends: where it is, and why."""

    finding: Finding
    where: str
    why: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Files before and after, the drop-ins that are written into them, and what is left."""

    files: tuple[Mended, ...]
    edited: tuple[Remedy, ...]
    left: tuple[Left, ...]


def plan_edits(reports: Iterable[Report], allow_different_values: bool = False) -> Plan:
    """The edits that end the findings of these reports which fail, in files as they are on disk. Nothing is written.

    A drop-in that gives other results or gradients is written only with `allow_different_values`.
    """
    wanted: dict[str, dict[Remedy, Finding]] = {}
    left: list[Left] = []
    for report in reports:
        for finding in report.findings:
            if not fails_in(finding, report.environment.strict):
                continue
            if not finding.remedies:
                left.append(Left(finding, _places(finding), _no_drop_in(finding)))
            for remedy in finding.remedies:
                why = remedy.obstacle or _refused(remedy, allow_different_values)
                if why or remedy.line is None:
                    left.append(Left(finding, str(remedy.line or _places(finding)), why))
                else:
                    wanted.setdefault(remedy.line.file, {})[remedy] = finding
    files, edited = [], []
    for file, remedies in wanted.items():
        mended, done, missed = _edit(file, remedies)
        files += [mended] if mended else []
        edited += done
        left += missed
    return Plan(tuple(files), tuple(edited), tuple(dict.fromkeys(left)))


def _refused(remedy: Remedy, allow_different_values: bool) -> str:
    allowed = remedy.is_same_valued or allow_different_values
    return "" if allowed else _OTHER.format(differs=remedy.differs)


def _places(finding: Finding) -> str:
    lines = finding.constructed or finding.called
    return f"{shown_path(lines[0].file)}:{lines[0].line}" if lines else (finding.modules[0] or "(model)")


def _no_drop_in(finding: Finding) -> str:
    why = load_dropins().without.get(finding.rule, "")
    words = f"no drop-in: {why}" if why else "no drop-in stands for what is called there"
    return words + (f"; instead: {finding.replacements[0].name}" if finding.replacements else "")


def _edit(file: str, remedies: dict[Remedy, Finding]) -> tuple[Mended | None, list[Remedy], list[Left]]:
    """The file with all that can be written into it at once."""
    try:
        data = Path(file).read_bytes()
        source = decode(data)
        editor = Editor(source.text)
    except (OSError, NotTextError, SyntaxError) as error:
        return None, [], [Left(finding, file, f"not edited: {error}") for finding in remedies.values()]
    edits: set[Edit] = set()
    done, left = [], []
    for remedy, finding in remedies.items():
        assert remedy.line is not None
        own = editor.edits(remedy.of, remedy.name, remedy.line.line)
        if isinstance(own, str):
            left.append(Left(finding, str(remedy.line), own))
        elif any(_cross(one, other) for one in own for other in edits):
            left.append(Left(finding, str(remedy.line), _CROSSING))
        else:
            edits.update(own)
            done.append(remedy)
    if not edits:
        return None, done, left
    after = apply_edits(source.text, {*edits, *editor.importing()})
    ast.parse(after)
    return Mended(shown_path(file), source.text, after, source.encode(after), ()), done, left


def _cross(one: Edit, other: Edit) -> bool:
    """Whether two different edits touch the same characters, or insert at the same place."""
    return one != other and (one.start == other.start or (one.start < other.end and other.start < one.end))
