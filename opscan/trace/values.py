"""How an op is run without its data: what is known is concrete, what hangs on weights or activations is on meta.

# Note [Known and unknown values]
A tensor is *known* when its values follow from constants and integer inputs alone: token ids, masks, positions,
`arange`, literals. Known tensors live on the CPU and are computed for real, so `.item()`, `nonzero` and `if mask.any()`
work on them. Everything else lives on the meta device: sizes without values. An op with an unknown argument runs on
meta (its known arguments are lent to it as meta twins). Only an op whose result's size or value hangs on unknown data
(tags `data_dependent_output`, `dynamic_output_shape`), or which has no meta kernel, runs on the CPU on made-up values:
ones and True, and zeros for integers used as indices. Each such value is recorded as an Invention; another trace makes
up the opposite, see Note [Several ways].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from opscan.distributed.answers import answer, answer_with_copies
from opscan.trace.choices import Choices
from opscan.trace.launches import Launch
from opscan.trace.remembered import Remembered, question_of
from opscan.trace.traits import check_dtypes, traits_of
from opscan.trace.wrapped import FAKE, dispatch_mode, is_wrapped

KNOWN_FLOAT_NUMEL = 1 << 16
"""Known floating tensors above this many elements go to meta: nothing decides by them, and they would cost memory."""

_WANTS_DATA = "data is not allocated"
"""What a meta kernel says that reads values."""

_WANTS_BFLOAT16 = "inputs of BF16 type"
"""What a meta kernel says that knows fewer dtypes than the real ones: `_grouped_mm` takes float32 too (torch 2.13:
torch/_meta_registrations.py against aten/src/ATen/native/GroupedMMUtils.h)."""

_NO_KERNEL = " not implemented for '"
"""What a kernel says of a dtype it has no code for: a NotImplementedError in torch 2.13, a RuntimeError in 2.6."""

_META = torch.device("meta")
_CPU = torch.device("cpu")
_CONSTANT_FACTORIES = {"aten::arange", "aten::linspace", "aten::logspace", "aten::scalar_tensor"}
_INTEGER_FACTORIES = {"aten::arange", "aten::randint", "aten::randperm", "aten::tril_indices", "aten::triu_indices"}


def tensors_in(values: Any, found: list[torch.Tensor]) -> None:
    """Collect the tensors of an argument list, lists and tuples included, in order."""
    for value in values:
        if isinstance(value, torch.Tensor):
            found.append(value)
        elif isinstance(value, list | tuple):
            tensors_in(value, found)


def map_tensors(change: Callable[[torch.Tensor], Any], value: Any) -> Any:
    """The same nested lists, tuples and dicts with every tensor changed."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(map_tensors(change, item) for item in value))
    if type(value) in (list, tuple):
        return type(value)(map_tensors(change, item) for item in value)
    if type(value) is dict:
        return {key: map_tensors(change, item) for key, item in value.items()}
    return value


def meta_like(tensor: torch.Tensor) -> torch.Tensor:
    """A meta tensor with the sizes, strides and dtype of `tensor`, and nothing of its history."""
    if tensor.layout != torch.strided or tensor.is_quantized:
        return tensor.detach().to(_META)
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=_META)


def is_lazy(tensor: torch.Tensor) -> bool:
    """Whether it is a parameter or buffer of a lazy module that has no sizes yet."""
    return isinstance(tensor, torch.nn.parameter.UninitializedTensorMixin)  # type: ignore[attr-defined]  # no export


def _is_real_valued(dtype: torch.dtype) -> bool:
    return dtype.is_floating_point or dtype.is_complex


