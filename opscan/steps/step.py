"""A training step that is called with data alone: its model, optimizer and the rest are bound to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn

from opscan.steps.batch import Batch, reading_of_annotation
from opscan.steps.reading import WHOLE, Reading, read_parameter
from opscan.target.roles import Argument


class TrainingStep:
    """Calls `function` with what is bound and with data, by keyword.

    It passes for a method of its model: by `__self__` a trace finds the module whose submodules get paths.
    """

    def __init__(self, function: Callable[..., Any], model: nn.Module | None, bound: Mapping[str, object]) -> None:
        self.function = function
        self.model = model
        self.bound = dict(bound)

    @property
    def __self__(self) -> nn.Module | None:
        return self.model

    def __call__(self, **data: object) -> object:
        """Run the step once."""
        return self.function(**self.bound, **data)


@dataclass(frozen=True, slots=True)
class Criterion:
    """A loss nobody named: the values to try for the step's parameter `name`."""

    name: str
    choices: tuple[Callable[..., Any], ...]


def batch_of(
    function: Callable[..., Any], data: tuple[Argument, ...], bound: Mapping[str, object] | None = None
) -> Batch:
    """How a step reads the arguments that are data, and the model it is `bound` to if it hands them on."""
    readings: dict[str, Reading] = {}
    for each in data:
        read = read_parameter(function, each.name, bound)
        said = reading_of_annotation(each.parameter.annotation)
        readings[each.name] = said if read is WHOLE and said is not None else read
    return Batch(readings, {each.name: each.parameter.annotation for each in data})
