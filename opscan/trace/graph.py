"""What a trace is made of: one torch.fx.Graph at ATen level, forward, loss and backward in order.

Every call_function node carries, under `node.meta["opscan"]`, the OpCall that says where it came from, and under
`node.meta["tensors"]` what it returned. Small integer tensors whose values are known stand, with their version, under
`node.meta["known"]`; what the graph starts from carries its Role under `node.meta["role"]`, and what the constructor
left uninitialised of it an Unwritten under `node.meta["unwritten"]`. An op that adds to a gradient has the path of its
parameter under `node.meta["gradient_of"]` ("" for a leaf of the inputs); a gradient made up for outputs, because the
trace has no loss, has the outputs' nodes under `node.meta["stands_for"]`. Public composite calls that decompose before
ATen (scaled_dot_product_attention, lstm) stand beside the graph as CompositeCall.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import torch
from torch import fx

Phase = Literal["forward", "loss", "backward"]
Role = Literal["weight", "data", "buffer"]
"""What a tensor is that no recorded op made: learned, different from batch to batch, or part of the model."""


class SourceLine(NamedTuple):
    """A place in source code; `file` as Python knows it (a notebook cell has a name, but no file)."""

    file: str
    line: int


class TensorInfo(NamedTuple):
    """What is known of a tensor without keeping it: sizes in elements, no values; equal `storage` shares memory."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype
    layout: torch.layout
    requires_grad: bool
    storage: int


class ModuleSite(NamedTuple):
    """A module of the model: its first name in `named_modules()` order, its class, and where it was built.

    `stock` is torch's own class whose forward it runs ("torch.nn.Conv2d", also for a subclass that inherits it), "" for
    a forward of the user's or of a library's.
    """

    path: str
    type: str
    constructed: SourceLine | None
    stock: str = ""


class Unwritten(NamedTuple):
    """A parameter or buffer in memory that nothing wrote to: the op that allocated it, and its own site.

    The site's path is the tensor's (`fc.weight`), its type the module's, its line the one that allocated the memory.
    """

    op: Any
    site: ModuleSite


class OpCall(NamedTuple):
    """Provenance of one ATen op.

    `public` is the chain of public torch functions it came through, outermost first. `cause` is, for an op
    of the backward pass, the forward node whose autograd node ran it; module and lines are then the cause's.
    `composite` indexes `Trace.composites`. `grad_args` has bit i set when positional argument i needs a gradient.
    `strict_forced` is whether the user's code had turned strict mode on or off when this op itself ran (the cause's own
    OpCall says what held in its forward); None: it was as the process has it.
    """

    phase: Phase
    module: ModuleSite | None
    called: SourceLine | None
    public: tuple[str, ...]
    sequence_nr: int | None
    cause: fx.Node | None
    composite: int | None
    grad_args: int
    strict_forced: bool | None = None


class CompositeCall(NamedTuple):
    """A call of a public function that a rule names as a whole; tensors stand in it as TensorInfo.

    `strict_forced` is whether the user's code had turned strict mode on or off, as in OpCall.
    """

    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    phase: Phase
    module: ModuleSite | None
    called: SourceLine | None
    strict_forced: bool | None = None


class Invention(NamedTuple):
    """A value that hangs on weights or activations, and so had to be made up for the trace to go on."""

    op: str
    called: SourceLine | None


@dataclass(frozen=True)
class Trace:
    """One step of a model, as it was run once.

    `way` says what was made up for each of the `inventions` (choices.Way), in `places` different calls of the user's
    code. `autograd_nodes` names the autograd node of each sequence number that ran in backward. `assumed_sizes` is True
    when opscan chose the inputs, so thresholds on sizes cannot be judged. `alike` are other ways that were looked at
    and run no op from a line that this one does not. `outputs` are the nodes of what the call returned, `losses` of the
    scalars that were differentiated.
    """

    graph: fx.Graph
    composites: tuple[CompositeCall, ...]
    autograd_nodes: Mapping[int, str]
    inventions: tuple[Invention, ...]
    way: str
    places: int
    assumptions: tuple[str, ...]
    assumed_sizes: bool
    alike: tuple[str, ...] = ()
    outputs: tuple[fx.Node, ...] = ()
    losses: tuple[fx.Node, ...] = ()

    def ops(self) -> list[fx.Node]:
        """The ATen ops in the order they ran."""
        return [node for node in self.graph.nodes if "opscan" in node.meta]

    def unwritten(self) -> list[tuple[fx.Node, Unwritten]]:
        """The parameters and buffers that the constructor left in unwritten memory."""
        starts = self.graph.find_nodes(op="placeholder")
        return [(node, node.meta["unwritten"]) for node in starts if "unwritten" in node.meta]


def serves_weights(trace: Trace) -> frozenset[fx.Node]:
    """The nodes whose value hangs on a weight, a tensor of the model that needs a gradient.

    The backward of any other op runs only when the model's inputs need a gradient.
    """
    return _downstream(trace, "weight")


def hangs_on_data(trace: Trace) -> frozenset[fx.Node]:
    """The nodes whose value hangs on an input or on a random number: another batch gives another value."""
    return _downstream(trace, "data")


def _downstream(trace: Trace, role: Role) -> frozenset[fx.Node]:
    """The nodes that a source of this role reaches, memory included: what is written into a buffer is in its views."""
    nodes: set[fx.Node] = set()
    reached: set[int] = set()  # memory
    memory: dict[fx.Node, tuple[int, ...]] = {}
    for node in trace.graph.nodes:
        own = memory[node] = storages_of(node)
        if node.meta.get("role") == role or any(
            each in nodes or not reached.isdisjoint(memory[each]) for each in node._input_nodes
        ):
            nodes.add(node)
            reached.update(own)
    return frozenset(nodes)


def storages_of(node: fx.Node) -> tuple[int, ...]:
    """The memory a node's results lie in; equal numbers share memory."""
    infos = node.meta.get("tensors")
    if isinstance(infos, TensorInfo):
        return (infos.storage,)
    return tuple(info.storage for info in infos or () if info is not None)


def call_of(node: fx.Node) -> OpCall:
    """The provenance of a call_function node."""
    call: OpCall = node.meta["opscan"]
    return call
