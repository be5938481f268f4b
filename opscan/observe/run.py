"""One step on a real device, every op of it watched: strict mode's errors are collected, and ops are replayed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import fx

from opscan.environment import Amp
from opscan.observe.replay import run_and_replay
from opscan.trace.autocast import Casting, RealAutocast
from opscan.trace.calls import PublicNames
from opscan.trace.driver import Regime
from opscan.trace.graph import ModuleSite, call_of
from opscan.trace.hygiene import unchanged_process
from opscan.trace.kept_tensors import tensors_unchanged
from opscan.trace.modes import modes_closed
from opscan.trace.real import MadeUp, RealRecorder

_ALERT = " does not have a deterministic implementation"
_CUBLAS = "it uses CuBLAS and you have CUDA >= 10.2"

set_strict = torch._C._set_deterministic_algorithms
"""As it was when this was imported: user code may be handed another one."""


def alert_in(error: BaseException) -> str | None:
    """The literal in a RuntimeError of strict mode: what stands before "does not have a deterministic implementation".

    Source: at::Context::alertNotDeterministic, aten/src/ATen/Context.cpp, and the cuBLAS check there (to torch 2.9).
    """
    text = str(error)
    if _ALERT in text:
        return text.partition(_ALERT)[0].rpartition("\n")[2].strip()
    return _CUBLAS if _CUBLAS in text else None


class Observer(RealRecorder):
    """Runs ops for real and records each as a node, with under its meta key "observed" what it was seen to do.

    With `strict` an op that raises strict mode's error is noted and run again with the error silenced, so that the step
    goes on to its end. Any other error is the user's. Each op that is `wanted` runs `runs` times.
    """

    def __init__(self, watched: frozenset[str], strict: bool, runs: int, wanted: Callable[[Any], bool]) -> None:
        super().__init__(watched)
        self._strict = strict
        self._runs = runs
        self._wanted = wanted
        self.failed: fx.Node | None = None

    def run(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run one op, as often as asked, and note what it did."""
        node = self.current
        runs = self._runs if self._runs > 1 and self._wanted(func) else 1
        alert = None
        try:
            result, replay = run_and_replay(func, args, kwargs, runs)
        except Exception as error:
            alert = alert_in(error) if self._strict and isinstance(error, RuntimeError) else None
            if alert is None:
                self.failed = node
                raise
            with _silenced():
                result, replay = run_and_replay(func, args, kwargs, runs)
        node.meta["observed"] = (alert, replay)
        return result


@contextmanager
def _silenced() -> Iterator[None]:
    """Strict mode that only warns; warnings are ignored while a step is watched."""
    set_strict(True, warn_only=True)
    try:
        yield
    finally:
        set_strict(True)


class DeviceRegime(Regime):
    """A step on a real device: copies of the user's tensors there, made-up values for those that have none."""

    recorder: Observer
    calls: PublicNames  # type: ignore[assignment]  # on a device its devices stay as they are

    def __init__(
        self,
        device: torch.device,
        watched: frozenset[str],
        strict: bool,
        runs: int = 1,
        wanted: Callable[[Any], bool] = lambda op: True,
        amp: Amp | None = None,
    ) -> None:
        super().__init__(watched)
        self.autocast = RealAutocast(Casting(device.type, amp))
        self.device = device
        self.strict = strict
        self.recorder = Observer(watched, strict, runs, wanted)
        self.calls = PublicNames(self.recorder.on_call, self.autocast.outside)
        self._values = MadeUp(device)

    def process(self) -> AbstractContextManager[None]:
        """Strict mode is on or off for real."""
        if self.device.type == "cuda":
            torch.cuda.init()  # from now on its random numbers can be put back
        return unchanged_process(strict=self.strict)

    def stand_in(self, tensor: torch.Tensor) -> torch.Tensor:
        """A copy on the device; of a tensor on meta, values that keep activations in a sane range."""
        return self._values.copy_of(tensor)

    def gradient_for(self, root: torch.Tensor) -> torch.Tensor:
        """Random: the ones that `.sum()` feeds hide in which order they are added."""
        return self._values.gradient_for(root)

    def launches(self) -> AbstractContextManager[None]:
        """Triton kernels run."""
        return nullcontext()


class PlainRegime(DeviceRegime):
    """The same step with nobody watching its ops: what it costs by itself. `foreign` are the user's tensors it uses."""

    def __init__(
        self, device: torch.device, watched: frozenset[str], amp: Amp | None, foreign: Sequence[torch.Tensor]
    ) -> None:
        super().__init__(device, watched, strict=False, amp=amp)
        self._foreign = foreign

    def process(self) -> AbstractContextManager[None]:
        """Nobody notes what is written to, so all that may be is kept."""
        return _both(super().process(), tensors_unchanged(self._foreign))

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Only whether the step runs its own backward is noticed."""
        with self.calls, modes_closed():
            yield


@contextmanager
def _both(outer: AbstractContextManager[None], inner: AbstractContextManager[None]) -> Iterator[None]:
    with outer, inner:
        yield


def where_it_failed(regime: DeviceRegime) -> tuple[str, ModuleSite | None] | None:
    """The op that failed with an error of the user's, or for want of memory, and the module it ran in."""
    node = regime.recorder.failed
    return None if node is None else (str(node.target), call_of(node).module)
