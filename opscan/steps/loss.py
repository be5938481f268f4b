"""The loss of `--loss`: a function of the model's output, with its target solved for when nobody gave one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from opscan.blame import one_line
from opscan.errors import InputError, TargetError
from opscan.target.inputs import InputSpec, flag, make_inputs
from opscan.target.load import load_object
from opscan.target.spec import parse_target

TARGET_NAME = "target"
"""An `--input` of this name goes to the loss."""

LossFunction = Callable[..., object]


@dataclass(frozen=True, slots=True)
class Loss:
    """`call(output)` gives the loss; `assumptions` has the line for a target nobody gave."""

    call: Callable[[object], object]
    assumptions: tuple[str, ...] = ()


def load_loss(loss: str | LossFunction) -> LossFunction:
    """The function behind `--loss`: `cross_entropy`, `CrossEntropyLoss`, `mod:fn`, or a callable as it is.

    Raises TargetError if there is no such thing or it cannot be called.
    """
    found: object = loss
    if isinstance(loss, str):
        found = (
            getattr(F, loss, None) or getattr(nn, loss, None) if ":" not in loss else load_object(parse_target(loss))
        )
    if isinstance(found, type) and issubclass(found, nn.Module):
        found = found()
    if not callable(found):
        raise TargetError(
            f"no loss function {loss!r}",
            "--loss",
            "Name one of torch.nn.functional (cross_entropy), of torch.nn (MSELoss), or your own as mod:function.",
        )
    return found


def make_loss(
    function: LossFunction,
    output: object,
    target: object = None,
    on_meta: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Loss:
    """Bind a loss function to its target, given or solved for by trying on `output`, a meta tensor.

    `on_meta` makes the context in which it is tried. A function of one argument takes the output alone. Raises
    InputError when no target fits.
    """
    wanted = _required(function)
    if wanted <= 1 and target is None:
        return Loss(lambda value: function(value))
    if target is not None:
        return Loss(_WithTarget(function, target))
    if not isinstance(output, torch.Tensor) or wanted > 2:
        raise InputError(
            f"the loss takes {wanted} arguments and the model returns a {type(output).__name__}",
            "--loss",
            "Give a function of the model's output alone: --loss mod:my_loss.",
        )
    errors = []
    for spec in _target_specs(output, function):
        made = make_inputs([spec]).args[0]
        try:
            with on_meta():
                function(output, made)
        except Exception as error:  # whatever the loss says of a target that does not fit
            errors.append(f"{spec}: {one_line(error)}")
            continue
        shown = InputSpec(spec.shape, spec.dtype, spec.bound, TARGET_NAME)
        return Loss(_WithTarget(function, made), (f"{shown} (the loss's target, assumed; {flag(shown)})",))
    raise InputError(
        "no target found that the loss takes",
        "--loss",
        f"Give it as --input {TARGET_NAME}=int64:2<10. Tried: " + "; ".join(errors),
    )


class _WithTarget:
    """A loss and its target, an attribute: so that it is on the device where the step is run, as inputs are."""

    def __init__(self, function: LossFunction, target: object) -> None:
        self.function = function
        self.target = target

    def __call__(self, output: object) -> object:
        return self.function(output, self.target)


def _required(function: LossFunction) -> int:
    """How many positional arguments have to be given; losses of torch take an input and a target."""
    try:
        parameters = inspect.signature(function.forward if isinstance(function, nn.Module) else function).parameters
    except (TypeError, ValueError):
        return 2
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return sum(each.default is each.empty and each.kind in positional for each in parameters.values())


def _target_specs(output: torch.Tensor, function: LossFunction) -> Iterator[InputSpec]:
    """Class indices where the loss's name speaks of classes, then values shaped like the output, then the reverse."""
    name = getattr(function, "__name__", type(function).__name__).lower()
    shape = tuple(output.shape)
    classes = [InputSpec((shape[0], *shape[2:]), "int64", max(shape[1], 1))] if len(shape) > 1 else []
    values = [InputSpec(shape, str(output.dtype).removeprefix("torch."))]
    of_classes = any(word in name for word in ("crossentropy", "cross_entropy", "nll", "multi_margin", "multimargin"))
    yield from (*classes, *values) if of_classes and "binary" not in name else (*values, *classes)
