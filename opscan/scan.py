"""Compose the stages: target, inputs, trace, match, report."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from opscan.blame import one_line, user_line
from opscan.config import InputRule
from opscan.cost import cost_since
from opscan.distributed.ranks import World
from opscan.distributed.report import world_of
from opscan.distributed.world import is_open, ranks_here, world
from opscan.distributed.wrapping import REPLICATED, is_bare, replicated
from opscan.environment import Environment, Strictness, make_environment
from opscan.errors import InputError, OpscanError, TraceError
from opscan.match import Matched, match, merged
from opscan.observe.plan import Plan, check_memory, plan_run, rebuilt
from opscan.observe.step import Step, memory_needed, observe
from opscan.remedies.suggest import with_remedies
from opscan.report.report import Report
from opscan.reporting import informed, make_report
from opscan.rules.load import Ruleset, load_rules
from opscan.solving.slots import names_of
from opscan.spread.reach import reach
from opscan.steps.find import find_inputs
from opscan.steps.fit import fit
from opscan.steps.loss import TARGET_NAME, Loss, LossFunction, load_loss, make_loss
from opscan.steps.settle import Settled, settle
from opscan.target.build import Target, build_target, make_model, target_from_object
from opscan.target.inputs import Inputs, inputs_from_object
from opscan.trace.autocast import Casting, on_target
from opscan.trace.choices import Way
from opscan.trace.driver import Mode, attempt, constructing, on_meta, trace_target
from opscan.trace.glance import Place, glance
from opscan.trace.graph import Trace
from opscan.trace.hygiene import unchanged_process
from opscan.trace.real import attempt_on_cpu, trace_on_cpu
from opscan.trace.ways import every_way

MODES = ("train", "eval")
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
    world_size: int | None = None,
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

    `world_size` is how many processes will train together. The step is then traced as rank 0 of them runs it, with
    torch's fake process group: init_process_group, device meshes, DDP, fully_shard and DTensor work as they do there,
    nothing is sent, and collectives are ops of the step. A bare module is put into DistributedDataParallel.

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
    rebuild: Callable[[], Target] | None = None
    judged_by = rules if isinstance(rules, Ruleset) else load_rules(*([Path(rules)] if rules is not None else []))
    started = time.perf_counter()
    traced: Mode = "train" if mode == "train" else "eval"
    with world(world_size):
        if isinstance(target, str):
            built, rebuild = build_named(target, environment)
        else:
            built = target_from_object(target)
        given = None if inputs is None else inputs_from_object(inputs)
        return scan_target(
            built,
            given,
            environment,
            loss=loss,
            mode=traced,
            input_grad=input_grad,
            rules=judged_by,
            plan=plan if world_size is None else None,
            trace_device=trace_device,
            rebuild=rebuild,
            started=started,
        )


def build_named(
    target: str, environment: Environment, init: Mapping[str, object] | None = None
) -> tuple[Target, Callable[[], Target]]:
    """Build what a user names, on meta and as if the environment's device were here; and what builds it for real.

    `init` holds constructor arguments. Raises TargetError.
    """
    with on_target(environment.device):
        built = build_target(target, init, partial(constructing, environment.device))
    return built, partial(build_target, target, init)


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
    scan = _Scan(environment, mode, loss, input_grad, rules, trace_device == "cpu")
    if scan.on_cpu:
        held = inputs or Inputs()
        check_memory(memory_needed(Step(target.call, held.args, held.kwargs)), target.label)
        target = replace(rebuilt(target, rebuild), assumptions=(*target.assumptions, ON_CPU))
    settling = partial(settle, given=inputs, training=mode == "train", has_loss=loss is not None)
    settled, step, traces, refused = scan.looked(partial(scan.prepared, target, inputs, settling, configured))
    report = make_report(target.label, traces, environment, (*settled.assumptions, *refused), rules)
    if input_grad is None and any(place.for_inputs for finding in report.findings for place in finding.places):
        needed = "the inputs need a gradient, as inside a larger model (assumed; --no-input-grad)"
        report = replace(report, assumptions=(*report.assumptions, needed))
    report = replace(report, cost=cost_since(started, settled.model), world=_world(traces))
    if plan is None:
        return report
    if rebuild is not None and settled.arguments == target.arguments:  # else it would be another construction
        again = partial(settling, make_model=partial(make_model, beside=target.label))
        plan = replace(plan, rebuild=lambda: again(rebuild()).target)
    return _run(replace(step, call=plan.rebuilt(settled).call), plan, report, rules)


@dataclass(frozen=True, slots=True)
class _Scan:
    """How one target is scanned: what for, and on meta or, with `on_cpu`, for real."""

    environment: Environment
    mode: Mode
    loss: str | LossFunction | None
    input_grad: bool | None
    rules: Ruleset
    on_cpu: bool

    @property
    def casting(self) -> Casting:
        return Casting(self.environment.device, self.environment.amp)

    def looked(
        self, prepare: Callable[..., tuple[Target, Step, bool]]
    ) -> tuple[Target, Step, tuple[Trace, ...], tuple[str, ...]]:
        """What is called, and the step with its traces; on other inputs, if a first search was too quick to find them.

        Raises InputError or TraceError.
        """
        target, step, assumed_sizes = prepare()
        try:
            return target, *self.traced(step, assumed_sizes)
        except TraceError:
            if not assumed_sizes or self.on_cpu:
                raise
            again, step, _ = prepare(once=False)  # see Note [Layers run once]
            if again.assumptions == target.assumptions:
                raise
        return again, *self.traced(step, assumed_sizes)

    def prepared(
        self,
        target: Target,
        inputs: Inputs | None,
        settling: Callable[..., Settled],
        configured: Sequence[InputRule],
        once: bool = True,
    ) -> tuple[Target, Step, bool]:
        """What is called with all that was assumed, the step with its inputs and loss, and whether sizes were assumed.

        With `once` layers that repeat one another run once while inputs are sought. Raises InputError when no inputs
        are found.
        """
        run = attempt_on_cpu if self.on_cpu else partial(attempt, once=once)
        attempting = partial(run, training=self.mode == "train", casting=self.casting)
        inputs, loss_target = self._without_loss_target(target, inputs)
        making = partial(make_model, constructing=partial(constructing, self.environment.device), beside=target.label)
        with_loss = self.mode == "train" and self.loss is None
        finding = partial(find_inputs, given=inputs, attempting=attempting, configured=configured, with_loss=with_loss)
        with unchanged_process():
            target, found = fit(target, partial(settling, make_model=making), finding)
        bound = _bind_loss(self.loss, found, loss_target, attempting(target.call))
        assumptions = (*target.assumptions, *found.assumptions, *(bound.assumptions if bound else ()))
        grad = self.input_grad if self.input_grad is not None else target.call is target.model
        call = bound.call if bound else None
        step = Step(target.call, found.args, found.kwargs, call, self.mode, grad, self.environment.amp)
        return replace(target, assumptions=assumptions), step, found.assumed

    def _without_loss_target(self, target: Target, inputs: Inputs | None) -> tuple[Inputs | None, object]:
        """An input named as the loss's target goes to the loss, where the forward has no such parameter."""
        if inputs is None or self.loss is None or TARGET_NAME in names_of(target):
            return inputs, None
        kwargs = dict(inputs.kwargs)
        loss_target = kwargs.pop(TARGET_NAME, None)
        return replace(inputs, kwargs=kwargs), loss_target

    def traced(self, step: Step, assumed_sizes: bool) -> tuple[Step, tuple[Trace, ...], tuple[str, ...]]:
        """The step as it ran, its traces, and a line if the model refused inputs that need a gradient.

        Raises TraceError with what the rules know of the place.
        """
        note: tuple[str, ...] = ()
        if is_open() and self.mode == "train" and is_bare(step.call):
            step, note = replace(step, wrap=replicated), (REPLICATED,)
        trace = partial(
            trace_on_cpu if self.on_cpu else trace_target,
            step.call,
            step.args,
            step.kwargs,
            loss=step.loss,
            mode=step.mode,
            watched=frozenset(self.rules.by_call),
            assumed_sizes=assumed_sizes,
            casting=self.casting,
            wrap=step.wrap,
        )
        look = partial(_glance, step, self.casting)

        def traces(input_grad: bool) -> tuple[Trace, ...]:
            run = partial(trace, input_grad=input_grad)
            return (run(),) if self.on_cpu else every_way(run, look)  # real values take one way

        try:
            return step, traces(step.input_grad), note
        except TraceError as error:
            if self.input_grad is not None or not step.input_grad or error.call:
                raise informed(error, self.rules, self.environment) from error.__cause__
        refused = "the inputs need no gradient: the model fails on inputs that do (assumed; --input-grad)"
        return replace(step, input_grad=False), traces(False), (refused, *note)


