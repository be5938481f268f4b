"""Which of a forward's parameters have to be given, and how."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, replace
from inspect import Parameter

from torch import nn

from opscan.errors import InputError
from opscan.target.arguments import signature_of
from opscan.target.build import Target
from opscan.target.inputs import Inputs

# A step may take objects that are no tensors: nothing but a function that makes them can give these.
_OBJECTS = {
    *("model", "net", "network", "module", "optimizer", "optim", "opt", "criterion", "loss_fn", "scheduler", "scaler"),
    *("loader", "dataloader", "train_loader", "data_loader", "batch", "data", "sample", "samples", "config", "args"),
}
# Models from transformers have no required parameter; one or two of these are what they need.
_MAIN_OPTIONAL = ("input_ids", "decoder_input_ids", "pixel_values", "input_values", "input_features")


@dataclass(frozen=True, slots=True)
class Slot:
    """One argument of a call; `is_number` where its annotation says that it is a whole one."""

    name: str
    keyword: bool = False
    is_number: bool = False


Slots = tuple[Slot, ...]


def ways_to_call(target: Target, given: Inputs) -> tuple[Slots, ...]:
    """The sets of arguments worth trying: the required ones, then those with an optional one that may be the input.

    What is given already is left out. Raises InputError for a step that has required parameters, since they may be
    anything, and for a module that has no forward but a training step.
    """
    parameters = _parameters(target)
    has_given = bool(given.args or given.kwargs)
    if target.model is None and has_given:
        return ((),)
    _check_forward(target)
    required = _left(parameters, given)
    if required:
        _check_names(target, given)
    if target.model is None or (target.call is not target.model and _OBJECTS & {slot.name for slot in required}):
        return _ways_to_step(target, required, parameters)
    if has_given:
        return (required,)
    if any(parameter.kind is Parameter.VAR_POSITIONAL for parameter in parameters):
        several = (Slot("input1"), Slot("input2"))
        return (*required, several[0]), (*required, *several), required
    optional = [Slot(name, keyword=True) for name in optional_of(target, given)]
    main = [slot for slot in optional if slot.name in (_main_input(target), *_MAIN_OPTIONAL)]
    main.sort(key=lambda slot: slot.name != _main_input(target))
    first = [] if required else [(main[0],)] if main else []
    ways = [*first, required, (*required, *optional[:1]), (*required, *main[:1]), (*required, *main)]
    return tuple(dict.fromkeys(ways))


def optional_of(target: Target, given: Inputs) -> dict[str, object]:
    """The names of the parameters that may be left out, and were, with their annotations."""
    there = given_by_name(target, given)
    return {
        parameter.name: parameter.annotation
        for parameter in _parameters(target)
        if not _is_required(parameter)
        and parameter.name not in there
        and parameter.kind is not Parameter.VAR_POSITIONAL
    }


def _main_input(target: Target) -> str:
    """What the model says its main input is called, as those of transformers do; or nothing."""
    name = getattr(target.model, "main_input_name", "")
    return name if isinstance(name, str) else ""


def names_of(target: Target) -> tuple[str, ...]:
    """The names of the parameters, without `*args` and `**kwargs`."""
    return tuple(each.name for each in _parameters(target) if each.kind is not Parameter.VAR_POSITIONAL)


def given_by_name(target: Target, given: Inputs) -> dict[str, object]:
    """The arguments that were given, by the names of their parameters."""
    return {**dict(zip(names_of(target), given.args, strict=False)), **given.kwargs}


def _left(parameters: list[Parameter], given: Inputs) -> Slots:
    """The required parameters nobody gave; those that come after one given by name have to be named as well."""
    left: list[Slot] = []
    named = False
    for position, parameter in enumerate(parameters):
        if parameter.name in given.kwargs:
            named = True
        elif _is_required(parameter) and position >= len(given.args):
            slot = _slot(parameter)
            left.append(replace(slot, keyword=slot.keyword or named))
    return tuple(left)


def _ways_to_step(target: Target, left: Slots, parameters: list[Parameter]) -> tuple[Slots, ...]:
    if not left:
        return ((),)
    maker = "a function that makes its arguments: --inputs mod:make_batch"
    if _OBJECTS & {slot.name for slot in left}:
        all_ = ", ".join(parameter.name for parameter in parameters if _is_required(parameter))
        hint = f"Give {maker}, which returns them all: ({all_}{',' if ',' not in all_ else ''})"
    else:
        hint = f"Give one --input for each, as in --input 2x3x32x32, or {maker}"
    what = f"the step takes {', '.join(slot.name for slot in left)}"
    raise InputError(f"{what}, and no inputs are given", target.label, hint)


def _check_forward(target: Target) -> None:
    """Raise InputError for a module that defines a training step, and no forward of its own."""
    model = target.model
    if model is None or target.call is not model or not hasattr(type(model), "training_step"):
        return
    home = next(kind for kind in type(model).__mro__ if "forward" in vars(kind))
    if home is nn.Module or home.__name__ == "LightningModule":
        label = target.label if ":" in target.label and "(" not in target.label else f"mod:{type(model).__name__}"
        hint = f"Scan its step, with a batch: {label}.training_step --inputs mod:make_batch"
        raise InputError(f"{type(model).__name__} defines training_step, but no forward", target.label, hint)


def _check_names(target: Target, given: Inputs) -> None:
    """Raise InputError for an argument that no parameter takes: nothing that is solved for beside it would run."""
    kinds = {parameter.name: parameter.kind for parameter in _all_parameters(target)}
    unknown = [name for name in given.kwargs if name not in kinds]
    if not kinds or not unknown or Parameter.VAR_KEYWORD in kinds.values():
        return
    near = difflib.get_close_matches(unknown[0], kinds, n=1)
    hint = f"Did you mean {near[0]}?" if near else f"It takes {', '.join(kinds)}."
    raise InputError(f"the forward takes no {unknown[0]!r}", target.label, hint)


def _all_parameters(target: Target) -> list[Parameter]:
    function = target.model.forward if target.model is not None and target.call is target.model else target.call
    signature = signature_of(function)
    return list(signature.parameters.values()) if signature else []


def _parameters(target: Target) -> list[Parameter]:
    return [parameter for parameter in _all_parameters(target) if parameter.kind is not Parameter.VAR_KEYWORD]


def _is_required(parameter: Parameter) -> bool:
    return parameter.default is parameter.empty and parameter.kind is not Parameter.VAR_POSITIONAL


def _slot(parameter: Parameter) -> Slot:
    return Slot(parameter.name, parameter.kind is Parameter.KEYWORD_ONLY, parameter.annotation in (int, "int"))
