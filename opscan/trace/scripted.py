"""TorchScript modules and modules of a distributed wrapper: what stands for them in a trace, and which are refused.

# Note [TorchScript in a trace]
The interpreter of TorchScript sends its ops through the dispatcher like any other code, so they are traced. Its modules
hold their tensors in C++, where none can be exchanged for the time of a trace: so a copy stands for the whole module,
made by saving it and loading it onto the device of the trace. What is inside has no Python source: the line is that of
the call.
"""

from __future__ import annotations

import copy
import io
from collections.abc import Iterable

import torch

from opscan.blame import one_line
from opscan.errors import TraceError


def script_twin(module: torch.jit.ScriptModule, device: torch.device) -> torch.jit.ScriptModule:
    """A copy of a scripted or traced module on a device, in the mode it is in. Raises TraceError if it has none."""
    if all(tensor.device == device for tensor in (*module.parameters(), *module.buffers())):
        return copy.deepcopy(module)
    memory = io.BytesIO()
    try:
        torch.jit.save(module, memory)
        memory.seek(0)
        copied: torch.jit.ScriptModule = torch.jit.load(memory, map_location=device)
    except Exception as error:
        raise TraceError(
            f"a TorchScript module cannot be copied for the trace: {one_line(error)}",
            getattr(module, "original_name", type(module).__name__),
            "Give the module it was made from, before torch.jit.script or torch.jit.trace.",
        ) from error
    for parameter, original in zip(copied.parameters(), module.parameters(), strict=True):
        parameter.requires_grad_(original.requires_grad)
    return copied


def refuse_sharded(holders: Iterable[object]) -> None:
    """Raise TraceError for FullyShardedDataParallel: it makes its parameters from one flat tensor while it runs."""
    for holder in holders:
        if any(cls.__name__ == "FullyShardedDataParallel" for cls in type(holder).__mro__):
            raise _sharded(type(holder).__name__)


def _sharded(name: str) -> TraceError:
    hint = "Check the module before FullyShardedDataParallel, or shard it with fully_shard (FSDP2), which is traced."
    return TraceError("its parameters are made from one flat tensor while it runs", name, hint)
