"""A world of many ranks in one process: torch's fake process group, and what code asks of the machine around it.

# Note [A world without a network]
torch.testing._internal.distributed.fake_pg registers the backend "fake", whose collectives send nothing (torch 2.6 to
2.15). While a world is open every process group is one of these, whatever backend, store or address is asked for:
`init_process_group` gets a store that stores nothing instead of a rendezvous, and this process is rank 0 of as many as
the user said. The variables that torchrun sets are set. A device mesh on "cuda" is one on "cpu": on a machine without
a GPU no other can be made, and the tensors of a trace are on meta in any case. Two checks are left out that would ask
other ranks or refuse meta tensors: that parameters have equal shapes on all ranks (DDP), that none is on meta (FSDP2).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from importlib import import_module
from typing import Any

import torch

from opscan.blame import lines_of
from opscan.distributed.aftermath import unchanged_around
from opscan.distributed.late import replaced_when_loaded
from opscan.distributed.streams import DeviceHandle
from opscan.errors import EnvironmentSpecError

_PER_NODE = 8
"""How many ranks torchrun would start per machine, for LOCAL_WORLD_SIZE: the GPUs of an HGX or DGX board."""

_ACCELERATORS = ("cuda", "xpu", "hpu", "mps", "privateuseone")
_HANDLE = DeviceHandle()


@contextmanager
def world(size: int | None) -> Iterator[None]:
    """While active, code that sets up torch.distributed finds itself rank 0 of `size` ranks; nothing is sent.

    With None nothing is changed. Process groups, environment variables, device meshes and DTensor's caches are
    afterwards what they were. Raises EnvironmentSpecError for a size below 1, without torch.distributed, and where a
    process group is there already.
    """
    if size is None:
        yield
        return
    _check(size)
    with ExitStack() as stack:
        stack.enter_context(unchanged_around())
        os.environ.update(_variables(size))
        stack.enter_context(_replaced(size))
        yield


def is_open() -> bool:
    """Whether the step is to be looked at as that of one of several ranks."""
    return bool(_open)


@contextmanager
def as_one_of(size: int) -> Iterator[None]:
    """While active a world is open whose other ranks are there, in processes of their own."""
    _open.append(size)
    try:
        yield
    finally:
        _open.pop()


def ranks_here() -> int | None:
    """How many ranks the open world has, or the process group that is there; None without either."""
    if _open:
        return _open[-1]
    there = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size() if there else None


_open: list[int] = []


def _check(size: int) -> None:
    hint = "Give the number of processes of the run, as in --world-size 8."
    if size < 1:
        raise EnvironmentSpecError(f"a world has at least one rank, not {size}", "--world-size", hint)
    if not torch.distributed.is_available():
        raise EnvironmentSpecError("this torch has no torch.distributed", "--world-size", "Install one that has.")
    if torch.distributed.is_initialized():
        hint = "Leave --world-size out: the group that is there counts; or call destroy_process_group() before."
        raise EnvironmentSpecError("a process group is there already", "--world-size", hint)


def _variables(size: int) -> dict[str, str]:
    """What torchrun sets for rank 0. Source: torch/distributed/elastic/agent/server/local_elastic_agent.py."""
    local = min(size, _PER_NODE)
    return {
        "RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": str(size), "LOCAL_WORLD_SIZE": str(local), "GROUP_RANK": "0",
        "GROUP_WORLD_SIZE": str(-(-size // local)), "ROLE_RANK": "0", "ROLE_WORLD_SIZE": str(size),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500", "TORCHELASTIC_RUN_ID": "opscan",
    }  # fmt: skip


@contextmanager
def _replaced(size: int) -> Iterator[None]:
    """The doors to the network and to devices, in the modules that hold them."""
    import_module("torch.testing._internal.distributed.fake_pg")  # registers the backend
    initialise = _initialise(torch.distributed.init_process_group)
    wanted: dict[str, dict[str, Callable[[Any], Any]]] = {
        "torch.distributed": {"init_process_group": lambda original: initialise, **_BETWEEN_TWO},
        "torch.distributed.distributed_c10d": {
            "init_process_group": lambda original: initialise,
            "rendezvous": lambda original: lambda *args, **kwargs: iter([(_store(), 0, size)]),
            "_new_process_group_helper": lambda original: _faked(original, size),
            **_BETWEEN_TWO,
        },
        "torch.distributed.device_mesh": {
            "init_process_group": lambda original: initialise,
            "DeviceMesh.__init__": _on_cpu,
        },
        "torch.nn.parallel.distributed": {"_verify_param_shape_across_processes": _nothing},
        "torch.distributed.tensor._collective_utils": {"mesh_scatter": _scattered, "mesh_broadcast": _broadcast},
        "torch.distributed.tensor.placement_types": {"mesh_scatter": _scattered, "mesh_broadcast": _broadcast},
    }
    for name in ("param_group", "init", "state", "collectives"):
        wanted[f"torch.distributed.fsdp._fully_shard._fsdp_{name}"] = {
            "FSDPParamGroup._validate_no_meta_params": _nothing,
            "_get_device_handle": lambda original: lambda device_type="cuda": _HANDLE,
        }
    if not torch.cuda.is_available():
        wanted["torch.cuda"] = {
            "set_device": _nothing,
            "synchronize": _nothing,
            "current_device": lambda original: lambda: 0,
            "device_count": lambda original: lambda: min(size, _PER_NODE),
        }
    with as_one_of(size), replaced_when_loaded(wanted):
        yield


def _one_by_one(original: Callable[..., Any]) -> Callable[..., list[Any]]:
    """batch_isend_irecv without the group's batching, which asks for the backend of tensors that are on meta."""

    @wraps(original)
    def start(p2p_op_list: list[Any]) -> list[Any]:
        works = [each.op(each.tensor, each.peer, each.group, each.tag) for each in p2p_op_list]
        return [work for work in works if work is not None]

    return start


