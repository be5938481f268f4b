"""Determinism as a test: an assertion for a model or a step, and what a marked test runs judged as a step."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from opscan.errors import OpscanError

if TYPE_CHECKING:
    from opscan.environment import Strictness
    from opscan.report.report import Report
    from opscan.rules.load import Ruleset

__all__ = ["assert_deterministic"]


def assert_deterministic(
    model: str | Callable[..., Any],
    inputs: tuple[Any, ...] | Mapping[str, Any] | None = None,
    *,
    loss: str | Callable[..., Any] | None = None,
    device: str = "auto",
    torch_version: str | None = None,
    strict: Strictness = None,
    mode: str = "train",
    amp: str | None = None,
    input_grad: bool | None = None,
    rules: str | os.PathLike[str] | Ruleset | None = None,
    run: bool = False,
    replay: int = 1,
    ignore: Iterable[str] = (),
    fail_on: Iterable[str] | None = None,
) -> Report:
    """Fail, with the report as the message, if anything in a model or a step is nondeterministic.

    The arguments are those of `opscan.check`; nothing runs on a device unless `run` or `replay` asks for it. `ignore`
    leaves out findings by rule or op, also by patterns: "OPS102", "aten.cumsum*". `fail_on` are the verdicts that
    fail; by default what varies or raises in the mode that `strict` says.

    Returns the report, without what was ignored. Raises AssertionError, OpscanError when it cannot look, and ValueError
    or TypeError for arguments that make no sense. The model and the process stay as they were.
    """
    __tracebackhide__ = True
    from opscan.scan import check

    try:
        report = check(
            model,
            inputs,
            loss=loss,
            device=device,
            torch_version=torch_version,
            strict=strict,
            mode=mode,
            amp=amp,
            input_grad=input_grad,
            rules=rules,
            run=run or replay > 1,
            replay=replay,
        )
    except OpscanError as error:
        raise error.with_traceback(None) from None  # its frames are opscan's, and it names the user's line
    report = _without(report, ignore)
    if report.fails(fail_on):
        raise AssertionError(failure_words(report))
    return report


def failure_words(report: Report) -> str:
    """What a test fails with: the verdict in its first line, which summaries show, and the report."""
    from opscan.report.words import verdict_line

    return f"{verdict_line(report)}\n\n{report.to_text()}"


def judged(
    step: Callable[..., Any],
    arguments: Mapping[str, Any],
    name: str,
    *,
    device: str = "auto",
    torch_version: str | None = None,
    strict: Strictness = None,
    amp: str | None = None,
    rules: str | os.PathLike[str] | Ruleset | None = None,
    ignore: Iterable[str] = (),
) -> Report:
    """Run a step once, for real and on the CPU, and judge every op it ran, as those of a training step on `device`.

    Tensors and modules among the arguments are copies meanwhile, so that these stay as they were; if the step returns
    tensors and has not run backward, backward is run from them. Raises what the step raises, and OpscanError.
    """
    from pathlib import Path

    from opscan.environment import make_environment
    from opscan.errors import TraceError
    from opscan.reporting import make_report
    from opscan.rules.load import Ruleset, load_rules
    from opscan.trace.autocast import Casting, on_target
    from opscan.trace.real import trace_on_cpu

    environment = make_environment(device, torch_version, strict, amp)
    by = rules if isinstance(rules, Ruleset) else load_rules(*([Path(rules)] if rules is not None else []))
    casting = Casting(environment.device, environment.amp)
    run, held = _split(step, arguments)
    try:
        with on_target(environment.device):
            trace = trace_on_cpu(run, (), held, watched=frozenset(by.by_call), casting=casting)
    except TraceError as error:
        if error.__cause__ is not None:
            raise error.__cause__ from None
        raise
    return _without(make_report(name, [trace], environment, (), by), ignore)


class _Kept:
    """Arguments that a trace does not look into: it would put back what the step changes in them."""

    __slots__ = ("arguments",)

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self.arguments = arguments


def _split(step: Callable[..., Any], arguments: Mapping[str, Any]) -> tuple[Callable[..., Any], dict[str, Any]]:
    """The step as a function of its tensors, modules and containers alone, each module in the mode that it is in."""
    from torch import Tensor, nn

    held = {
        name: each for name, each in arguments.items() if isinstance(each, Tensor | nn.Module | list | tuple | dict)
    }
    kept = _Kept({name: each for name, each in arguments.items() if name not in held})
    modes = [(part, part.training) for each in held.values() if isinstance(each, nn.Module) for part in each.modules()]

    def run(**values: Any) -> Any:
        for part, training in modes:
            part.training = training
        return step(**values, **kept.arguments)

    return run, held


def _without(report: Report, ignored: Iterable[str]) -> Report:
    """The report without findings whose rule or op one of these patterns fits."""
    patterns = (ignored,) if isinstance(ignored, str) else tuple(ignored)
    kept = tuple(
        finding
        for finding in report.findings
        if not any(fnmatch.fnmatchcase(word, each) for each in patterns for word in (finding.rule, finding.op))
    )
    return replace(report, findings=kept)
