"""What is called for a target that is built: its forward, the training step of its framework, or a step with its model.

LightningModule, or a module with a training_step   its step, hooks and optimizer included
Keras model                                          one step of fit
function that takes a model, method of a model       the step, with model, optimizer and the rest bound
any other                                            as it is
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from opscan.errors import InputError
from opscan.steps.beside import criterion_for, model_named_by, optimizer_for
from opscan.steps.keras import KerasStep, has_loss, is_built, keras_batch, keras_inputs, wants_classes
from opscan.steps.lightning import LightningStep, has_forward, has_step
from opscan.steps.step import Criterion, TrainingStep, batch_of
from opscan.steps.stepping import Stepping
from opscan.target.build import Target
from opscan.target.inputs import Inputs
from opscan.target.keras import is_keras
from opscan.target.roles import Argument, roles_of

MakeModel = Callable[[object, str], Target]
"""Builds a model from a class, a factory or an instance that was found under a name."""


@dataclass(frozen=True, slots=True)
class Settled:
    """`target.call` is what is traced. `stepping` says how to find the arguments of a step, `roles` what they are."""

    target: Target
    stepping: Stepping | None = None
    roles: tuple[Argument, ...] = ()


def settle(target: Target, given: Inputs | None, make_model: MakeModel, *, training: bool, has_loss: bool) -> Settled:
    """Choose what is called. With a loss of the user's, or in eval mode, it is the forward.

    A step whose arguments are all `given` is called as it is. Raises InputError for a step whose model is not clear.
    """
    model = target.model
    if model is not None and target.call is model:
        forward_alone = has_loss or not training
        if is_keras(model):
            return Settled(target) if forward_alone else _keras(target, model)
        if not has_step(model) or (forward_alone and has_forward(model)):
            return Settled(target)
        return _of_module(target, model, model.training_step)  # type: ignore[arg-type]  # has_step
    if model is not None and getattr(target.call, "__name__", "") == "training_step" and has_step(model):
        return _of_module(target, model, target.call)
    roles = roles_of(target.call)
    has_model = model is not None or any(each.role == "model" for each in roles)
    if not has_model or not roles or _is_complete(roles, given):
        return Settled(target)
    return _of_function(target, roles, make_model)


def _is_complete(roles: tuple[Argument, ...], given: Inputs | None) -> bool:
    """Whether the user gave all arguments, those that are no data included."""
    if given is None or len(given.args) + len(given.kwargs) < len(roles):
        return False
    names = {each.name for each in roles}
    left = [each for each in roles[len(given.args) :] if each.name not in given.kwargs]
    return not left and set(given.kwargs) <= names


def _of_module(target: Target, model: nn.Module, function: Callable[..., Any]) -> Settled:
    roles = roles_of(function)
    bound = {each.name: _simple(each, target.label) for each in roles if each.role in ("index", "device")}
    data = tuple(each for each in roles if each.name not in bound)
    step = LightningStep(function, model, bound)
    stepping = Stepping(replace(target, call=step), step, batch_of(function, data), has_forward=has_forward(model))
    return Settled(stepping.target, stepping, roles)


def _keras(target: Target, model: nn.Module) -> Settled:
    if not has_loss(model):
        line = "the model is not compiled: its outputs are differentiated, without a loss or an optimizer"
        return Settled(replace(target, assumptions=(*target.assumptions, line)))
    step = KerasStep(model.train_step, model, {})  # type: ignore[arg-type]  # a Keras model's
    inputs = keras_inputs(model)
    lines = () if is_built(model) else ("the model is not built yet: the step makes its weights",)
    made = replace(target, call=step, assumptions=(*target.assumptions, *lines))
    batch = keras_batch(model, inputs)
    return Settled(made, Stepping(made, step, batch, classes_first=wants_classes(model), known=inputs))


def _of_function(target: Target, roles: tuple[Argument, ...], make_model: MakeModel) -> Settled:
    """A function or a method with what is no data bound to it."""
    bound: dict[str, object] = {}
    lines: list[str] = []
    model, criterion, made = target.model, None, target
    for each in roles:
        if each.role == "model" and model is None:
            named = target.arguments.get(each.name)
            found, name = (None, str(named)) if named else model_named_by(target.call, each.parameter)
            made = make_model(found, name)
            model = bound[each.name] = made.model
            lines.extend([] if named else [f"{each.name} = {name} (found beside the step; --init {each.name}=NAME)"])
            lines.extend(made.assumptions)
        elif each.role == "model":
            bound[each.name] = model
    for each in roles:
        if each.name in bound or each.role in ("data", "criterion"):
            continue
        value, line = _bound(target.call, each, model, bound, target.label)
        bound[each.name] = value
        lines.extend([line] if line else [])
    for each in roles:
        if each.role == "criterion":
            choices, _ = criterion_for(target.call, each.parameter)
            criterion = Criterion(each.name, choices)
    data = tuple(each for each in roles if each.role == "data")
    step = TrainingStep(target.call, model, bound)
    settled = replace(
        target, call=step, model=model, assumptions=(*target.assumptions, *lines), arguments=made.arguments
    )
    forward = model is not None and has_forward(model)
    stepping = Stepping(settled, step, batch_of(target.call, data, bound), criterion, True, forward)
    return Settled(settled, stepping, roles)


def _bound(
    step: Callable[..., Any], argument: Argument, model: nn.Module | None, bound: Mapping[str, object], label: str
) -> tuple[object, str]:
    """The value of an argument that is neither data nor the model, with a line if it was a choice."""
    if argument.role == "optimizer" and model is not None:
        return optimizer_for(step, argument.parameter, model)
    if argument.role == "scheduler":
        optimizer = next((each for each in bound.values() if isinstance(each, torch.optim.Optimizer)), None)
        if optimizer is not None:
            return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 1.0), ""
    return _simple(argument, label), ""


def _simple(argument: Argument, label: str) -> object:
    if argument.role == "index":
        return 0
    if argument.role == "device":
        return torch.device("cpu")  # a trace moves nothing
    if argument.role == "scaler":
        return torch.amp.GradScaler("cpu", enabled=False)
    hint = "Give a function that makes all its arguments: --inputs mod:make_batch"
    raise InputError(f"the step takes {argument.name}, and nothing says what it is", label, hint)
