"""The arguments of a recorded op, as the conditions of rules ask for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Literal

import torch
from torch import fx

from opscan.distinct import never_repeats, written_storages
from opscan.distributed.collectives import Collective
from opscan.trace.graph import OpCall, TensorInfo, Trace, call_of, hangs_on_data, serves_weights
from opscan.trace.launches import KernelTarget
from opscan.trace.traits import traits_of

_OF_COLLECTIVES = ("ranks", "reduction", "sends_floating", "by_reducer", "read_before_wait")


class Sources:
    """What hangs on weights, what on data, and what is written to: worked out when first asked for."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace

    @cached_property
    def weighted(self) -> frozenset[fx.Node]:
        return serves_weights(self._trace)

    @cached_property
    def written(self) -> frozenset[int]:
        return written_storages(self._trace)

    @cached_property
    def data(self) -> frozenset[fx.Node]:
        return hangs_on_data(self._trace)


class _Argument:
    """A tensor argument: what its node returned, and whether it needed a gradient when the op ran."""

    def __init__(self, node: fx.Node, requires_grad: bool, sources: Sources) -> None:
        self._node = node
        self._sources = sources
        self._info: TensorInfo = node.meta["tensors"]
        self.requires_grad = requires_grad

    def __getattr__(self, name: str) -> Any:
        return getattr(self._info, name)

    @property
    def distinct(self) -> bool:
        """Whether no two of its values are equal, whatever the batch: the model's own, or sorted places."""
        tensor, version = self._node.meta.get("known", (None, 0))
        if tensor is None or tensor._version != version or self._node in self._sources.data:
            return never_repeats(self._node, self._sources.written)
        return bool(tensor.unique().numel() == tensor.numel())


class Arguments(Mapping[str, Any]):
    """The arguments of an op by the names of its schema, read from the graph only when a condition asks."""

    def __init__(self, node: fx.Node, call: OpCall, sources: Sources) -> None:
        self._node = node
        self._call = call
        self._sources = sources
        self._schema = _schema_of(node).arguments

    def __getitem__(self, name: str) -> Any:
        if name == "read_before_written":
            return read_before_written(self._node)
        if name == "in_constructor":
            return False
        if name == "strict_in_forward":
            return strict_in_forward(self._call)
        for position, argument in enumerate(self._schema):
            if argument.name == name:
                return self._value(position, argument)
        if name in _OF_COLLECTIVES:
            return self._of_collective(name)
        raise KeyError(name)

    def _of_collective(self, name: str) -> Any:
        """A fact about a collective; KeyError where it is none, or nobody knows how many ranks it has."""
        found: Collective | None = self._node.meta.get("collective")
        if found is None or (name == "ranks" and not found.size):
            raise KeyError(name)
        if name == "read_before_wait":
            return read_before_wait(self._node)
        if name == "by_reducer":  # DDP's calls come from C++, out of the backward: no line of the user's is near
            return self._call.phase == "backward" and self._call.called is None
        return {"ranks": found.size, "reduction": found.reduces, "sends_floating": found.is_floating}[name]

    def _value(self, position: int, argument: Any) -> Any:
        if position < len(self._node.args):
            return self._resolved(self._node.args[position], bool(self._call.grad_args >> position & 1))
        if argument.name in self._node.kwargs:
            return self._resolved(self._node.kwargs[argument.name], False)
        return argument.default_value

    def _resolved(self, value: Any, requires_grad: bool) -> Any:
        if isinstance(value, fx.Node):
            return _Argument(value, requires_grad, self._sources)
        if isinstance(value, list | tuple):
            return [self._resolved(item, requires_grad) for item in value]
        return value

    def __iter__(self) -> Iterator[str]:
        return (argument.name for argument in self._schema)

    def __len__(self) -> int:
        return len(self._schema)


def strict_in_forward(call: OpCall) -> bool:
    """Whether strict mode was on, or can have been, when the op ran: for an op of backward, when its forward op did.

    False only where the user's own code had turned it off.
    """
    forward = call if call.cause is None else call_of(call.cause)
    return forward.strict_forced is not False