def _world(traces: Sequence[Trace]) -> World | None:
    """The ranks the traced step belongs to, where a world is open or the user's own process group is there."""
    size = ranks_here()
    return world_of(size, traces) if size is not None else None


def _glance(step: Step, casting: Casting, way: Way) -> frozenset[Place]:
    training = step.mode == "train"
    return glance(step.call, step.args, step.kwargs, way=way, loss=step.loss, training=training, casting=casting)


def _run(step: Step, plan: Plan, report: Report, rules: Ruleset) -> Report:
    """The report with what the step was seen to do on the device; without, and saying so, where it is too large."""
    needed = memory_needed(step)
    if needed > plan.memory:
        words = f"not run on {plan.device.type}: the model alone takes {needed >> 20} MiB of {plan.memory >> 20} free"
        return replace(report, assumptions=(*report.assumptions, words))
    seen = observe(step, plan.device, frozenset(rules.by_call), plan.replays, plan.wanted(rules))
    findings = report.findings
    if seen.trace is not None:
        found = reach(seen.trace, match(seen.trace, rules, report.environment)).matched
        findings = merged([Matched(findings, {}), found]).findings
    return replace(report, findings=with_remedies(seen.beside(findings)), run=seen.run)


def _bind_loss(
    loss: str | LossFunction | None, inputs: Inputs, target: object, run_forward: Callable[..., object]
) -> Loss | None:
    if loss is None:
        return None
    function = load_loss(loss)
    try:
        output = run_forward(inputs.args, dict(inputs.kwargs))
    except OpscanError:
        raise
    except (Exception, SystemExit) as error:
        what, hint = f"the forward fails on these inputs: {one_line(error)}", "Correct --input or --inputs."
        raise InputError(what, user_line(error) or "--loss", hint) from error
    return make_loss(function, output, target, lambda: on_meta([function]))
