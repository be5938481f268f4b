"""What a trace starts from: the modules whose parts have names, and a placeholder for each tensor that is there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any

import torch
from torch import nn

from opscan.trace.graph import Role
from opscan.trace.reach import named_by
from opscan.trace.recorder import Recorder
from opscan.trace.unwritten import left_unwritten
from opscan.trace.values import is_lazy, map_tensors


def roots_of(call: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, nn.Module]:
    """The modules whose submodules get paths: the model itself without a prefix, others under the name they go by."""
    if isinstance(call, nn.Module):
        return {"": call}
    owner = getattr(call, "__self__", None)
    found = {"": owner} if isinstance(owner, nn.Module) else {}
    function = getattr(call, "__func__", call)
    named = {
        **getattr(owner, "__dict__", {}),
        **(named_by(function) if isinstance(function, FunctionType) else {}),
        **{f"args[{position}]": value for position, value in enumerate(args)},
        **kwargs,
    }
    return found | {name: value for name, value in named.items() if isinstance(value, nn.Module)}


def add_inputs(recorder: Recorder, call: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Record the parameters and buffers of the modules, then the tensors among the arguments."""
    for prefix, root in roots_of(call, args, kwargs).items():
        modules = dict(root.named_modules())
        for name, tensor in (*root.named_parameters(), *root.named_buffers()):
            if not is_lazy(tensor):
                role: Role = "weight" if tensor.requires_grad else "buffer"
                path = f"{prefix}.{name}" if prefix else name
                node = recorder.add_input(f"{prefix}_{name}".replace(".", "_"), tensor, role, path)
                if (unwritten := left_unwritten(modules, prefix, name)) is not None:
                    node.meta["unwritten"] = unwritten
    for name, value in (*((f"input_{position}", value) for position, value in enumerate(args)), *kwargs.items()):
        tensors: list[torch.Tensor] = []
        map_tensors(tensors.append, value)
        for tensor in tensors:
            recorder.add_input(name, tensor, "data")
