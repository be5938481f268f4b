"""Collectives as a trace sees them: the op, its process group, what is sent, and how it is combined."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import fx

from opscan.trace.replaced import replaced

NO_MESSAGE = ("wait_tensor", "_wrap_tensor_autograd", "barrier", "monitored_barrier_")
"""Ops that carry no data: they wait."""


class Collective(NamedTuple):
    """One collective of a step, as this rank calls it: `number` in the order they are called, from 0.

    `group` is the process group's name and `size` its ranks; `reduces` says how values are combined ("sum", "avg",
    "max", ...), "" where nothing is. `dtype` and `numel` are those of all that this rank puts in, `tensors` of them.
    """

    number: int
    op: str
    group: str
    size: int
    reduces: str
    dtype: torch.dtype | None
    numel: int
    tensors: int

    @property
    def is_floating(self) -> bool:
        """Whether rounding hangs on the order of additions."""
        return self.dtype is not None and (self.dtype.is_floating_point or self.dtype.is_complex)

    @property
    def depends_on_size(self) -> bool:
        """Whether another number of ranks gives other bits: what is added up is then other parts in another order."""
        return self.is_floating and self.reduces not in ("", "max", "min", "band", "bor", "bxor")

    @property
    def size_bytes(self) -> int:
        """Bytes that this rank puts in."""
        return self.numel * self.dtype.itemsize if self.dtype is not None else 0


def described(func: Any, args: tuple[Any, ...], number: int) -> Collective | None:
    """What a call of a collective is; None for one that sends nothing (it waits for another)."""
    name = func._schema.name.partition("::")[2]
    if name in NO_MESSAGE:
        return None
    given = dict(zip((each.name for each in func._schema.arguments), args, strict=False))
    group, size = _group_of(given)
    tensors = list(tensors_of(_put_in(given)))
    dtype = tensors[0].dtype if tensors else None
    numel = sum(each.numel() for each in tensors)
    return Collective(number, str(func), group, size, _reduction_of(given), dtype, numel, len(tensors))


def readable(value: Any) -> Any:
    """An argument as a graph keeps it: groups by their names, reductions in words; other objects of C++ as None."""
    if not isinstance(value, torch.ScriptObject):
        return value
    group = _unboxed_group(value)
    return group.group_name if group is not None else _word(value)


def collectives_of(graph: fx.Graph) -> list[Collective]:
    """The collectives of a graph in the order they were called."""
    return [node.meta["collective"] for node in graph.nodes if node.meta.get("collective") is not None]


# -- arguments


def _group_of(given: dict[str, Any]) -> tuple[str, int]:
    """The name of the process group and how many ranks it has; 0 where nobody knows it."""
    group = given.get("process_group")
    if isinstance(group, torch.ScriptObject):
        found = _unboxed_group(group)
        return (found.group_name, found.size()) if found is not None else ("", 0)
    name = str(given.get("group_name", given.get("tag", "")))
    size = given.get("group_size")
    if isinstance(size, int):
        return name, size
    try:
        resolve: Any = torch._C._distributed_c10d._resolve_process_group
        return name, resolve(name).size()
    except (RuntimeError, ValueError, AttributeError):
        return name, 0


def _unboxed_group(value: torch.ScriptObject) -> Any:
    from torch.distributed import ProcessGroup

    try:
        return ProcessGroup.unbox(value)
    except RuntimeError:
        return None


def _reduction_of(given: dict[str, Any]) -> str:
    found = given.get("reduce_op")
    return _word(found) if isinstance(found, torch.ScriptObject) else str(found or "").lower()


# Note [Reductions in words]
# A ReduceOp comes to a dispatch mode in a box that Python cannot open before torch 2.15 (there is no ReduceOp.unbox).
# The functions of torch.distributed put it into an options object right before they call the collective, so while a
# trace runs that object is remembered until the call. DDP's reducer, in C++, makes none: it sums.


@contextmanager
def reductions_noted() -> Iterator[None]:
    """While active, the options that functions of torch.distributed make are remembered for the next collective."""
    c10d: Any = sys.modules.get("torch.distributed.distributed_c10d")
    names = [name for name in _OPTIONS if hasattr(c10d, name)]
    with replaced([(c10d, name, _noting(getattr(c10d, name))) for name in names]):
        yield
    _asked.clear()


_OPTIONS = ("AllreduceOptions", "AllreduceCoalescedOptions", "ReduceOptions", "ReduceScatterOptions")
_asked: list[Any] = []


def _noting(kind: Any) -> Any:
    def make() -> Any:
        options = kind()
        _asked[:] = [options]
        return options

    return make


def reduction_told() -> None:
    """The collective that the options were for has been called."""
    _asked.clear()


def _word(value: torch.ScriptObject) -> str:
    """A boxed ReduceOp in words, see Note [Reductions in words]; "sum", which hides least, where nothing says it."""
    if "ReduceOp" not in str(value._type()):
        return ""
    return str(_asked[0].reduceOp.op).rpartition(".")[2].lower() if _asked else "sum"


def _put_in(given: dict[str, Any]) -> Any:
    """The tensors that this rank hands in."""
    for key in ("input_tensors", "input_tensor", "input", "inputs", "tensors", "tensor"):
        if key in given:
            return given[key]
    return next(iter(given.values()), None)


def tensors_of(value: Any) -> Iterator[torch.Tensor]:
    """The tensors of an argument, of lists of lists too."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from tensors_of(each)
