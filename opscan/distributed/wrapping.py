"""DistributedDataParallel in a trace: around a module that is given bare, and made anew for stand-ins of parameters.

# Note [Reducers of a trace]
DDP's reducer is C++: it hangs on the parameters that it was built with, gathers their gradients into buckets, and calls
a collective for each bucket when it is full. It runs on meta as it is. A trace puts stand-ins in the place of
parameters, which a reducer knows nothing of; so one is built for the stand-ins, as DDP itself does when it is unpickled
(torch/nn/parallel/distributed.py, DistributedDataParallel.__setstate__, torch 2.6 to 2.15).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils._python_dispatch import _disable_current_modes

REPLICATED = (
    "DistributedDataParallel(model) (assumed: the step of each rank; name a step of yours that shards otherwise)"
)


def is_bare(module: object) -> bool:
    """Whether it is a module with something to train that no wrapper of torch.distributed has been put around."""
    if not isinstance(module, nn.Module) or not any(each.requires_grad for each in module.parameters()):
        return False
    kinds = {type(each).__name__ for each in module.modules()} | {
        cls.__name__ for each in module.modules() for cls in type(each).__mro__
    }
    sharded = any(type(each).__name__ == "DTensor" for each in module.parameters())
    return not (sharded or kinds & {"DistributedDataParallel", "FSDPModule", "FullyShardedDataParallel"})


def shapes_compared(original: Callable[..., Any]) -> Callable[..., None]:
    """DDP's comparison of shapes between ranks, unseen: C++ writes its numbers where no op shows it.

    On meta there is nobody to compare with.
    """

    @wraps(original)
    def compare(group: Any, tensors: Sequence[torch.Tensor], *args: Any) -> None:
        if not any(each.is_meta for each in tensors):
            with _disable_current_modes():
                original(group, tensors, *args)

    return compare


def replicated(call: Callable[..., Any]) -> Callable[..., Any]:
    """The module in DistributedDataParallel, over all ranks."""
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    module: Any = call
    return DistributedDataParallel(module)


def renew_reducers(holders: Iterable[object]) -> None:
    """Give every DistributedDataParallel among them a reducer for the parameters it has now, if there is a group."""
    for holder in holders:
        if type(holder) is DistributedDataParallel and torch.distributed.is_initialized():
            _renew(holder)


def _renew(wrapper: Any) -> None:
    parameters, sparse = wrapper._build_params_for_reducer()
    names = wrapper._build_debug_param_to_name_mapping(parameters)
    wrapper._ddp_init_helper(parameters, sparse, names, wrapper.static_graph)
    registering: Any = torch.distributed
    for hook, state in wrapper._comm_hooks:
        registering._register_comm_hook(wrapper.reducer, state, hook)
    if wrapper.static_graph:
        wrapper.reducer._set_static_graph()
