"""What can be observed of modules, tensors, optimizers and any other objects, all the way down."""

from __future__ import annotations

import hashlib
import random
from collections import UserDict, deque
from collections.abc import Iterable, Mapping
from types import FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any

import numpy as np
import numpy.random
import torch
from torch import nn
from torch.nn.parameter import UninitializedTensorMixin

from tests.hygiene.snapshot import Names, Same

_VALUES = (int, float, str, bytes, complex, bool, type(None), torch.dtype, torch.device, torch.Size)


def digest(data: bytes) -> str:
    """Equal for equal bytes."""
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def bits(tensor: torch.Tensor) -> str:
    """A digest of a tensor's values; of a sparse or quantized one, of those that make it up."""
    if isinstance(tensor, UninitializedTensorMixin) or tensor.is_meta:
        return "no values"
    with torch.no_grad():
        if tensor.layout is torch.sparse_coo:
            return bits(tensor._indices()) + bits(tensor._values())
        if tensor.layout in (torch.sparse_csr, torch.sparse_bsr):
            return bits(tensor.crow_indices()) + bits(tensor.col_indices()) + bits(tensor.values())
        if tensor.layout is not torch.strided:
            return bits(tensor.to_dense())
        if tensor.is_quantized:
            return bits(tensor.int_repr()) + repr(tensor.qscheme())
        plain = tensor.detach().resolve_conj().resolve_neg().contiguous().reshape(-1)
        return digest(plain.view(torch.uint8).numpy().tobytes()) if plain.numel() else "empty"


def tensor_state(tensor: torch.Tensor) -> dict[str, Any]:
    """Identity, values, memory, version, history, gradient, hooks and attributes."""
    lazy = isinstance(tensor, UninitializedTensorMixin)
    strided = not lazy and tensor.layout is torch.strided
    return {
        "is": Same(tensor),
        "class": tensor.__class__,
        "device": tensor.device,
        "dtype": tensor.dtype,
        "sizes": None if lazy else tuple(tensor.shape),
        "strides": (tensor.stride(), tensor.storage_offset()) if strided else None,
        "memory": tensor.untyped_storage().data_ptr() if strided and type(tensor) in _PLAIN else None,
        "bits": bits(tensor) if type(tensor) in _PLAIN or lazy else "no values",
        "version": None if lazy or tensor.is_inference() else tensor._version,
        "requires_grad": tensor.requires_grad,
        "history": Same(tensor.grad_fn),
        "grad": _grad_of(tensor),
        "hooks": _held(tensor._backward_hooks),
        "hooks after accumulating": _held(getattr(tensor, "_post_accumulate_grad_hooks", None)),
        "attributes": _held(tensor.__dict__),
    }


_PLAIN = (torch.Tensor, nn.Parameter, nn.Buffer)


def _grad_of(tensor: torch.Tensor) -> Any:
    grad = tensor.grad if tensor.is_leaf or tensor.retains_grad else None
    return None if grad is None else {"is": Same(grad), "version": grad._version, "bits": bits(grad)}


def _held(hooks: Mapping[Any, Any] | None) -> Any:
    return None if hooks is None else {"is": Same(hooks), "in it": {key: Same(hook) for key, hook in hooks.items()}}


def observed(roots: Iterable[object]) -> dict[str, Any]:
    """By path, everything that can be reached from `roots` through attributes, containers, closures and defaults."""
    found: dict[str, Any] = {}
    seen: set[int] = set()
    todo = [(str(number), root) for number, root in enumerate(roots)]
    while todo:
        path, value = todo.pop()
        if isinstance(value, _VALUES):
            found[path] = value
        elif id(value) in seen or isinstance(value, ModuleType):
            found[path] = Same(value)
        else:
            seen.add(id(value))
            found[path], parts = _state_of(value)
            todo.extend((f"{path}{name}", part) for name, part in reversed(parts))
    return found


_Parts = list[tuple[str, object]]


