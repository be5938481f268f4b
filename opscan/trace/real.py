"""A step on tensors that have values: copies of the user's own, and made-up ones for those on meta."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from math import prod
from typing import Any

import torch
from torch import fx

from opscan.trace.autocast import Casting
from opscan.trace.calls import PublicCalls
from opscan.trace.driver import Regime, borrowing, to_call, trace_under
from opscan.trace.graph import Role, Trace
from opscan.trace.hygiene import unchanged_process
from opscan.trace.kept_tensors import KeptTensors
from opscan.trace.recorder import Recorder
from opscan.trace.traits import traits_of
from opscan.trace.values import map_tensors, meta_like

_CPU = torch.device("cpu")


class RealRecorder(Recorder):
    """Runs ops for real and records each as a node. A leaf of the user's own keeps the gradient it had."""

    real = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._grads: list[tuple[torch.Tensor, torch.Tensor | None]] = []
        self._kept_grads = KeptTensors()
        self.foreign: list[torch.Tensor] = []
        """The user's own tensors that the step was run on: those of closures and globals."""

    def run(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run one op; what it makes is on the CPU, whatever device the code names."""
        if traits_of(func).device and kwargs.get("device") is not None:
            kwargs = {**kwargs, "device": _CPU} | ({"pin_memory": False} if kwargs.get("pin_memory") else {})
        return func(*args, **kwargs)

    def add_input(self, name: str, tensor: torch.Tensor, role: Role, parameter: str = "") -> fx.Node:
        """As for a trace on meta, and remember the gradient of a leaf that is the user's own."""
        if name == "constant":
            self.foreign.append(tensor)
        if name == "constant" and tensor.requires_grad and tensor.is_leaf:
            self._grads.append((tensor, tensor.grad))
            if tensor.grad is not None:
                self._kept_grads.keep(tensor.grad)
        return super().add_input(name, tensor, role, parameter)

    def forget_tensors(self) -> None:
        """Undo as after a trace on meta, gradients of the user's own leaves included."""
        super().forget_tensors()
        self._kept_grads.restore()
        for tensor, grad in self._grads:
            tensor.grad = grad
        self._grads.clear()


class MadeUp:
    """Values for tensors that have none, the same in each process; in a range that keeps activations sane."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.random = torch.Generator(device=device)
        self.random.manual_seed(0)

    def copy_of(self, tensor: torch.Tensor) -> torch.Tensor:
        """A copy on the device; of a tensor on meta, one with values made up."""
        if not tensor.is_meta:
            return tensor.detach().to(self._device, copy=True)
        made = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=self._device)
        if not (made.is_floating_point() or made.is_complex()):
            return made.zero_()
        if isinstance(tensor, torch.nn.Parameter) and made.ndim > 1:
            return made.normal_(std=prod(made.shape[1:]) ** -0.5, generator=self.random)
        if isinstance(tensor, torch.nn.Parameter):
            return made.uniform_(0.5, 1.5, generator=self.random) if not made.is_complex() else made.fill_(1)
        return made.normal_(generator=self.random)

    def gradient_for(self, root: torch.Tensor) -> torch.Tensor:
        """Random: the ones that `.sum()` feeds hide in which order they are added."""
        return torch.empty_like(root).normal_(generator=self.random)


class CpuRegime(Regime):
    """A step that is traced as it runs on the CPU, for whatever device the answer is."""

    def __init__(self, watched: frozenset[str], casting: Casting) -> None:
        super().__init__(watched, casting=casting)
        self.recorder = RealRecorder(watched, dtype_within=self.autocast.dtype_within)
        self.calls = PublicCalls(self.recorder.on_call, self.autocast.outside, "cpu")
        self._values = MadeUp(_CPU)

    def stand_in(self, tensor: torch.Tensor) -> torch.Tensor:
        """A copy of a tensor of the user's; of one on meta, values that keep activations in a sane range."""
        return self._values.copy_of(tensor)

    def gradient_for(self, root: torch.Tensor) -> torch.Tensor:
        """Random values."""
        return self._values.gradient_for(root)


def trace_on_cpu(
    call: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    *,
    watched: frozenset[str],
    casting: Casting,
    **how: Any,
) -> Trace:
    """As driver.trace_target, with `how` as there, of a step that runs on the CPU for real. Raises TraceError."""
    return trace_under(CpuRegime(watched, casting), call, args, kwargs, **how)


def attempt_on_cpu(
    call: Callable[..., Any], training: bool, casting: Casting
) -> Callable[[tuple[Any, ...], dict[str, Any]], Any]:
    """As driver.attempt, for real on the CPU; of what the forward returns floating tensors are handed back on meta."""

    def run(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        regime = CpuRegime(frozenset(), casting)
        process: AbstractContextManager[None] = unchanged_process()
        with borrowing([call, args, kwargs], training, process, regime.stand_in) as twins, regime.autocast.honoured():
            try:
                with torch.set_grad_enabled(training), regime.watching(), regime.autocast.region():
                    output = to_call(call, twins, training)(*twins.swap(args), **twins.swap(kwargs))
            finally:
                regime.recorder.forget_tensors()
        return map_tensors(lambda tensor: meta_like(tensor) if tensor.is_floating_point() else tensor, output)

    return run
