"""Compose the stages: target, inputs, trace, match, report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from opscan.environment import NEWEST, Environment, make_environment
from opscan.match import match
from opscan.report.report import Report
from opscan.rules.load import load_rules
from opscan.target.build import Target, build_target, target_from_object
from opscan.target.inputs import Inputs, inputs_from_object
from opscan.target.loss import TARGET_NAME, Loss, LossFunction, load_loss, make_loss
from opscan.target.solve import solve_inputs
from opscan.trace.driver import Mode, attempt, constructing, on_meta, trace_target
from opscan.trace.graph import Trace, call_of

MODES = ("train", "eval")


def check(
    target: str | Callable[..., Any],
    inputs: tuple[Any, ...] | Mapping[str, Any] | None = None,
    *,
    loss: str | Callable[..., Any] | None = None,
    device: str = "auto",
    torch_version: str | None = None,
    strict: bool | None = None,
    mode: str = "train",
    input_grad: bool | None = None,
) -> Report:
    """Say what is nondeterministic in a model or a training step, where, why, and what to write instead.

    `target` is "pkg.mod:Name", "file.py:Name", an nn.Module, or any callable step. `inputs` are its arguments: a tuple
    of positional ones or a dict of keyword ones; left out, they are solved for on the meta device. `loss` takes the
    output (and a target, solved for): a function, or the name of one of torch's. `device` is the device the answer is
    for ("auto" is CUDA), whether or not it is here; `torch_version` likewise, by default the installed one. `strict`
    says whether strict mode will be on. mode "train" traces forward and backward, "eval" the forward alone.
    `input_grad` says whether the floating inputs need a gradient: by default those of a module do, as when it is part
    of a larger model (places that only matter then are marked), and those of a step do not.

    Nothing is run on real data; the model, its gradients and buffers, random numbers and flags stay as they were.
    Raises OpscanError (TargetError, InputError, TraceError, EnvironmentSpecError) when it cannot look, and
    ValueError or TypeError for arguments that make no sense.
    """
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, not {mode!r}")
    environment = make_environment(device, torch_version, strict)
    built = build_target(target, {}, constructing) if isinstance(target, str) else target_from_object(target)
    given = None if inputs is None else inputs_from_object(inputs)
    traced: Mode = "train" if mode == "train" else "eval"
    return scan_target(built, given, environment, loss=loss, mode=traced, input_grad=input_grad)


def scan_target(
    target: Target,
    inputs: Inputs | None,
    environment: Environment,
    *,
    loss: str | LossFunction | None = None,
    mode: Mode = "train",
    input_grad: bool | None = None,
) -> Report:
    """Trace a target that is built, and judge it by the shipped rules."""
    rules = load_rules()
    run_forward = attempt(target.call, training=mode == "train")
    loss_target = inputs.kwargs.get(TARGET_NAME) if inputs is not None and loss is not None else None
    if loss_target is not None and inputs is not None:
        kwargs = {name: value for name, value in inputs.kwargs.items() if name != TARGET_NAME}
        inputs = Inputs(inputs.args, kwargs, inputs.assumptions)
    if inputs is None or not (inputs.args or inputs.kwargs):
        inputs = solve_inputs(target, run_forward)
    bound = _bind_loss(loss, inputs, loss_target, run_forward)
    trace = trace_target(
        target.call,
        inputs.args,
        inputs.kwargs,
        loss=bound.call if bound else None,
        mode=mode,
        input_grad=target.call is target.model if input_grad is None else input_grad,
        watched=frozenset(rules.by_call),
        assumed_sizes=inputs.assumed,
    )
    assumptions = (*target.assumptions, *inputs.assumptions, *(bound.assumptions if bound else ()), *trace.assumptions)
    return make_report(target.label, trace, environment, (*assumptions, *_invented(trace), *_dated(environment)))


def make_report(label: str, trace: Trace, environment: Environment, assumptions: tuple[str, ...]) -> Report:
    """Judge a trace for one environment; a trace may be judged for many."""
    matched = match(trace, load_rules(), environment)
    phases = [call_of(node).phase for node in trace.ops()]
    backward = phases.count("backward")
    return Report(
        target=label,
        environment=environment,
        assumptions=assumptions,
        forward_ops=len(phases) - backward,
        backward_ops=backward,
        unknown=matched.unknown,
        findings=matched.findings,
    )


def _bind_loss(
    loss: str | LossFunction | None, inputs: Inputs, target: object, run_forward: Callable[..., object]
) -> Loss | None:
    if loss is None:
        return None
    function = load_loss(loss)
    return make_loss(function, run_forward(inputs.args, dict(inputs.kwargs)), target, lambda: on_meta([function]))


def _dated(environment: Environment) -> tuple[str, ...]:
    if not environment.is_newer_than_the_rules:
        return ()
    return (f"torch {environment.torch} is newer than the rules, which end at {NEWEST}: taken to behave as that",)


def _invented(trace: Trace) -> tuple[str, ...]:
    """One line per place where a value that hangs on weights or activations had to be made up."""
    places = dict.fromkeys((each.op, each.called) for each in trace.inventions)
    return tuple(
        f"{op} hangs on values a trace does not have"
        + (f" ({called.file}:{called.line})" if called else "")
        + "; one way through was taken"
        for op, called in places
    )
