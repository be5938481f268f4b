"""The tensors in what a model returns, and which of them are differentiated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch


def loss_or_outputs(outputs: Any) -> list[torch.Tensor]:
    """The tensors to differentiate: a `loss` the output carries, or else every tensor in it."""
    loss = outputs.get("loss") if isinstance(outputs, Mapping) else getattr(outputs, "loss", None)
    if isinstance(loss, torch.Tensor) and loss.grad_fn is not None:
        return [loss]
    return tensors_of(outputs)


def tensors_of(outputs: Any) -> list[torch.Tensor]:
    """Every tensor in nested sequences, mappings and dataclasses, in order."""
    found: list[torch.Tensor] = []
    _collect(outputs, found, set())
    return found


def _collect(value: Any, found: list[torch.Tensor], seen: set[int]) -> None:
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, torch.Tensor):
        found.append(value)
    elif isinstance(value, Mapping):
        for item in value.values():
            _collect(item, found, seen)
    elif isinstance(value, list | tuple):
        for item in value:
            _collect(item, found, seen)
    elif hasattr(value, "__dataclass_fields__"):
        for name in value.__dataclass_fields__:
            _collect(getattr(value, name), found, seen)
