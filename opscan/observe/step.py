"""One target on a real device: run, watched, and put beside what was predicted of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from opscan.environment import Amp
from opscan.errors import TraceError
from opscan.finding import Cost, Finding, Run
from opscan.observe.join import Seen, joined, seen_in
from opscan.observe.run import DeviceRegime, PlainRegime, where_it_failed
from opscan.trace.driver import Loss, Mode, Wrap, trace_under
from opscan.trace.graph import Trace
from opscan.trace.values import is_lazy, map_tensors

WANTED = ("all", "rules", "unknown")
"""Which ops may be asked for to be replayed."""


@dataclass(frozen=True, slots=True)
class Step:
    """What is run: the call, its inputs, the loss, the mode, whether floating inputs need a gradient, and autocast.

    `wrap` puts what is called into something else, as part of the step.
    """

    call: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    loss: Loss | None = None
    mode: Mode = "train"
    input_grad: bool = False
    amp: Amp | None = None
    wrap: Wrap | None = None

    def under(self, regime: DeviceRegime) -> Trace:
        """Run it under a regime. Raises TraceError as a trace does."""
        return trace_under(
            regime,
            self.call,
            self.args,
            self.kwargs,
            loss=self.loss,
            mode=self.mode,
            input_grad=self.input_grad,
            wrap=self.wrap,
        )


def memory_needed(step: Step) -> int:
    """Bytes that copies of parameters and buffers, with gradients, and of inputs take; activations come on top."""
    tensors: list[torch.Tensor] = []
    map_tensors(tensors.append, (step.args, dict(step.kwargs)))
    model = step.call if isinstance(step.call, nn.Module) else getattr(step.call, "__self__", None)
    if isinstance(model, nn.Module):
        tensors += [each for each in (*model.parameters(), *model.buffers()) if not is_lazy(each)]
    return sum(each.numel() * each.element_size() * (2 if each.requires_grad else 1) for each in tensors)


@dataclass(frozen=True, slots=True)
class Observation:
    """What came of a run: its cost, what was seen in strict mode and by replay, and the trace in default mode."""

    run: Run
    strict: Sequence[Seen] = ()
    default: Sequence[Seen] = ()
    trace: Trace | None = None

    def beside(self, findings: Sequence[Finding]) -> tuple[Finding, ...]:
        """The findings with what was observed of each; unchanged where the run did not get through."""
        return tuple(findings) if self.run.failure else joined(findings, self.strict, self.default)


def observe(
    step: Step, device: torch.device, watched: frozenset[str], replays: int, wanted: Callable[[Any], bool]
) -> Observation:
    """Run a step on a device: plainly for its cost, in strict mode, and with `replays` > 1 once more in default mode.

    Both watched runs replay then, so that what strict mode leaves open is told from what it settles. For want of memory
    the outcome says so and where; any other failure is the target's. Raises TraceError naming the op.
    """
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    traces: list[Trace] = []
    regime = DeviceRegime(device, watched, True, replays, wanted, step.amp)
    try:
        costs = [_cost(lambda: traces.append(step.under(regime)), device)]
        if replays > 1:
            regime = DeviceRegime(device, watched, False, replays, wanted, step.amp)
            costs.append(_cost(lambda: traces.append(step.under(regime)), device))
        plain = _cost(lambda: step.under(PlainRegime(device, watched, step.amp, regime.recorder.foreign)), device)
    except TraceError as error:
        at = _place(regime)
        if not _is_out_of_memory(error.__cause__):
            hint = f"{error.hint} Or leave the run out: --no-run"
            raise TraceError(f"{error.what}{at} on {name}", error.where, hint) from error
        failure = f"out of memory{at}: everything here is predicted, nothing was observed"
        return Observation(Run(name, 0, replays, Cost(0, None), Cost(0, None), failure))
    spent = Cost(sum(each.seconds for each in costs), max((each.memory or 0 for each in costs), default=0) or None)
    run = Run(name, len(traces[0].ops()), replays, spent, plain)
    default = traces[1] if replays > 1 else None
    return Observation(run, seen_in(traces[0]), seen_in(default) if default else (), default)


def _cost(work: Callable[[], object], device: torch.device) -> Cost:
    on_cuda = device.type == "cuda"
    if on_cuda:
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
    started = time.perf_counter()
    work()
    if on_cuda:
        torch.cuda.synchronize(device)
    return Cost(time.perf_counter() - started, torch.cuda.max_memory_allocated(device) if on_cuda else None)


def _place(regime: DeviceRegime) -> str:
    found = where_it_failed(regime)
    if found is None:
        return ""
    op, module = found
    return f" in {op}" + (f", module {module.path or '(the model itself)'}" if module else "")


def _is_out_of_memory(error: BaseException | None) -> bool:
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError) and "can't allocate memory" in str(error)
    )
