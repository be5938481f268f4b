"""What a page is made from: a report as plain values, each text and each source line once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

from opscan.blame import source_lines
from opscan.distributed.ranks import world_words
from opscan.environment import RELEASES, Environment
from opscan.finding import Finding, Line, Spread
from opscan.report.acceptance import reason_words
from opscan.report.instead import advice_of, other_ways
from opscan.report.paths import short_paths
from opscan.report.reaches import reach_words
from opscan.report.report import Report
from opscan.report.rulepage import verdicts_of
from opscan.report.stepgraph import StepGraph
from opscan.report.words import (
    ALWAYS_SHOWN,
    SAME_VALUES,
    VARYING,
    cost_words,
    describe_environment,
    is_listed,
    mode_lines,
    run_words,
    short_line,
    summaries,
    verdict_line,
)
from opscan.rules.schema import Rule

_AROUND = 2
"""Source lines shown before and after the one that is meant."""

_LONGEST_LINE = 240
_MOST_GROUPS = 40
"""Places of a finding that are shown, those with the same lines together."""


def page_data(report: Report) -> dict[str, Any]:
    """Everything a page says about one report. Reads the source files named; texts are as they are, not escaped."""
    tables = _Tables(report.graph)
    findings = [_finding(each, report.environment, tables) for each in report.findings]
    return {
        "target": report.target,
        "environment": describe_environment(report.environment),
        "torch": str(report.environment.torch),
        "verdict": verdict_line(report),
        "fails": report.fails(),
        "counts": report.counts(),
        "ops": [report.forward_ops, report.backward_ops],
        "gradients": _reached_by_any(report.findings),
        "notes": _notes(report),
        "unknown": dict(report.unknown),
        "findings": findings,
        "texts": list(tables.texts),
        "lines": [[tables.files[line.file], line.line] for line in tables.lines],
        "files": [_source(file, tables.lines) for file in tables.files],
        "names": list(tables.gradients),
        "modules": list(tables.modules.items()),
        "releases": [str(each) for each in RELEASES],
        "rules": {rule.id: _history(rule, report.environment) for rule in report.rules},
        "graph": _graph(report.graph) if report.graph else None,
    }


class _Tables:
    """Texts, source lines, gradients and modules, each with a number of its own."""

    def __init__(self, graph: StepGraph | None) -> None:
        self.texts: dict[str, int] = {}
        self.lines: dict[Line, int] = {}
        self.files: dict[str, int] = {}
        self.gradients: dict[str, int] = {}
        self.modules: dict[str, str] = {each.path: each.type for each in graph.modules} if graph else {"": ""}
        self._places = {path: at for at, path in enumerate(self.modules)}
        for name in graph.gradients.values() if graph else ():
            if name:
                self.gradients.setdefault(name, len(self.gradients))

    def text(self, text: str) -> int:
        """The number of a text."""
        return self.texts.setdefault(text, len(self.texts))

    def line(self, line: Line | None) -> int:
        """The number of a source line, -1 for none."""
        if line is None:
            return -1
        self.files.setdefault(line.file, len(self.files))
        return self.lines.setdefault(line, len(self.lines))

    def module(self, path: str, cls: str) -> int:
        """The number of a module; those it is in are there before it."""
        if path not in self._places:
            if path:
                self.module(path.rpartition(".")[0], "")
            self._places[path] = len(self._places)
            self.modules[path] = cls
        return self._places[path]

    def ranges(self, names: Iterable[str]) -> list[int]:
        """Gradients as first and last number of each run."""
        runs: list[int] = []
        for number in sorted(self.gradients.setdefault(name, len(self.gradients)) for name in names):
            if runs and runs[-1] == number - 1:
                runs[-1] = number
            else:
                runs += [number, number]
        return runs


def _finding(finding: Finding, environment: Environment, tables: _Tables) -> dict[str, Any]:
    text = tables.text
    return {
        "verdict": finding.verdict,
        "rule": finding.rule,
        "title": text(finding.title),
        "op": text(finding.op),
        "phase": finding.phase,
        "count": finding.count,
        "type": finding.module_type,
        "bits": finding.bits,
        "accepted": text(_accepted_words(finding)) if finding.accepted else None,
        "listed": is_listed(finding, ALWAYS_SHOWN) or finding.waived is not None,
        "modes": [[label, text(words)] for label, words in mode_lines(finding, environment)],
        "why": text(finding.message),
        "reach": _spread(finding.spread, tables) if finding.spread else None,
        "modules": [tables.module(path, finding.module_type) for path in finding.modules],
        "places": _places(finding, tables),
        "advice": [
            {
                "name": text(each.name),
                "gives": text(each.gives),
                "imports": text(each.imports),
                "lines": [[where, text(after)] for where, after in each.lines],
                "obstacles": [text(obstacle) for obstacle in each.obstacles],
            }
            for each in advice_of(finding)
        ],
        "other": [
            [text(each.name), SAME_VALUES[each.same_values], text(each.how.strip())] for each in other_ways(finding)
        ],
    }


def _accepted_words(finding: Finding) -> str:
    return f"waived: {reason_words(finding)}" if finding.waived else "known from the baseline"


def _spread(spread: Spread, tables: _Tables) -> dict[str, Any]:
    return {
        "words": tables.text(reach_words(spread)),
        "output": spread.output,
        "loss": spread.loss,
        "inputs": spread.inputs,
        "gradients": tables.ranges(spread.gradients),
        "of": spread.of_gradients,
    }


def _places(finding: Finding, tables: _Tables) -> dict[str, Any]:
    """Places by their lines: the modules in short, where they are called and built, how often, whether for inputs."""
    groups: dict[tuple[Line | None, Line | None, bool], list[tuple[str, int]]] = {}
    for place in finding.places:
        key = place.called, place.constructed, place.for_inputs
        groups.setdefault(key, []).append((place.module, place.count))
    shown = list(groups.items())[:_MOST_GROUPS]
    return {
        "groups": [
            [
                tables.text(", ".join(short_paths(path or "(the model itself)" for path, _ in same))),
                tables.line(called),
                tables.line(built),
                sum(count for _, count in same),
                for_inputs,
            ]
            for (called, built, for_inputs), same in shown
        ],
        "more": len(groups) - len(shown),
    }


def _source(file: str, wanted: Iterable[Line]) -> dict[str, Any]:
    """A file's name, and its lines around those wanted, as far as it can be read; it may have changed by now."""
    text = source_lines(file)
    numbers = {
        number
        for line in wanted
        if line.file == file and line.line <= len(text)
        for number in range(max(1, line.line - _AROUND), min(len(text), line.line + _AROUND) + 1)
    }
    return {
        "name": short_line(Line(file, 0)).rpartition(":")[0],
        "text": {number: text[number - 1].rstrip()[:_LONGEST_LINE] for number in sorted(numbers)},
    }


