"""What autocast does to each op: which arguments it casts, and to what.

# Note [Autocast where no tensor is on the device]
Autocast is a dispatch key above autograd, one per kind of device, and a tensor carries the key of its own: a meta
tensor carries none, and the kernels behind the keys cast tensors of their device alone. So a trace puts kernels of its
own behind a key that no build of torch has kernels for (AutocastIPU), and has that key included in its own thread. They
stand for the target's: the ops are those that this torch registers for the target's key, also inside what C++ composes
(an LSTM, a matmul), and what each does is the policy below. The key reaches nothing else: no tensor carries it.

Source: aten/src/ATen/autocast_mode.h (the lists and the policies) and autocast_mode.cpp (which device has which), torch
2.6 to 2.15; compared with the kernels of the torch at hand by tests/trace/test_policies.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch

_NAME = "AutocastIPU"
KEY = getattr(torch._C.DispatchKey, _NAME)
_TARGETS = {"cuda": "AutocastCUDA", "mps": "AutocastMPS", "cpu": "AutocastCPU"}

LOWER = frozenset(
    """
    _convolution conv1d conv2d conv3d conv_tbc conv_transpose1d conv_transpose2d conv_transpose3d convolution
    cudnn_convolution cudnn_convolution_transpose _mps_convolution
    addmm addmv addr addbmm baddbmm bmm chain_matmul einsum linalg_multi_dot linalg_vecdot linear matmul mm mv prelu
    _addmm_activation
    _thnn_fused_lstm_cell _thnn_fused_gru_cell lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell mkldnn_rnn_layer
    _scaled_dot_product_flash_attention scaled_dot_product_attention _native_multi_head_attention
    """.split()  # noqa: SIM905 -- a list of words is read more easily
)
"""Ops that run in the lower precision, on every device that registers them."""

_BOTH = frozenset(
    {"addcdiv", "addcmul", "atan2", "bilinear", "cross", "dot", "grid_sampler", "index_put", "scatter_add"}
    | {"tensordot", "vdot"}
)
_PROMOTING = {"cuda": _BOTH, "mps": _BOTH, "cpu": frozenset(("stack", "cat", "index_copy"))}
"""Ops whose arguments all get the widest precision among them."""

_SUMMING = frozenset(
    ("prod", "softmax", "log_softmax", "cumprod", "cumsum", "linalg_vector_norm", "linalg_matrix_norm", "sum")
)
"""On CUDA these take their arguments as they are and give float32."""

_NOT_HERE = {"_cudnn_rnn"}
"""Registered in builds with cuDNN only, and reached on a CUDA device only."""


class Casts(Protocol):
    """What the kernels ask of the trace that is running."""

    def lower(self) -> torch.dtype:
        """The lower precision that holds now."""

    def cast(self, value: Any, dtype: torch.dtype) -> Any:
        """An argument with its eligible tensors in another precision."""

    def off(self) -> torch._C._ExcludeDispatchKeyGuard:
        """Autocast off, as it is below each of its kernels."""


Current = Callable[[], Casts]
Kernel = Callable[..., Any]


def register(device: str, current: Current) -> list[Any]:
    """Put kernels behind the key, with the policies of a device type. They are gone when what is returned is."""
    through = torch._C._dispatch_library("IMPL", "_", _NAME, __file__, 0)
    through.fallback_fallthrough(_NAME)
    library = torch._C._dispatch_library("IMPL", "aten", _NAME, __file__, 0)
    for op in registered(device):
        library.impl(op.name(), _NAME, kernel_for(op, device, current))
    return [through, library]


def registered(device: str) -> list[Any]:
    """The ops that autocast on a device type has a kernel for in this torch, as overloads."""
    names = torch._C._dispatch_get_registrations_for_dispatch_key(_TARGETS[device])
    found = (_overload(name) for name in sorted(names) if name.startswith("aten::"))
    return [op for op in found if op is not None]


def _overload(name: str) -> Any:
    packet, _, overload = name.removeprefix("aten::").partition(".")
    if packet in _NOT_HERE:
        return None
    return getattr(getattr(torch.ops.aten, packet), overload or "default", None)  # None: for named dimensions


def kernel_for(op: Any, device: str, current: Current) -> Kernel:
    """The kernel that does to an op what autocast on a device type does."""
    name = op._schema.name.removeprefix("aten::")
    if name in LOWER:
        return _lower(op, current)
    if name in _PROMOTING[device]:
        return _promote(op, current)
    if device == "cuda" and name in _SUMMING:
        return _give_float32(op, current)
    if device == "cuda" and name == "norm":
        return _append_dtype(op, current)
    if device == "cuda" and name == "binary_cross_entropy":
        return _banned
    return _float32(op, current)


def is_eligible(value: Any) -> bool:
    """Whether autocast would touch it, were it on the device (is_eligible in autocast_mode.h)."""
    return isinstance(value, torch.Tensor) and value.is_floating_point() and value.dtype is not torch.float64


def _run(op: Any, current: Current, dtype: torch.dtype, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    casts = current()
    with casts.off(), torch._C.DisableTorchFunction():
        cast = [casts.cast(each, dtype) for each in args]
        return op(*cast, **{name: casts.cast(each, dtype) for name, each in kwargs.items()})


def _lower(op: Any, current: Current) -> Kernel:
    return lambda *args, **kwargs: _run(op, current, current().lower(), args, kwargs)


def _float32(op: Any, current: Current) -> Kernel:
    return lambda *args, **kwargs: _run(op, current, torch.float32, args, kwargs)


def _promote(op: Any, current: Current) -> Kernel:
    def run(*args: Any, **kwargs: Any) -> Any:
        dtype = _widest(current().lower(), _tensors((*args, *kwargs.values())))
        return _run(op, current, dtype, args, kwargs)

    return run


def _widest(lower: torch.dtype, tensors: list[Any]) -> torch.dtype:
    """float32 if any is, else the lower precision; another one is refused if no float32 came before it (prioritize)."""
    for dtype in (each.dtype for each in tensors if is_eligible(each)):
        if dtype is torch.float32:
            return dtype
        if dtype is not lower:
            raise RuntimeError("Unexpected floating ScalarType in at::autocast::prioritize")
    return lower


def _tensors(values: tuple[Any, ...]) -> list[Any]:
    return [each for value in values for each in (value if isinstance(value, list | tuple) else (value,))]


def _give_float32(op: Any, current: Current) -> Kernel:
    """The policy fp32_set_opt_dtype: a dtype that is not given becomes float32; the arguments stay."""
    at = [argument.name for argument in op._schema.arguments].index("dtype")

    def run(*args: Any, **kwargs: Any) -> Any:
        given = args[at] if at < len(args) else kwargs.get("dtype")
        if given is None and is_eligible(args[0]):
            args, kwargs = args[:at], {**kwargs, "dtype": torch.float32}
        with current().off(), torch._C.DisableTorchFunction():
            return op(*args, **kwargs)

    return run


def _append_dtype(op: Any, current: Current) -> Kernel:
    """The policy fp32_append_dtype, which only `norm` has: the overload with a dtype runs instead."""
    whole = op._overloadname == "Scalar"
    other = torch.ops.aten.norm.ScalarOpt_dtype if whole else torch.ops.aten.norm.ScalarOpt_dim_dtype

    def run(*args: Any, **kwargs: Any) -> Any:
        p = args[1:2] or (kwargs.get("p", 2),)
        rest = (
            ()
            if whole
            else (args[2] if len(args) > 2 else kwargs["dim"], *(args[3:4] or (kwargs.get("keepdim", False),)))
        )
        dtype = torch.float32 if is_eligible(args[0]) else args[0].dtype
        with current().off(), torch._C.DisableTorchFunction():
            return other(args[0], *p, *rest, dtype=dtype)

    return run


def _banned(*args: Any, **kwargs: Any) -> Any:
    raise RuntimeError(
        "torch.nn.functional.binary_cross_entropy and torch.nn.BCELoss are unsafe to autocast: use "
        "binary_cross_entropy_with_logits or torch.nn.BCEWithLogitsLoss"
    )