def _unanswered(original: Callable[..., Any]) -> Callable[..., Any]:
    """recv_object_list: an object that decides what comes next, which no rank is there to send."""

    @wraps(original)
    def receive(*args: Any, **kwargs: Any) -> Any:
        what = "recv_object_list: another rank is to send an object, and none is there"
        raise EnvironmentSpecError(what, lines_of(sys._getframe(1))[0], _GIVEN)

    return receive


_GIVEN = (
    "For torch.distributed.pipelining give every PipelineStage its shapes, input_args= and output_args=; or let all"
    " ranks run: opscan check TARGET --processes N."
)
_BETWEEN_TWO = {"batch_isend_irecv": _one_by_one, "recv_object_list": _unanswered}


def _nothing(original: Callable[..., Any]) -> Callable[..., None]:
    return lambda *args, **kwargs: None


def _scattered(original: Callable[..., Any]) -> Callable[..., Any]:
    """DTensor's scatter of a parameter over a mesh, which sends nothing where the tensors are on meta."""

    @wraps(original)
    def scatter(
        output: torch.Tensor, parts: list[torch.Tensor], mesh: Any, mesh_dim: int = 0, *args: Any, **kwargs: Any
    ) -> None:
        group = mesh.get_group(mesh_dim)
        source = torch.distributed.get_global_rank(group, 0)
        torch.distributed.scatter(output, parts, src=source, group=group)

    return scatter


def _broadcast(original: Callable[..., Any]) -> Callable[..., Any]:
    """As _scattered, for a parameter that every rank keeps whole."""

    @wraps(original)
    def broadcast(tensor: torch.Tensor, mesh: Any, mesh_dim: int = 0, *args: Any, **kwargs: Any) -> None:
        group = mesh.get_group(mesh_dim)
        torch.distributed.broadcast(tensor, src=torch.distributed.get_global_rank(group, 0), group=group)

    return broadcast


def _store() -> Any:
    return import_module("torch.testing._internal.distributed.fake_pg").FakeStore()


def _initialise(original: Callable[..., None]) -> Callable[..., None]:
    """init_process_group without the device it is bound to, which this machine may lack.

    A step is run several times, and may set up its group in each.
    """

    @wraps(original)
    def initialise(*args: Any, **kwargs: Any) -> None:
        kwargs.pop("device_id", None)
        if not torch.distributed.is_initialized():
            original(*args, **kwargs)

    return initialise


def _faked(original: Callable[..., Any], size: int) -> Callable[..., Any]:
    """_new_process_group_helper with the fake backend, and for the default group with the world's size."""

    @wraps(original)
    def make(
        group_size: int, group_rank: int, ranks: list[int], backend: Any, store: Any, *args: Any, **kwargs: Any
    ) -> Any:
        if not ranks:
            group_size, group_rank = size, 0
        kwargs = {name: value for name, value in kwargs.items() if name not in ("backend_options", "device_id")}
        return original(group_size, group_rank, ranks, "fake", store, *args[:1], **kwargs)

    return make


def _on_cpu(original: Callable[..., None]) -> Callable[..., None]:
    @wraps(original)
    def initialise(self: Any, device_type: str, *args: Any, **kwargs: Any) -> None:
        kind = str(device_type).partition(":")[0]
        return original(self, "cpu" if kind in _ACCELERATORS else device_type, *args, **kwargs)

    return initialise