class Values(TorchDispatchMode):
    """Runs every op in the regime of Note [Known and unknown values].

    `choices` are asked each time a value has to be made up that decides something.
    """

    def __init__(self, choices: Choices | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch does not annotate it
        self.choices = choices or Choices()
        self.launched = 0  # kernels launched so far
        self._remembered = Remembered()
        self._works: list[Any] = []  # of collectives
        self._stale: dict[int, torch.Tensor] = {}  # known tensors an unknown value was written to, by their memory

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # see Note [Sparing torch._dynamo]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if types and is_wrapped(types):
            return NotImplemented
        with torch._C.DisableTorchFunction():  # what kernels written in Python call is not the model's
            if dispatch_mode(FAKE) is not None:
                return func(*args, **(kwargs or {}))
            return self.run(func, args, dict(kwargs) if kwargs else {})

    def run(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run one op and return what the model goes on with."""
        tensors: list[torch.Tensor] = []
        tensors_in(args, tensors)
        if kwargs:
            tensors_in(kwargs.values(), tensors)
        traits = traits_of(func)
        if traits.sends:
            return answer(func, args, self._works)
        if not tensors:
            return _run_factory(func, args, kwargs)
        unknown = known = False
        for tensor in tensors:
            if tensor.is_meta:
                unknown = True
            else:
                known = True
        if not unknown and traits.talks and (copied := answer_with_copies(func, args)) is not NotImplemented:
            return copied
        if not unknown:
            result = self._run_known(func, args, kwargs, tensors)
            return self._run_lent(func, args, kwargs) if result is NotImplemented else result
        if traits.data_dependent and (not traits.indexing or _has_mask(args)):
            return self._run_invented(func, args, kwargs)
        if traits.quantizes:  # on meta there is no kernel, or one whose result is not quantized (torch 2.6 to 2.15)
            quantized = self._run_invented(func, args, kwargs)
            map_tensors(self._note_stale, quantized)
            return quantized
        if traits.device and kwargs.get("device") is not None:
            kwargs["device"] = _META
        if known:
            return self._run_lent(func, args, kwargs)
        question = question_of(func, args, kwargs) if traits.pure else None
        remembered = self._remembered.result(question)
        if remembered is not None:
            return remembered
        check_dtypes(traits, args)
        launched = self.launched
        try:
            result = func(*args, **kwargs)
        except RuntimeError as refusal:
            if _WANTS_BFLOAT16 in str(refusal):
                return _run_in_bfloat16(func, args, kwargs)
            if not _wants_data(refusal):
                raise
            return self._run_invented(func, args, kwargs)
        if self.launched == launched:  # an op that launches kernels has to run again to launch them again
            self._remembered.remember(question, result)
        return result

    def launch(self, launch: Launch) -> None:
        """Take note of a kernel launch: what it writes is not known any more. Known integers become zeros."""
        self.launched += 1
        for tensor in (*launch.written, *launch.updated):
            if not tensor.is_meta:
                with torch._C._DisableTorchDispatch(), torch.no_grad():
                    tensor.detach().zero_()
                self._note_stale(tensor)

    def _run_known(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], tensors: list[torch.Tensor]) -> Any:
        """Run for real, on the CPU. NotImplemented where it has no kernel for the dtype, as of histc for integers."""
        traits = traits_of(func)
        stale = bool(self._stale) and any(_memory(tensor) in self._stale for tensor in tensors)
        if stale and traits.data_dependent:
            self.choices.opposite(func)
        if traits.device and kwargs.get("device") is not None:
            kwargs["device"] = _CPU
        try:
            result = func(*args, **kwargs)
        except RuntimeError as refusal:
            if not isinstance(refusal, NotImplementedError) and _NO_KERNEL not in str(refusal):
                raise
            return NotImplemented
        if stale:
            map_tensors(self._note_stale, result)
        if type(result) is not torch.Tensor or not _is_real_valued(result.dtype):
            return result
        stays_known = result.numel() <= KNOWN_FLOAT_NUMEL and not traits.like
        return result if stays_known or any(result is tensor for tensor in tensors) else meta_like(result)

    def _note_stale(self, tensor: torch.Tensor) -> None:
        if not tensor.is_meta:
            self._stale[_memory(tensor)] = tensor.detach()

    def _run_lent(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run on meta, with known arguments replaced by meta twins; what aliases a twin is its original again."""
        traits = traits_of(func)
        check_dtypes(traits, args)
        for written in (args[position] for position in traits.writes_at if position < len(args)):
            if isinstance(written, torch.Tensor):
                self._note_stale(written)
        originals: dict[int, torch.Tensor] = {}

        def lend(tensor: torch.Tensor) -> torch.Tensor:
            if tensor.is_meta:
                return tensor
            twin = meta_like(tensor)
            originals[id(twin)] = tensor
            return twin

        lent_args, lent_kwargs = map_tensors(lend, args), map_tensors(lend, kwargs)
        try:
            result = func(*lent_args, **lent_kwargs)
        except RuntimeError as refusal:
            if _WANTS_BFLOAT16 in str(refusal):
                return _run_in_bfloat16(func, lent_args, lent_kwargs)
            if _wants_data(refusal):
                return self._run_invented(func, args, kwargs)
            return _run_mixed(func, args, kwargs, refusal)
        return map_tensors(lambda tensor: originals.get(id(tensor), tensor), result)

    def _run_invented(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run on the CPU with made-up values where there are none; floating results go back to meta."""
        choosing = traits_of(func).data_dependent and _hangs_on_unknown(args)
        zeros = choosing and self.choices.opposite(func)
        originals: dict[int, torch.Tensor] = {}

        def invent(tensor: torch.Tensor) -> torch.Tensor:
            value = _made_up(tensor, choosing, zeros)
            originals[id(value)] = tensor
            return value

        kwargs = {**kwargs, "device": _CPU} if kwargs.get("device") is not None else kwargs
        real_args, real_kwargs = map_tensors(invent, args), map_tensors(invent, kwargs)
        result = func(*real_args, **real_kwargs)
        return map_tensors(lambda tensor: originals.get(id(tensor), _unknown_if_real(tensor)), result)


def _made_up(tensor: torch.Tensor, choosing: bool, zeros: bool) -> torch.Tensor:
    if not tensor.is_meta:
        return tensor
    ones = choosing or _is_real_valued(tensor.dtype) or tensor.dtype == torch.bool
    value = 0 if zeros or not ones else 1
    if tensor.layout is torch.strided:
        return torch.full(tensor.shape, value, dtype=tensor.dtype)
    return _made_up_sparse(tensor, value)


def _made_up_sparse(tensor: torch.Tensor, value: int) -> torch.Tensor:
    """A sparse tensor with as many elements as a meta one has: the first ones, in order.

    Raises NotImplementedError for a layout of blocks.
    """
    if tensor.layout not in (torch.sparse_coo, torch.sparse_csr, torch.sparse_csc):
        raise NotImplementedError(f"no values can be made up for a tensor of layout {tensor.layout}")
    count = tensor._nnz()
    sparse_dims = tensor.sparse_dim()
    flat = torch.arange(count) % max(prod(tensor.shape[:sparse_dims]), 1)
    at = torch.stack(torch.unravel_index(flat, tensor.shape[:sparse_dims]))
    values = torch.full((count, *tensor.shape[sparse_dims:]), value, dtype=tensor.dtype)
    coalesced = tensor.is_coalesced() if tensor.layout is torch.sparse_coo else True
    made = torch.sparse_coo_tensor(at, values, tensor.shape, is_coalesced=coalesced)
    return made if tensor.layout is torch.sparse_coo else made.to_sparse(layout=tensor.layout)


def _wants_data(refusal: RuntimeError) -> bool:
    """Whether an op refused meta tensors as such: it has no meta kernel, or the one it has reads their values."""
    return isinstance(refusal, NotImplementedError) or _WANTS_DATA in str(refusal)


def _run_in_bfloat16(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run on meta for the sizes alone, as if the floating tensors were bfloat16; the result has their own dtype.

    On the CPU it would run as well, but in the memory of all experts of a layer.
    """
    tensors: list[torch.Tensor] = []
    tensors_in((*args, *kwargs.values()), tensors)
    dtype = next(tensor.dtype for tensor in tensors if tensor.is_floating_point())

    def changed(tensor: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
        return tensor.to(dtype) if tensor.is_floating_point() else tensor

    narrowed = map_tensors(lambda tensor: changed(tensor, torch.bfloat16), (args, kwargs))
    return map_tensors(lambda tensor: changed(tensor, dtype), func(*narrowed[0], **narrowed[1]))


def _run_mixed(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], refusal: RuntimeError) -> Any:
    """Run on known and unknown arguments as they are: some ops read one on the CPU (lengths of a packed sequence)."""
    try:
        return func(*args, **kwargs)
    except Exception as error:
        if "meta" in str(error):
            raise refusal from None
        raise


def _unknown_if_real(tensor: torch.Tensor) -> torch.Tensor:
    return meta_like(tensor) if _is_real_valued(tensor.dtype) else tensor


def _memory(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage()._cdata if tensor.layout is torch.strided else id(tensor)


def _hangs_on_unknown(args: tuple[Any, ...]) -> bool:
    """Whether an integer or mask argument is unknown, or the values themselves are asked for (`.item()`)."""
    tensors: list[torch.Tensor] = []
    tensors_in(args, tensors)
    deciding = [tensor for tensor in tensors if not _is_real_valued(tensor.dtype)]
    return not deciding or any(tensor.is_meta for tensor in deciding)


def _has_mask(args: tuple[Any, ...]) -> bool:
    return any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in args[1])


def _run_factory(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if traits_of(func).device:
        kwargs["device"] = _CPU if _makes_known(func, args, kwargs) else _META
        if kwargs.get("pin_memory"):
            kwargs["pin_memory"] = False
    return func(*args, **kwargs)


def _makes_known(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    name, dtype = func._schema.name, kwargs.get("dtype")
    if name == "aten::scalar_tensor" and kwargs.get("device") == _META and dtype is not None and _is_real_valued(dtype):
        return False  # a number put beside a tensor on meta: torch.quantile asks whether both are on one device
    if name in _CONSTANT_FACTORIES:
        return True
    if dtype is not None:
        return not _is_real_valued(dtype)
    if name == "aten::full":
        return isinstance(args[1], int)
    return name in _INTEGER_FACTORIES
