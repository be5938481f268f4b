"""A random model written down, imported and judged; what is compared of the judgement; what torch itself says of it."""

from __future__ import annotations

import itertools
import linecache
import re
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

import opscan
from opscan.environment import make_environment
from opscan.finding import Finding, Line
from opscan.observe.run import alert_in
from opscan.report.report import Report
from opscan.scan import build_named
from opscan.trace.autocast import Casting
from opscan.trace.driver import trace_target
from opscan.trace.graph import SourceLine, Trace, call_of
from opscan.trace.real import trace_on_cpu
from tests.fuzz.models.program import Program
from tests.fuzz.models.render import Style, model_name, render

_numbers = itertools.count()
Signature = Counter[tuple[Any, ...]]


@contextmanager
def written(program: Program, style: Style, folder: Path) -> Iterator[str]:
    """The program in files of its own, as a target; what was imported of it is forgotten afterwards."""
    stem = f"fuzzed_{next(_numbers)}"
    for name, text in render(program, style, stem).items():
        folder.joinpath(name).write_text(text)
    path = sys.path.copy()
    try:
        yield f"{folder / stem}.py:{model_name(style)}"
    finally:
        sys.path[:] = path
        for name in [each for each in sys.modules if each.startswith(stem)]:
            del sys.modules[name]


def report_on(program: Program, style: Style, folder: Path, batch: int | None = None, **how: Any) -> Report:
    """What opscan says of it."""
    with written(program, style, folder) as target:
        return opscan.check(target, program.inputs(batch), **how)


def signature(report: Report, style: Style) -> Signature:
    """All that must not hang on how a program is written: verdicts, counts, what they reach, and whose lines they name.

    Lines are compared by the step whose number stands on them; calls only where each step has a line of its own.
    """
    found: Signature = Counter()
    for finding in report.findings:
        for place in finding.places:
            lines = (_step_on(place.constructed), _step_on(place.called) if style.keeps_calls else "")
            found[(*_judgement(finding), *lines, *_reached(finding))] += place.count
    return found


def _judgement(finding: Finding) -> tuple[Any, ...]:
    return finding.rule, finding.op, finding.phase, finding.verdict, finding.default, finding.strict, finding.bits


def verdicts(report: Report) -> set[tuple[str, str, str]]:
    """Which rules speak of which ops, and in which direction."""
    return {(finding.rule, finding.op, finding.phase) for finding in report.findings}


def _reached(finding: Finding) -> tuple[Any, ...]:
    spread = finding.spread
    return () if spread is None else (spread.output, spread.loss, spread.inputs, len(spread.gradients))


def _step_on(line: Line | SourceLine | None) -> str:
    """The number that stands on a line; "" where none does, as where a block is built that a functional call is in."""
    found = re.search(r"# (p\d+)$", linecache.getline(line.file, line.line).rstrip()) if line is not None else None
    return found[1] if found else ""


def traces_of(program: Program, style: Style, folder: Path) -> tuple[Trace, Trace]:
    """One trace on meta, and one for real on the CPU."""
    environment = make_environment("cpu")
    with written(program, style, folder) as target:
        built, rebuild = build_named(target, environment)
        watched: frozenset[str] = frozenset()
        casting = Casting("cuda")
        on_meta = trace_target(built.call, program.inputs(), {}, input_grad=True, watched=watched, casting=casting)
        real = rebuild()
        on_cpu = trace_on_cpu(real.call, program.inputs(), {}, input_grad=True, watched=watched, casting=casting)
    return on_meta, on_cpu


def ops_of(trace: Trace) -> list[tuple[str, str, str]]:
    """Every op with its phase and step, in order."""
    calls = ((str(node.target), call_of(node)) for node in trace.ops())
    return [(name, call.phase, _step_on(call.called)) for name, call in calls]


def alerts_of(program: Program, style: Style, folder: Path) -> set[str]:
    """What strict mode itself complains of when the model runs on the CPU, forward and backward, opscan apart."""
    with written(program, style, folder) as target:
        model = build_named(target, make_environment("cpu"))[1]().model
        assert model is not None
        model.train()
        return _warned(lambda: _trained(model, program))


def _trained(model: nn.Module, program: Program) -> None:
    inputs = tuple(
        each.detach().requires_grad_().clone() if each.is_floating_point() else each for each in program.inputs()
    )
    with torch.enable_grad():
        output = model(*inputs)
        output.backward(torch.ones_like(output))


def _warned(run: Callable[[], None]) -> set[str]:
    torch.use_deterministic_algorithms(True, warn_only=True)
    always = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            run()
    finally:
        torch.set_warn_always(always)
        torch.use_deterministic_algorithms(False)
    said = (alert_in(RuntimeError(str(each.message))) for each in caught)
    return {each for each in said if each is not None}


def predicted_alerts(report: Report) -> set[str]:
    """What opscan says that strict mode raises."""
    return {finding.alert or "" for finding in report.findings if finding.strict == "raises"}
