"""Collectives as a trace sees them: what they are called with, and what they answer where nobody is sent anything.

A trace runs the step of one rank, and the other ranks are not there. A collective on meta has nothing to send; one on
known values (Note [Known and unknown values]) answers as if every rank had the same: what is gathered is copies of what
this rank gives, and a sum stays what it was.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import fx

from opscan.trace.replaced import replaced

_NO_MESSAGE = ("wait_tensor", "_wrap_tensor_autograd", "barrier", "monitored_barrier_")
_GATHERING = ("allgather", "_allgather_base", "gather")


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
    if name in _NO_MESSAGE:
        return None
    given = dict(zip((each.name for each in func._schema.arguments), args, strict=False))
    group, size = _group_of(given)
    tensors = list(_tensors(_put_in(given)))
    dtype = tensors[0].dtype if tensors else None
    numel = sum(each.numel() for each in tensors)
    return Collective(number, str(func), group, size, _reduction_of(given), dtype, numel, len(tensors))


def readable(value: Any) -> Any:
    """An argument as a graph keeps it: groups by their names, reductions in words; other objects of C++ as None."""
    if not isinstance(value, torch.ScriptObject):
        return value
    group = _unboxed_group(value)
    return group.group_name if group is not None else _word(value)


def answer(func: Any, args: tuple[Any, ...], alive: list[Any]) -> Any:
    """What an op of the c10d namespace returns, and does to known values, where there is nobody to talk to.

    Its Work is put into `alive`: without its Python part, C++ would wait for it forever.
    """
    name = func._schema.name.partition("::")[2]
    with torch._C._DisableTorchDispatch(), torch.no_grad():
        if name.startswith(_GATHERING):
            _copy_to_all(args[0], args[1])
        elif name in ("alltoall_base_", "_reduce_scatter_base_", "scatter_", "alltoall_", "reduce_scatter_"):
            _fill_alike(args[0], args[1])
    results = func._schema.returns
    if not results:
        return None
    work = _work_class()(args[0] if isinstance(args[0], list) else [args[0]])
    alive.append(work)
    _asked.clear()
    return work.boxed() if len(results) == 1 else (args[0], work.boxed())


def collectives_of(graph: fx.Graph) -> list[Collective]:
    """The collectives of a graph in the order they were called."""
    return [node.meta["collective"] for node in graph.nodes if node.meta.get("collective") is not None]


def answer_with_copies(func: Any, args: tuple[Any, ...]) -> Any:
    """What a functional collective returns for known values, as if every rank gave the same; nothing is sent.

    NotImplemented for lists of tensors.
    """
    name, given = func._schema.name.partition("::")[2], args[0]
    if not isinstance(given, torch.Tensor):
        return NotImplemented
    if name in _NO_MESSAGE:
        return given
    if name.startswith("all_gather_into_tensor") and isinstance(args[1], int):
        return given.repeat(args[1], *[1] * (given.dim() - 1))
    if name.startswith("reduce_scatter_tensor") and isinstance(args[2], int):
        return given[: given.shape[0] // args[2]].clone()
    if name.endswith("_"):
        return given
    return given.clone() if name.startswith(("all_reduce", "broadcast", "all_to_all_single")) else NotImplemented


_classes: list[Any] = []


def _work_class() -> Any:
    """The Work of a collective that is over; its future holds the tensors, which a DDP reducer reads.

    Made when it is first needed: a torch without torch.distributed has no such class.
    """
    if not _classes:
        from torch._C._distributed_c10d import Work

        class Done(Work):
            def __init__(self, tensors: list[torch.Tensor]) -> None:
                super().__init__()
                self._future: torch.futures.Future[Any] = torch.futures.Future()
                self._future.set_result(tensors)

            def wait(self, timeout: Any = None) -> bool:
                return True

            def get_future(self) -> torch.futures.Future[Any]:
                return self._future

            def is_completed(self) -> bool:
                return True

            def is_success(self) -> bool:
                return True

            def result(self) -> Any:
                return self._future.value()

        _classes.append(Done)
    return _classes[0]


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


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _tensors(each)


# -- known values


def _copy_to_all(outputs: Any, inputs: Any) -> None:
    """Every rank gives what this one does."""
    given = [each for each in _tensors(inputs) if not each.is_meta]
    for output in _tensors(outputs):
        if given and not output.is_meta:
            source = given[0].reshape(-1)
            flat = output.view(-1)
            for start in range(0, flat.numel(), max(source.numel(), 1)):
                part = flat[start : start + source.numel()]
                part.copy_(source[: part.numel()])


def _fill_alike(outputs: Any, inputs: Any) -> None:
    """Every rank sends what this one would: as much of it as fits."""
    given = [each for each in _tensors(inputs) if not each.is_meta]
    for output, source in zip([each for each in _tensors(outputs) if not each.is_meta], given, strict=False):
        count = min(output.numel(), source.numel())
        output.view(-1)[:count].copy_(source.reshape(-1)[:count])
