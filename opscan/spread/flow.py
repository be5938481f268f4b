"""Which values of a step hang on which: the graph's arguments, and the memory that ops share and write to.

# Note [Values and memory]
Nodes are taken in the order their values came to be. A node hangs on its arguments and, where an argument lies in
memory that another op has written to since, on that op as well: `relu_` of a convolution's result, a gradient added in
place. An op that only asks for sizes (`ones_like`, `new_zeros`) hangs on nothing. Where a trace has no loss, the
gradients it feeds into the outputs stand for one: whatever the loss is, its gradient is taken to hang on all outputs.
What Python reads (`.item()`) and then decides is not followed; a Spread says where it happens.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from torch import fx

from opscan.trace.graph import Trace, call_of, storages_of
from opscan.trace.traits import traits_of


class Flow(NamedTuple):
    """The nodes of a trace in the order their values came to be, and the positions of those each one hangs on."""

    nodes: tuple[fx.Node, ...]
    parents: tuple[tuple[int, ...], ...]


def flow_of(trace: Trace) -> Flow:
    """See Note [Values and memory]; one pass over the graph."""
    nodes = tuple(_in_order(trace))
    at: dict[fx.Node, int] = {}
    memory: list[tuple[int, ...]] = []
    written: dict[int, int] = {}  # the last op that wrote to a memory
    parents = []
    for position, node in enumerate(nodes):
        at[node] = position
        memory.append(storages_of(node))
        if node.op != "call_function":
            parents.append(tuple(at[each] for each in node.meta.get("stands_for", ())))
            continue
        traits = traits_of(node.target)
        found = [] if traits.like else [at[each] for each in node._input_nodes]
        if written:
            found += [
                last
                for each in found
                for storage in memory[each]
                if (last := written.get(storage)) is not None and last > each
            ]
        parents.append(tuple(found))
        if traits.writes_at:
            for each in _written(node, traits.writes_at):
                written.update(dict.fromkeys(memory[at[each]], position))
    return Flow(nodes, tuple(parents))


def _written(node: fx.Node, positions: Iterable[int]) -> Iterator[fx.Node]:
    """The arguments an op writes to."""
    for position in positions:
        value: Any = node.args[position] if position < len(node.args) else None
        if value is None and node.kwargs:
            value = node.kwargs.get(node.target._schema.arguments[position].name)  # type: ignore[union-attr]  # an op
        for each in value if isinstance(value, list | tuple) else (value,):
            if isinstance(each, fx.Node):
                yield each


def _in_order(trace: Trace) -> Iterator[fx.Node]:
    """All nodes; gradients that stand for a loss where backward begins, though they are placeholders."""
    stand_ins = [node for node in trace.graph.find_nodes(op="placeholder") if "stands_for" in node.meta]
    for node in trace.graph.nodes:
        if "stands_for" in node.meta:
            continue
        if stand_ins and "opscan" in node.meta and call_of(node).phase == "backward":
            yield from stand_ins
            stand_ins = []
        yield node
    yield from stand_ins
