"""Training steps, told by the optimizers of torch: weights before the first, and what each step leaves."""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from typing import Any

import torch
from torch.optim import optimizer as hooks
from torch.utils._python_dispatch import _disable_current_modes

from opscan.blame import lines_of
from opscan.observe.fingerprint import fingerprint
from opscan.verifying.watch.digests import samples_of
from opscan.verifying.watch.marks import mark_of, numbers_of
from opscan.verifying.watch.modules import Modules
from opscan.verifying.watch.patches import Patches
from opscan.verifying.watch.recording import Recording, hashed, mixed
from opscan.verifying.watch.replicas import Replicas, several_ranks
from opscan.verifying.watch.torch_ops import Watch


class Steps:
    """Follows every optimizer; they are numbered in the order in which they are made or step."""

    def __init__(self, recording: Recording, modules: Modules, watch: Watch) -> None:
        self._recording = recording
        self._modules = modules
        self._watch = watch
        self._numbers: dict[int, int] = {}
        self._kept: list[Any] = []
        self._begun: set[int] = set()
        self._replicas = Replicas(recording, modules)
        watch.summed = self._replicas.summed

    def install(self, patches: Patches) -> None:
        """Watch optimizers being made, and their steps before and after."""
        self._replicas.install(patches)
        handles = (
            hooks.register_optimizer_step_pre_hook(self._before),
            hooks.register_optimizer_step_post_hook(self._after),
        )
        for handle in handles:
            patches.on_undo(handle.remove)
        patches.replace(torch.optim.Optimizer, "__init__", self._making)
        patches.replace(torch.Tensor, "backward", self._losing)

    def _making(self, original: Any) -> Any:
        def __init__(optimizer: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807 (it replaces one)
            original(optimizer, *args, **kwargs)
            self._weights(optimizer, first=False)

        return __init__

    def _losing(self, original: Any) -> Any:
        def backward(tensor: Any, *args: Any, **kwargs: Any) -> Any:
            if tensor.numel() == 1:
                self._recording.value("loss", tensor.detach(), sys._getframe(1), "backward")
            if self._recording.silent or not several_ranks():
                return original(tensor, *args, **kwargs)
            with self._replicas.backward([each for kept in self._kept for each in _parameters(kept)]):
                return original(tensor, *args, **kwargs)

        return backward

    def _number(self, optimizer: Any) -> int:
        if id(optimizer) not in self._numbers:
            self._numbers[id(optimizer)] = len(self._numbers)
            self._kept.append(optimizer)  # so that no other gets its id
        return self._numbers[id(optimizer)]

    def _before(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        if id(optimizer) not in self._begun:
            self._begun.add(id(optimizer))
            self._weights(optimizer, first=True)

    def _weights(self, optimizer: Any, first: bool) -> None:
        """The parameters of an optimizer, with names, as they are when it is made and before its first step."""
        parameters = _parameters(optimizer)
        self._watch.follow_weights(parameters)
        with self._recording.silenced(), torch.no_grad(), _disable_current_modes():
            self._modules.name_parameters()
            record = {
                "p": numbers_of([mark_of(each) for each in parameters]),
                "x": samples_of(parameters),
                "names": [self._modules.name_of(each) or f"parameter {at}" for at, each in enumerate(parameters)],
                "shapes": [list(each.shape) for each in parameters],
                "built": [list(self._modules.built_at(each)) for each in parameters],
                "unwritten": self._unwritten(parameters),
                "s": _state(optimizer) if first else 0,
                "r": generators() if first else {},
            }
            if first and several_ranks():
                self._replicas.tell_copies(self._number(optimizer), parameters)
        place = [] if first else list(lines_of(sys._getframe(2)))
        self._recording.put("weights", o=self._number(optimizer), first=first, at=place, **record)

    def _unwritten(self, parameters: Sequence[torch.Tensor]) -> dict[str, str]:
        """Where memory was allocated that no op wrote to since, by the position of the parameter that has it."""
        places = {at: self._watch.unwritten.get(each) for at, each in enumerate(parameters)}
        return {str(at): place[0] or place[1] for at, place in places.items() if place is not None}

    def _after(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        recording, number = self._recording, self._number(optimizer)
        record: dict[str, Any] = {"o": number}
        if recording.step % recording.options.every == 0:
            parameters = _parameters(optimizer)
            gradients = [each.grad for each in parameters]
            with recording.silenced(), torch.no_grad(), _disable_current_modes():
                marks = [mark_of(each) for each in parameters]
                marks += [mark_of(each) for each in gradients]
                read = numbers_of(marks)
                record |= {"p": read[: len(parameters)], "g": read[len(parameters) :]}
                record |= {"x": samples_of(parameters), "y": samples_of(gradients)}
                record |= {"s": _state(optimizer), "r": generators()}
                if several_ranks():
                    record["ranks"] = self._replicas.tell(number, optimizer, parameters)
        recording.stepped_by("optimizer", record)


def _parameters(optimizer: Any) -> list[torch.Tensor]:
    return [each for group in optimizer.param_groups for each in group["params"]]


def _state(optimizer: Any) -> int:
    """One number for all that an optimizer keeps beside the parameters."""
    total, marks = 0, []
    for parameter in _parameters(optimizer):
        for name, value in sorted(optimizer.state.get(parameter, {}).items()):
            if isinstance(value, torch.Tensor):
                marks.append(mark_of(value))
            elif isinstance(value, int | float):
                total = mixed(total, hashed(f"{name} {float(value)}".encode()))
    for number in numbers_of(marks):
        total = mixed(total, number)
    return total


def generators() -> dict[str, int]:
    """The states of the generators that all code shares, as 64 bits each."""
    states = {"torch": int(fingerprint(torch.default_generator.get_state()))}
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        for index, generator in enumerate(torch.cuda.default_generators):
            states[f"torch cuda:{index}"] = int(fingerprint(generator.get_state()))
    numpy = sys.modules.get("numpy.random")
    if numpy is not None:
        state = numpy.get_state()
        states["numpy"] = hashed(state[1].tobytes() + repr(state[2:]).encode())
    states["random"] = hashed(repr(random.getstate()).encode())
    return states
