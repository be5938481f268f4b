"""What stands in a wrapper: the module that torch.compile, DataParallel or DistributedDataParallel was given."""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch import nn

from opscan.distributed.world import is_open
from opscan.errors import TargetError

_PARALLEL = ("DataParallel", "DistributedDataParallel")
_FLAT = "torch.distributed.fsdp.fully_sharded_data_parallel"


def unwrapped(found: object, label: str) -> tuple[object, tuple[str, ...]]:
    """The object without its wrappers, and a line for each that was taken off.

    Raises TargetError for what cannot be traced in any way: TorchScript, and parameters flattened by FSDP.
    """
    lines: list[str] = []
    while (inner := _inside(found)) is not None:
        name = _kind(found)
        if name == "DistributedDataParallel" and is_open():
            lines.append(f"{name}: put around the {type(inner).__name__} in it anew, with its defaults")
        else:
            lines.append(f"{name}: the {type(inner).__name__} in it is traced, as it runs without the wrapper")
        found = inner
    _refuse(found, label)
    return found, tuple(lines)


def _inside(found: object) -> nn.Module | None:
    if not isinstance(found, nn.Module):
        return None
    inner = found._modules.get("_orig_mod") if _kind(found) == "OptimizedModule" else None
    if type(found).__module__.startswith("torch.nn.parallel") and _kind(found) in _PARALLEL:
        inner = found._modules.get("module")
    return inner


def _kind(found: object) -> str:
    return type(found).__name__


def _refuse(found: object, label: str) -> None:
    if isinstance(found, torch.jit.ScriptModule | torch.jit.ScriptFunction):
        name = str(getattr(found, "original_name", "") or getattr(found, "name", "") or "the module")
        hint = f"Name what it was made from, before torch.jit.script or torch.jit.trace: {name} in Python."
        raise TargetError(f"TorchScript ({name}) runs where a trace cannot see it", label, hint)
    sharded: Any = sys.modules.get(_FLAT)
    if sharded is not None and isinstance(found, sharded.FullyShardedDataParallel):
        hint = "Name the module before FullyShardedDataParallel(...); fully_shard (FSDP2) keeps the parameters apart."
        raise TargetError(
            "FullyShardedDataParallel holds flat parameters that have no shapes of their own", label, hint
        )
