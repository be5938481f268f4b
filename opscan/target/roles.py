"""What each parameter of a training step is: the model, its optimizer, a criterion, an index, or data."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from inspect import Parameter
from typing import Any, Literal

import torch
from torch import nn

from opscan.target.arguments import signature_of

Role = Literal["model", "optimizer", "scheduler", "criterion", "scaler", "index", "device", "logger", "data"]

_BY_NAME: tuple[tuple[Role, str], ...] = (
    ("model", "model net network module"),
    ("optimizer", "optimizer optim opt optimiser"),
    ("scheduler", "scheduler lr_scheduler sched"),
    ("criterion", "criterion loss_fn loss_func loss_function loss_fct objective criteria"),
    ("scaler", "scaler grad_scaler"),
    ("index", "batch_idx batch_index batch_nb i step epoch idx iteration global_step step_idx n_iter current_epoch"),
    ("device", "device dev"),
    ("logger", "logger writer log"),
)
_ROLES: dict[str, Role] = {name: role for role, names in _BY_NAME for name in names.split()}
_CRITERION = re.compile(r"torch\.nn\.modules\.loss")


@dataclass(frozen=True, slots=True)
class Argument:
    """A parameter with its role."""

    parameter: Parameter
    role: Role

    @property
    def name(self) -> str:
        return self.parameter.name


def roles_of(step: Callable[..., Any]) -> tuple[Argument, ...]:
    """The required parameters of a step, and those with a default that are a model, in order."""
    signature = signature_of(step)
    parameters = signature.parameters.values() if signature else ()
    kinds = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)
    required = [each for each in parameters if each.kind not in kinds and each.default is each.empty]
    return tuple(Argument(parameter, role_of(parameter)) for parameter in required)


def role_of(parameter: Parameter) -> Role:
    """By its annotation, where that says it, or else by its name."""
    kind = parameter.annotation
    if isinstance(kind, type) and kind is not Parameter.empty:
        return _by_annotation(kind, _ROLES.get(parameter.name, "data"))
    return _ROLES.get(parameter.name, "data")


def _by_annotation(kind: type, named: Role) -> Role:
    if issubclass(kind, nn.Module):
        return "criterion" if _CRITERION.match(kind.__module__) or named == "criterion" else "model"
    if issubclass(kind, torch.optim.Optimizer):
        return "optimizer"
    if issubclass(kind, torch.optim.lr_scheduler.LRScheduler):
        return "scheduler"
    if issubclass(kind, torch.device):
        return "device"
    if issubclass(kind, torch.Tensor | dict | list | tuple):
        return "data"
    return named
