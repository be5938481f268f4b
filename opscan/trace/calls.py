"""Public torch calls, seen before they decompose into ATen ops.

A TorchFunctionMode does three things here: it notes the name of the public function an op comes through, it marks
calls that a rule names as a whole (composites such as scaled_dot_product_attention), and it keeps devices out
of the way: `.cuda()` and `device="cuda"` mean nothing to a trace on meta.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import BuiltinFunctionType
from typing import Any

import torch
import torch.nn.functional as F
from torch.overrides import TorchFunctionMode

from opscan import traced_for
from opscan.trace.replaced import replaced
from opscan.trace.values import map_tensors, meta_like, tensors_in

_OWNERS = {
    "torch._C._nn": "torch.nn.functional",
    "torch._C._fft": "torch.fft",
    "torch._C._linalg": "torch.linalg",
    "torch._C._special": "torch.special",
    "torch.functional": "torch",
}
_SAME_TENSOR = {f"torch.Tensor.{name}" for name in ("cuda", "cpu", "mps", "xpu", "pin_memory")}
_FROM_VALUES = {"torch.tensor", "torch.as_tensor", "torch.asarray"}
_LENGTHS_AS_TENSORS = {"torch.nn.functional.ctc_loss", "torch.ctc_loss"}
"""Calls whose overload for lists of lengths makes a tensor on the data's device, which fails on meta; the one for
tensors takes the same numbers (seen on torch 2.6, 2.13 and 2.15)."""
_VALUES_OF = {f"torch.Tensor.{name}" for name in ("numpy", "__array__", "tolist", "__format__")}
_MOVES_IN_KERAS = "convert_to_tensor"
"""Keras moves a tensor to its device with `x.to`, but a meta tensor with `empty_like`, which has no history.

Source: keras 3.15 src/backend/torch/core.py.
"""
_DIFFERENTIATES = {"torch.Tensor.backward", "torch.autograd.backward"}
_ACCESSORS = ("__get__", "__set__")
_names: dict[Any, str] = {}


def public_name(func: Any) -> str:
    """The public name of a function as a TorchFunctionMode sees it: `torch.cumsum`, `torch.Tensor.put_`, ..."""
    name = _names.get(func)
    if name is None:
        name = _names[func] = _find_name(func)
    return name


def _find_name(func: Any) -> str:
    short: str = getattr(func, "__name__", "")
    if getattr(func, "__qualname__", "").startswith(("TensorBase.", "Tensor.")):
        return f"torch.Tensor.{short}"
    module = getattr(func, "__module__", None) or "torch"
    if module.startswith("torch._ops."):  # torch.ops.torch_scatter.scatter_max, or an overload of it
        return f"torch.ops.{module.removeprefix('torch._ops.')}.{short.partition('.')[0]}"
    owner = _OWNERS.get(module, module)
    return f"{owner}.{short.removeprefix(owner.rpartition('.')[2] + '_') if module.startswith('torch._C') else short}"


OnCall = Callable[[str, tuple[Any, ...], Mapping[str, Any]], AbstractContextManager[None]]


Surrounding = Callable[[], AbstractContextManager[object]]


class PublicNames(TorchFunctionMode):
    """Tells `on_call(name, args, kwargs)` of every outermost public call; what it returns surrounds the call.

    What `before_backward` returns surrounds a backward that a step runs itself.
    """

    def __init__(self, on_call: OnCall | None = None, before_backward: Surrounding = nullcontext) -> None:
        super().__init__()
        self.on_call = on_call or (lambda name, args, kwargs: nullcontext())
        self.before_backward = before_backward
        self.ran_backward = False  # a step differentiated its own loss; autograd.grad may be part of a forward

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if getattr(func, "__name__", "") in _ACCESSORS:
            return func(*args, **(kwargs or {}))
        name = public_name(func)
        if name in _DIFFERENTIATES:
            return self._differentiate(func, name, args, kwargs or {})
        with self.on_call(name, args, kwargs or {}):
            return func(*args, **(kwargs or {}))

    def _differentiate(self, func: Any, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        self.ran_backward = True
        with self.before_backward(), self.on_call(name, args, kwargs):
            return func(*args, **kwargs)

    @contextmanager
    def nested(self, names: Iterable[str]) -> Iterator[None]:
        """See calls also where torch makes them: these builtins of torch.nn.functional, and user code in backward.

        Within a call this mode is off, so such calls are looked up through doors that switch it on again. Functions
        written in Python get no door: they would take it for themselves and call it forever.
        """
        doors: list[tuple[Any, str]] = [
            (torch.autograd, "_engine_run_backward"),
            (torch.autograd.graph, "_engine_run_backward"),
        ]
        for owner, _, short in (name.rpartition(".") for name in names):
            if owner == "torch.nn.functional" and isinstance(getattr(F, short, None), BuiltinFunctionType):
                doors.append((F, short))
        with replaced([(owner, short, self._reentering(getattr(owner, short))) for owner, short in doors]):
            yield

    def _reentering(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if torch._C._len_torch_function_stack() and _on_stack(self):
                return original(*args, **kwargs)
            with self:
                return original(*args, **kwargs)

        setattr(call, traced_for.DOOR_TO, original)
        return call


class PublicCalls(PublicNames):
    """As PublicNames, and keeps devices out of the way: what the code makes is on `device`, whichever it names.

    On meta, real tensors that need a gradient and belong to no module (a weight in a closure) are stood in for by meta
    leaves, one each, because autograd refuses meta gradients for tensors elsewhere.
    """

    def __init__(
        self, on_call: OnCall | None = None, before_backward: Surrounding = nullcontext, device: str = "meta"
    ) -> None:
        super().__init__(on_call, before_backward)
        self._device = device
        self._stand_ins: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if getattr(func, "__name__", "") in _ACCESSORS:
            if id(args[0]) in self._stand_ins:
                args = (self._stand_ins[id(args[0])][1], *args[1:])
            return func(*args, **(kwargs or {}))
        name = public_name(func)
        if name in _SAME_TENSOR:
            return args[0]
        if name in _DIFFERENTIATES:
            return self._differentiate(func, name, *self._settled(name, args, dict(kwargs or {})))
        if name in _VALUES_OF and args[0].is_meta:
            return _values_of(name, *args)
        if name == "torch.empty_like" and args[0].is_meta and sys._getframe(1).f_code.co_name == _MOVES_IN_KERAS:
            return args[0]
        args, kwargs = self._settled(name, args, dict(kwargs or {}))
        if name == "torch.Tensor.to" and len(args) == 1 and not kwargs:
            return args[0]
        with self.on_call(name, args, kwargs):
            try:
                return func(*args, **kwargs) if kwargs else func(*args)
            except RuntimeError as refusal:
                if self._device != "meta" or "evice" not in str(refusal):
                    raise
                return _call_on_one_device(func, args, kwargs, refusal)

    def _settled(
        self, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments with devices out of the way and strays stood in for."""
        if self._device == "meta" and any(map(_is_stray, (*args, *kwargs.values()))):
            args, kwargs = map_tensors(self._stand_in, args), map_tensors(self._stand_in, kwargs)
        if name in _LENGTHS_AS_TENSORS:
            return tuple(map(_as_tensor, args)), {key: _as_tensor(each) for key, each in kwargs.items()}
        if name == "torch.Tensor.to":
            return _without_device(args, kwargs)
        if name == "torch.Tensor.type":
            return tuple(value.replace(".cuda.", ".") if isinstance(value, str) else value for value in args), kwargs
        if kwargs.get("device") is not None:
            known = name in _FROM_VALUES and not kwargs.get("requires_grad")
            kwargs["device"] = "cpu" if known else self._device
        return args, kwargs

    def _stand_in(self, tensor: torch.Tensor) -> torch.Tensor:
        if not _is_stray(tensor):
            return tensor
        found = self._stand_ins.get(id(tensor))
        if found is None:
            with torch._C._DisableTorchDispatch():
                found = self._stand_ins[id(tensor)] = (tensor, meta_like(tensor).requires_grad_())
        return found[1]