def read_before_written(node: fx.Node) -> bool:
    """Whether memory that `node` allocates is read by an op before any op has written to it.

    Views are followed; an op that overwrites any of them counts as having written it all.
    """
    aliases, queue = {node}, sorted(node.users)
    while queue:
        user = queue.pop(0)
        if "opscan" not in user.meta:  # one of several views
            aliases.add(user)
            queue = sorted({*queue, *user.users})
            continue
        use = _use_of(user, aliases)
        if use in ("reads", "writes"):
            return use == "reads"
        if use == "views":
            aliases.add(user)
            queue = sorted({*queue, *user.users})
    return False


def read_before_wait(collective: fx.Node) -> bool:
    """Whether an op reads what a collective fills before anything waited for it; views are followed."""
    last: fx.Node | None = collective.meta.get("waited_after")
    aliases, queue = {collective}, sorted(collective.users)
    while queue:
        user = queue.pop(0)
        if last is not None and last < user:
            return False
        use = _use_of(user, aliases) if "opscan" in user.meta else "views"  # one of several views has no op
        if use == "reads":
            return True
        if use == "views":
            aliases.add(user)
            queue = sorted({*queue, *user.users})
    return False


_WRITTEN = [each.name for each in KernelTarget._schema.arguments].index("written")
_OVERWRITING = {
    "copy_", "fill_", "zero_", "eye_", "uniform_", "normal_", "log_normal_", "bernoulli_", "random_", "exponential_",
    "cauchy_", "geometric_", "index_put_", "_index_put_impl_", "index_copy_", "index_fill_", "scatter_",
    "masked_fill_", "masked_scatter_", "set_",
}  # fmt: skip


def _use_of(user: fx.Node, aliases: set[fx.Node]) -> Literal["reads", "writes", "views", "sizes"]:
    """What an op does with memory it is handed: overwrite it, make a view of it, read it, or only ask its sizes."""
    traits = traits_of(user.target)
    if isinstance(user.target, KernelTarget):  # what a kernel stores to it has allocated for that
        return "writes" if not aliases.isdisjoint(_nodes_in(user.args[_WRITTEN])) else "reads"
    if traits.sends:
        return "writes" if traits.name.startswith(_RECEIVING) and _only_first(user, aliases) else "reads"
    if traits.name in _OVERWRITING and user.args[0] in aliases:
        return "reads" if _adds_up(user) else "writes"
    schema = _schema_of(user)
    outs = [each.name for each in schema.arguments if each.is_out]
    inputs = [value for key, value in user.kwargs.items() if key not in outs]
    if traits.name == "all_gather_copy_in" and aliases.isdisjoint(_nodes_in(user.args[:1])):
        return "writes"  # FSDP2: copies its shards into the memory that the all-gather then fills
    if any(not aliases.isdisjoint(_nodes_in(user.kwargs.get(key))) for key in outs) and aliases.isdisjoint(
        _nodes_in([*user.args, *inputs])
    ):
        return "writes"
    if any(each.alias_info is not None and not each.alias_info.is_write for each in schema.returns):
        return "views"
    return "sizes" if traits.like else "reads"


_RECEIVING = ("allgather", "_allgather", "scatter", "_reduce_scatter", "reduce_scatter", "alltoall", "recv")
"""Collectives that fill their first argument with what comes from other ranks."""


def _only_first(user: fx.Node, aliases: set[fx.Node]) -> bool:
    """Whether the memory is what a collective fills, and nothing it sends."""
    return aliases.isdisjoint(_nodes_in(user.args[1:]))


def _adds_up(user: fx.Node) -> bool:
    """Whether an op that stores through an index adds to what stands there."""
    put = "index_put" in _schema_of(user).name
    return "reduce" in user.kwargs or (put and len(user.args) > 3 and bool(user.args[3]))


def _schema_of(node: fx.Node) -> torch.FunctionSchema:
    op: Any = node.target  # an OpOverload
    schema: torch.FunctionSchema = op._schema
    return schema


def _nodes_in(values: Any) -> list[fx.Node]:
    found: list[fx.Node] = []
    fx.node.map_arg(values, found.append)
    return found