def _state_of(value: Any) -> tuple[Any, _Parts]:
    """What can be compared of one object, and what it holds."""
    if isinstance(value, torch.Tensor):
        return tensor_state(value), [(f".{name}", each) for name, each in value.__dict__.items()]
    if isinstance(value, np.ndarray):
        return {"is": Same(value), "bits": digest(value.tobytes())}, []
    if isinstance(value, torch.Generator):
        return {"is": Same(value), "state": digest(value.get_state().numpy().tobytes())}, []
    if isinstance(value, random.Random):
        return {"is": Same(value), "state": digest(repr(value.getstate()).encode())}, []
    if isinstance(value, np.random.RandomState):
        return {"is": Same(value), "state": digest(repr(value.get_state()).encode())}, []
    if isinstance(value, np.random.Generator):
        return {"is": Same(value), "state": repr(value.bit_generator.state)}, []
    if isinstance(value, torch.jit.ScriptModule):
        tensors = {name: _bits_of_script(each) for name, each in (*value.named_parameters(), *value.named_buffers())}
        return {"is": Same(value), "training": value.training, "tensors": tensors}, []
    if isinstance(value, type):
        return _state_of_class(value)
    if isinstance(value, FunctionType | MethodType):
        return _state_of_function(value)
    return _state_of_container(value)


def _bits_of_script(tensor: torch.Tensor) -> tuple[Any, ...]:
    """Of a tensor that TorchScript holds, which Python is handed another object of each time."""
    grad = tensor.grad
    return bits(tensor), tensor._version, tensor.requires_grad, None if grad is None else bits(grad)


def _state_of_class(value: type) -> tuple[Any, _Parts]:
    """A class of a test's own, or one made for a model, may count on itself; others are torch's and Python's."""
    if value.__module__.partition(".")[0] not in ("tests", "__main__", "mymodel"):
        return Same(value), []
    own = {name: each for name, each in vars(value).items() if not isinstance(each, FunctionType | MappingProxyType)}
    counted = [(f"::{name}", each) for name, each in own.items() if not name.startswith("__")]
    return {"is": Same(value), "bound": Names(vars(value))}, counted


def _state_of_function(value: Any) -> tuple[Any, _Parts]:
    if isinstance(value, MethodType):
        return {"function": Same(value.__func__)}, [(".__self__", value.__self__)]
    cells = dict(zip(value.__code__.co_freevars, value.__closure__ or (), strict=True))
    enclosed: _Parts = []
    for name, cell in cells.items():
        try:
            enclosed.append((f"<{name}>", cell.cell_contents))
        except ValueError:
            enclosed.append((f"<{name}>", "empty"))
    defaults = [(f"<default {at}>", each) for at, each in enumerate(value.__defaults__ or ())]
    return {"is": Same(value), "attributes": _held(value.__dict__)}, [*enclosed, *defaults]


def _state_of_container(value: Any) -> tuple[Any, _Parts]:
    state: dict[str, Any] = {"is": Same(value), "class": Same(type(value))}
    parts: _Parts = []
    if isinstance(value, dict | UserDict):
        state["keys"] = [key if isinstance(key, _VALUES) else Same(key) for key in value]
        parts += [(f"[{key!r}]" if isinstance(key, _VALUES) else f"[#{at}]", each)
                  for at, (key, each) in enumerate(value.items())]  # fmt: skip
    elif isinstance(value, list | tuple | deque):
        state["length"] = len(value)
        parts += [(f"[{at}]", each) for at, each in enumerate(value)]
    elif isinstance(value, set | frozenset):
        state["members"] = sorted(map(id, value))
    parts += [(f".{name}", getattr(value, name, "none")) for name in getattr(type(value), "__slots__", ())]
    if isinstance(getattr(value, "__dict__", None), dict):
        state["attributes"] = list(value.__dict__)
        parts += [(f".{name}", each) for name, each in value.__dict__.items()]
        parts.append((".__class__", type(value)))
    return state, parts