def _notes(report: Report) -> list[tuple[str, str]]:
    """What was assumed, run, spent and left out, each with its label."""
    notes = [("assumed", each) for each in report.assumptions]
    if report.world is not None:
        notes.append(("world", world_words(report.world)))
    if report.run is not None:
        notes.append(("run", run_words(report.run, report.findings)))
    if report.cost is not None:
        notes.append(("cost", cost_words(report.cost)))
    return notes + [("also", each) for each in summaries(report, ALWAYS_SHOWN)]


def _reached_by_any(findings: Iterable[Finding]) -> list[int]:
    """How many gradients anything that varies reaches, and how many there are."""
    spreads = [each.spread for each in findings if each.spread is not None]
    varying = [each.spread for each in findings if each.spread is not None and each.verdict in VARYING]
    reached = {name for spread in varying for name in spread.gradients}
    return [len(reached), max((spread.of_gradients for spread in spreads), default=0)]


def _history(rule: Rule, environment: Environment) -> list[str]:
    """What the rule says of each release on this device: its verdicts, "" where it has nothing to report."""
    return ["/".join(verdicts_of(rule, Environment(environment.device, release))) for release in RELEASES]


def _graph(graph: StepGraph) -> Mapping[str, Any]:
    """The columns of the graph; parents as how far they lie before the op."""
    starts, shapes = graph.starts, dict[str, int]()
    counts = [last - first for first, last in pairwise(starts)]
    owners = (index for index, count in enumerate(counts) for _ in range(count))
    return {
        "names": graph.names,
        "op": graph.op,
        "module": graph.module,
        "kind": "".join(map(str, graph.kind)),
        "cause": graph.cause,
        "counts": counts,
        "back": [owner - parent for owner, parent in zip(owners, graph.parents, strict=True)],
        "varies": "".join("1" if each else "0" for each in graph.varies),
        "found": graph.found,
        "gradients": graph.gradients,
        "marks": graph.marks,
        "shape": [shapes.setdefault(shape, len(shapes)) for shape in graph.shapes],
        "shapes": list(shapes),
    }
