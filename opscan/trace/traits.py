"""What of an op's schema decides how a trace runs and records it; read once per overload."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

_LIKE_FACTORIES = ("new_", "zeros_like", "ones_like", "empty_like", "full_like", "rand_like", "randn_like")
_ONE_DTYPE = {"mm", "addmm", "bmm", "baddbmm", "addbmm", "mv", "addmv", "dot", "convolution"}
_INTEGERS = {"index", "indices", "target"}
_INDEX_DTYPES = (torch.int64, torch.int32, torch.uint8)
_TALKING = {"c10d", "_c10d_functional", "_c10d_functional_autograd", "c10d_functional"}
_TAKE_INTEGERS = ("index_", "gather", "scatter", "take", "embedding", "nll_loss", "put")


class Traits(NamedTuple):
    """`name` has no namespace; `one_dtype` and `integers_at` (positions) are what kernels check and meta does not.

    `quantizes` is whether the result is a quantized tensor of a floating one. `draws` is whether another run gives
    other values; a permutation stays one. `writes_at` are the positions of the arguments it writes to. `talks` is
    whether it is one of torch.distributed's, `sends` whether it takes a process group and returns a Work.
    """

    name: str
    data_dependent: bool
    indexing: bool
    device: bool
    like: bool
    quantizes: bool
    pure: bool
    one_dtype: bool
    integers_at: tuple[int, ...]
    draws: bool
    writes_at: tuple[int, ...]
    talks: bool
    sends: bool


_traits: dict[Any, Traits] = {}


def traits_of(func: Any) -> Traits:
    """The traits of an OpOverload (or of a higher-order operator, which has none)."""
    found = _traits.get(func)
    if found is None:
        schema = getattr(func, "_schema", None)
        tags = getattr(func, "tags", ())
        name = schema.name.partition("::")[2] if schema else ""
        found = _traits[func] = Traits(
            name=name or str(func),
            data_dependent=torch.Tag.data_dependent_output in tags or torch.Tag.dynamic_output_shape in tags,
            indexing=name in ("index", "_unsafe_index"),
            device=schema is not None and any(argument.name == "device" for argument in schema.arguments),
            like=name.startswith(_LIKE_FACTORIES),
            quantizes=name.startswith("quantize_per_"),
            pure=schema is not None and all(each.alias_info is None for each in (*schema.arguments, *schema.returns)),
            writes_at=tuple(
                position
                for position, argument in enumerate(schema.arguments if schema else ())
                if argument.alias_info is not None and argument.alias_info.is_write
            ),
            draws=torch.Tag.nondeterministic_seeded in tags and name != "randperm",
            one_dtype=name in _ONE_DTYPE,
            talks=getattr(func, "namespace", "") in _TALKING,
            sends=getattr(func, "namespace", "") == "c10d",
            integers_at=tuple(
                position
                for position, argument in enumerate(schema.arguments if schema else ())
                if argument.name in _INTEGERS and str(argument.type) == "Tensor" and name.startswith(_TAKE_INTEGERS)
            ),
        )
    return found


def check_dtypes(traits: Traits, args: tuple[Any, ...]) -> None:
    """Refuse what a real kernel would refuse for its dtypes. Raises RuntimeError, as torch does."""
    if traits.one_dtype:
        dtypes = {str(value.dtype) for value in args if isinstance(value, torch.Tensor)}
        if len(dtypes) > 1:
            raise RuntimeError(f"{traits.name}: expected tensors of one dtype, got {' and '.join(sorted(dtypes))}")
    for position in traits.integers_at:
        index = args[position] if position < len(args) else None
        if isinstance(index, torch.Tensor) and index.dtype not in _INDEX_DTYPES:
            raise RuntimeError(f"{traits.name}: expected an integer tensor, got {index.dtype}")
