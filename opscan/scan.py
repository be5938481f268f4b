"""Compose the stages: target, inputs, trace, match, report."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from opscan.config import InputRule
from opscan.cost import cost_since
from opscan.environment import NEWEST, Environment, Strictness, make_environment
from opscan.errors import TraceError
from opscan.finding import Line
from opscan.match import Matched, match, merged
from opscan.observe.plan import Plan, check_memory, plan_run, rebuilt
from opscan.observe.step import Step, memory_needed, observe
from opscan.report.report import Report
from opscan.report.words import short_line
from opscan.rules.load import Ruleset, load_rules
from opscan.rules.schema import Rule
from opscan.target.build import Target, build_target, make_model, target_from_object
from opscan.target.find import find_inputs
from opscan.target.fit import fit
from opscan.target.inputs import Inputs, inputs_from_object
from opscan.target.loss import TARGET_NAME, Loss, LossFunction, load_loss, make_loss
from opscan.target.settle import settle
from opscan.target.slots import names_of
from opscan.trace.autocast import Casting, on_target
from opscan.trace.choices import FALSE, FALSE_FIRST, TRUE_FIRST
from opscan.trace.driver import Mode, attempt, constructing, on_meta, trace_target
from opscan.trace.graph import Trace, call_of
from opscan.trace.hygiene import unchanged_process
from opscan.trace.real import attempt_on_cpu, trace_on_cpu

MODES = ("train", "eval")
_MOST_OPS = 20_000
"""A longer step is traced both ways, and not in combinations of ways."""

TRACE_DEVICES = ("meta", "cpu")
ON_CPU = "traced on the CPU for real: of what depends on values, only the way that these take was traced"


def check(
    target: str | Callable[..., Any],
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
    trace_device: str = "meta",
    run: bool | None = None,
    replay: int = 1,
    replay_ops: str = "all",
) -> Report:
    """Say what is nondeterministic in a model or a training step, where, why, and what to write instead.

    `target` is "pkg.mod:Name", "file.py:Name", an nn.Module, or any callable step. `inputs` are its arguments: a tuple
    of positional ones or a dict of keyword ones; left out, they are solved for on the meta device. `loss` takes the
    output (and a target, solved for): a function, or the name of one of torch's. `device` is the device the answer is
    for ("auto" is CUDA), whether or not it is here; `torch_version` likewise, by default the installed one. `strict`
    says whether strict mode will be on: True, False, "warn_only", or None for an answer that serves them all. mode
    "train" traces forward and backward, "eval" the forward alone. `amp` ("bf16", "fp16") puts forward and loss in
    autocast; regions that the code has itself are honoured without it. `input_grad` says whether the floating inputs
    need a gradient: by default those of a module do, as when it is part of a larger model (places that only matter then
    are marked), and those of a step do not. `rules` is a folder of further rules, or a Ruleset to judge by.

    The trace runs on meta, without weights or a device. `trace_device` "cpu" runs a copy of a small model for real
    instead: what meta does not know (some layouts, quantized layers) is then traced, and of what depends on values the
    one way that these take.

    `run` says whether a copy of the model also runs one step on the device, in strict mode, to put what it was seen to
    do beside what is predicted: by default where the device is this machine's CUDA, or device="cpu" was asked for, and
    the torch is the installed one. With `replay` > 1 each op runs that often on equal bits, in both modes; `replay_ops`
    narrows it to ops with "rules" or to "unknown" ones.

    The model, its gradients and buffers, random numbers and flags stay as they were. Raises OpscanError (TargetError,
    InputError, TraceError, RulesError, EnvironmentSpecError) when it cannot look, and ValueError or TypeError for
    arguments that make no sense.
    """
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, not {mode!r}")
    if trace_device not in TRACE_DEVICES:
        raise ValueError(f"trace_device must be one of {', '.join(TRACE_DEVICES)}, not {trace_device!r}")
    environment = make_environment(device, torch_version, strict, amp)
    plan = plan_run(environment, run, replay, replay_ops)
    rebuild = None
    judged_by = rules if isinstance(rules, Ruleset) else load_rules(*([Path(rules)] if rules is not None else []))
    started = time.perf_counter()
    if isinstance(target, str):
        with on_target(environment.device):
            built = build_target(target, {}, partial(constructing, environment.device))
        rebuild = partial(build_target, target, {})
    else:
        built = target_from_object(target)
    given = None if inputs is None else inputs_from_object(inputs)
    traced: Mode = "train" if mode == "train" else "eval"
    return scan_target(
        built,
        given,
        environment,
        loss=loss,
        mode=traced,
        input_grad=input_grad,
        rules=judged_by,
        plan=plan,
        trace_device=trace_device,
        rebuild=rebuild,
        started=started,
    )


def scan_target(
    target: Target,
    inputs: Inputs | None,
    environment: Environment,
    *,
    loss: str | LossFunction | None = None,
    mode: Mode = "train",
    input_grad: bool | None = None,
    rules: Ruleset | None = None,
    plan: Plan | None = None,
    configured: Sequence[InputRule] = (),
    trace_device: str = "meta",
    rebuild: Callable[[], Target] | None = None,
    started: float | None = None,
) -> Report:
    """Trace a target that is built, judge it by the rules (the shipped ones by default), and run it by a plan.

    `configured` are inputs of [tool.opscan.inputs], which count where none are given. `rebuild` builds the target once
    more, with real weights, for a run or for `trace_device` "cpu". `started` is what time.perf_counter() said when
    building it began; the cost is counted from there, or from now.
    """
    started = time.perf_counter() if started is None else started
    rules = rules if rules is not None else load_rules()
    casting = Casting(environment.device, environment.amp)
    on_cpu = trace_device == "cpu"
    if on_cpu:
        check_memory(memory_needed(Step(target.call, ())), target.label)
        target = replace(rebuilt(target, rebuild), assumptions=(*target.assumptions, ON_CPU))
    making = partial(make_model, constructing=partial(constructing, environment.device), beside=target.label)
    settling = partial(settle, given=inputs, training=mode == "train", has_loss=loss is not None)
    attempting = partial(attempt_on_cpu if on_cpu else attempt, training=mode == "train", casting=casting)
    loss_target = None
    if inputs is not None and loss is not None and TARGET_NAME not in names_of(target):
        kwargs = dict(inputs.kwargs)
        loss_target = kwargs.pop(TARGET_NAME, None)
        inputs = replace(inputs, kwargs=kwargs)
    wants_loss = mode == "train" and loss is None
    finding = partial(find_inputs, given=inputs, attempting=attempting, configured=configured, with_loss=wants_loss)
    with unchanged_process():
        target, inputs = fit(target, partial(settling, make_model=making), finding)
    run_forward = attempting(target.call)
    bound = _bind_loss(loss, inputs, loss_target, run_forward)
    grad = input_grad if input_grad is not None else target.call is target.model
    trace = partial(
        trace_on_cpu if on_cpu else trace_target,
        target.call,
        inputs.args,
        inputs.kwargs,
        loss=bound.call if bound else None,
        mode=mode,
        watched=frozenset(rules.by_call),
        assumed_sizes=inputs.assumed,
        casting=casting,
    )
    refused: tuple[str, ...] = ()
    try:
        traces = _every_way(partial(trace, input_grad=grad))
    except TraceError as error:
        if input_grad is not None or not grad or error.call:
            raise informed(error, rules, environment) from error.__cause__
        grad = False
        traces = _every_way(partial(trace, input_grad=grad))
        refused = ("the inputs need no gradient: the model fails on inputs that do (assumed; --input-grad)",)
    assumptions = (*target.assumptions, *inputs.assumptions, *(bound.assumptions if bound else ()), *refused)
    report = make_report(target.label, traces, environment, assumptions, rules)
    if input_grad is None and any(place.for_inputs for finding in report.findings for place in finding.places):
        needed = "the inputs need a gradient, as inside a larger model (assumed; --no-input-grad)"
        report = replace(report, assumptions=(*report.assumptions, needed))
    report = replace(report, cost=cost_since(started, target.model))
    if plan is None:
        return report
    if rebuild is not None:
        made_for_real = partial(make_model, beside=target.label)
        plan = replace(plan, rebuild=lambda: settling(rebuild(), make_model=made_for_real).target)
    call = plan.rebuilt(target).call
    step = Step(call, inputs.args, inputs.kwargs, bound.call if bound else None, mode, grad, environment.amp)
    return _run(step, plan, report, rules)


def _run(step: Step, plan: Plan, report: Report, rules: Ruleset) -> Report:
    """The report with what the step was seen to do on the device; without, and saying so, where it is too large."""
    needed = memory_needed(step)
    if needed > plan.memory:
        words = f"not run on {plan.device.type}: the model alone takes {needed >> 20} MiB of {plan.memory >> 20} free"
        return replace(report, assumptions=(*report.assumptions, words))
    seen = observe(step, plan.device, frozenset(rules.by_call), plan.replays, plan.wanted(rules))
    findings = report.findings
    if seen.trace is not None:
        findings = merged([Matched(findings, {}), match(seen.trace, rules, report.environment)]).findings
    return replace(report, findings=seen.beside(findings), run=seen.run)


def make_report(
    label: str,
    traces: Sequence[Trace],
    environment: Environment,
    assumptions: tuple[str, ...] = (),
    rules: Ruleset | None = None,
) -> Report:
    """Judge the traces of one target for one environment; they may be judged for many."""
    rules = rules if rules is not None else load_rules()
    matched = merged([match(trace, rules, environment) for trace in traces])
    phases = [[call_of(node).phase for node in trace.ops()] for trace in traces]
    backward = max(each.count("backward") for each in phases)
    return Report(
        target=label,
        environment=environment,
        assumptions=(*assumptions, *traces[0].assumptions, *_invented(traces), *_limits(environment)),
        forward_ops=max(len(each) - each.count("backward") for each in phases),
        backward_ops=backward,
        unknown=matched.unknown,
        findings=matched.findings,
    )


def informed(error: TraceError, rules: Ruleset, environment: Environment) -> TraceError:
    """The error with what the rules know of the Function it failed in: its kernel is compiled, and has no meta."""
    named = rules.by_call.get(error.call, ())
    if not named:
        return error
    said = "; ".join(f"{rule.id} says {_word(rule, environment)}: {rule.title}" for rule in named)
    hint = f"{error.call} runs a compiled kernel, which a trace cannot run. On {environment.device} {said}."
    hint = f"{hint} opscan rules show {named[0].id}"
    return TraceError(error.what, error.where, hint, error.call)


def _word(rule: Rule, environment: Environment) -> str:
    fitting = (each for each in rule.history if environment.device in each.devices)
    entry = next((each for each in fitting if each.torch.contains(environment.torch)), None)
    return "nothing" if entry is None else entry.verdict or "that it repeats"


def _every_way(trace: Callable[..., Trace]) -> tuple[Trace, ...]:
    """The trace; where the way through hung on values that had to be made up, the other ways of Note [Several ways]."""
    try:
        first = trace()
    except TraceError as error:
        try:
            return (trace(way=FALSE),)
        except TraceError:
            raise error from None
    traces = [first]
    for way in (FALSE, TRUE_FIRST, FALSE_FIRST) if first.inventions else ():
        if way != FALSE and (len(traces) < 2 or _places(traces) < 2 or len(first.ops()) > _MOST_OPS):
            break
        with suppress(TraceError):
            traces.append(trace(way=way))
    return tuple(traces)


def _places(traces: Sequence[Trace]) -> int:
    return max(each.places for each in traces)


def _bind_loss(
    loss: str | LossFunction | None, inputs: Inputs, target: object, run_forward: Callable[..., object]
) -> Loss | None:
    if loss is None:
        return None
    function = load_loss(loss)
    return make_loss(function, run_forward(inputs.args, dict(inputs.kwargs)), target, lambda: on_meta([function]))


def _limits(environment: Environment) -> tuple[str, ...]:
    """Where the rules end: what a report must not be silent about."""
    limits = []
    if environment.is_newer_than_the_rules:
        limits.append(f"torch {environment.torch} is newer than the rules, which end at {NEWEST}: judged as that")
    if environment.device == "mps":
        limits.append(
            "of mps the rules know PyTorch's own Metal kernels, not Apple's MPSGraph behind matrix products,"
            " convolutions and pooling: no finding does not mean that it repeats"
        )
    return tuple(limits)


def _invented(traces: Sequence[Trace]) -> tuple[str, ...]:
    """One line per place where a value that hangs on weights or activations had to be made up."""
    if len(traces) == 1:
        ways = f"only one way was traced, {traces[0].way}"
    else:
        ways = "both ways were traced" + (f", in {len(traces)} combinations" if len(traces) > 2 else "")
    places = dict.fromkeys((each.op, each.called) for trace in traces for each in trace.inventions)
    return tuple(
        (f"{short_line(Line(*called))}: " if called else "")
        + f"{op.removeprefix('aten.').partition('.')[0]} depends on values a trace does not have; {ways}"
        for op, called in places
    )