def _call_on_one_device(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], refusal: RuntimeError) -> Any:
    """Call a composite that checks devices itself once more, with meta twins for known tensors."""
    tensors: list[torch.Tensor] = []
    tensors_in((*args, *kwargs.values()), tensors)
    if len({tensor.device.type for tensor in tensors}) < 2:
        raise refusal

    def lend(tensor: torch.Tensor) -> torch.Tensor:
        with torch._C._DisableTorchDispatch():  # under Values an integer twin would be made a known one
            return tensor if tensor.is_meta else meta_like(tensor)

    return func(*map_tensors(lend, args), **map_tensors(lend, kwargs))


def _on_stack(mode: PublicNames) -> bool:
    get = torch._C._get_function_stack_at
    return any(get(level) is mode for level in range(torch._C._len_torch_function_stack()))


def _is_stray(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.requires_grad and value.is_leaf and not value.is_meta


def _values_of(name: str, tensor: torch.Tensor, *args: Any) -> Any:
    """The values of a tensor that has none, asked for as a whole: each one as if asked for with `.item()`."""
    value = tensor.flatten()[:1].sum().item()
    if name.endswith("__format__") and tensor.dim() == 0:
        return format(value, *args)
    with torch._C._DisableTorchDispatch():
        values = torch.full(tensor.shape, value, dtype=tensor.dtype)
    if name.endswith("__format__"):
        return format(values, *args)
    return values.tolist() if name.endswith("tolist") else values.numpy()


def _as_tensor(value: Any) -> Any:
    return torch.tensor(value) if isinstance(value, list | tuple) else value


def _without_device(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """`Tensor.to` arguments with the device taken out; a tensor to be like is only its dtype.

    The flags `non_blocking` and `copy` go as well: without the device before them, a flag is taken for a dtype.
    """
    kwargs.pop("device", None)
    like = kwargs.pop("tensor", None)
    if isinstance(like, torch.Tensor):
        kwargs["dtype"] = like.dtype
    kept: list[Any] = [args[0]]
    for value in args[1:]:
        if isinstance(value, torch.Tensor):
            kept.append(value.dtype)
        elif not isinstance(value, str | torch.device | bool) and type(value) is not int and value is not None:
            kept.append(value)
    return tuple(kept), kwargs
