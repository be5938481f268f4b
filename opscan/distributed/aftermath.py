"""What setting up torch.distributed leaves behind in a process, and how it is taken away again."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import torch

from opscan.trace.hygiene import states_unchanged


def _meshes() -> dict[str, Any]:
    """What torch keeps of device meshes, where that is loaded: tables of parents and children, a stack."""
    kept = getattr(sys.modules.get("torch.distributed.device_mesh"), "_mesh_resources", None)
    return {name: each for name, each in getattr(kept, "__dict__", {}).items() if isinstance(each, dict | list)}


@contextmanager
def unchanged_around() -> Iterator[None]:
    """Restore what setting up torch.distributed leaves behind in the process."""
    variables, hook = dict(os.environ), sys.excepthook
    held = {name: value.copy() for name, value in _meshes().items()}
    try:
        with states_unchanged():
            yield
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
        os.environ.clear()
        os.environ.update(variables)
        sys.excepthook = hook
        for name, kept in _meshes().items():
            kept.clear()
            (kept.update if isinstance(kept, dict) else kept.extend)(held.get(name, ()))
        _forget_shardings()


def _forget_shardings() -> None:
    """Empty what DTensor remembers of sharding ops: it holds meshes of the world."""
    dispatching: Any = sys.modules.get("torch.distributed.tensor._dispatch")
    if dispatching is None:
        return
    propagator = sys.modules["torch.distributed.tensor"].DTensor._op_dispatcher.sharding_propagator
    for name in ("propagate_op_sharding", "_propagate_tensor_meta_cached", "_propagate_tensor_meta"):
        found = getattr(propagator, name, None)
        clear = getattr(getattr(found, "cache", found), "cache_clear", None)
        if clear is not None:
            clear()
    debugging = import_module("torch.distributed.tensor.debug")
    clear = getattr(debugging, "_clear_fast_path_sharding_prop_cache", None)
    if clear is not None:
        clear()
    random: Any = sys.modules.get("torch.distributed.tensor._random")
    if random is not None:
        random._rng_tracker = None
