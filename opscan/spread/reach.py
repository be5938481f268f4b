"""From findings and the nodes they stand for to what each of them reaches: one pass over the graph for all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import fx

from opscan.finding import Line, Spread
from opscan.match import Matched
from opscan.spread.flow import Flow, flow_of
from opscan.trace.graph import Trace, call_of
from opscan.trace.hygiene import collector_rests
from opscan.trace.traits import traits_of


@dataclass(frozen=True, slots=True)
class Reached:
    """What was matched in a trace, with the spread of each finding; of each node, bit i is set if finding i reaches it.

    `matched.sources` and the bits are in the order of `matched.findings`.
    """

    trace: Trace
    matched: Matched
    flow: Flow
    bits: tuple[int, ...]


@collector_rests()
def reach(trace: Trace, matched: Matched) -> Reached:
    """Follow the findings of a trace through it. One whose bits cannot vary has no spread."""
    flow = flow_of(trace)
    bits = _spread_bits(flow, matched)
    at = {node: position for position, node in enumerate(flow.nodes)}
    gradients = _gradients(flow, bits)
    outputs, losses = (_union(bits[at[node]] for node in nodes) for nodes in (trace.outputs, trace.losses))
    reads = [
        (Line(*line), bits[position])
        for position, node in enumerate(flow.nodes)
        if bits[position] and _reads_value(node) and (line := call_of(node).called) is not None
    ]
    findings = [
        finding
        if finding.bits == "cannot vary"
        else replace(
            finding,
            spread=Spread(
                output=bool(outputs >> index & 1),
                loss=bool(losses >> index & 1),
                inputs=bool(gradients.get("", 0) >> index & 1),
                gradients=tuple(name for name, mask in gradients.items() if name and mask >> index & 1),
                of_gradients=len(gradients) - ("" in gradients),
                read=tuple(dict.fromkeys(line for line, mask in reads if mask >> index & 1)),
            ),
        )
        for index, finding in enumerate(matched.findings)
    ]
    return Reached(trace, replace(matched, findings=tuple(findings)), flow, bits)


def _spread_bits(flow: Flow, matched: Matched) -> tuple[int, ...]:
    own: dict[fx.Node, int] = {}
    for index, (finding, sources) in enumerate(zip(matched.findings, matched.sources, strict=True)):
        for node in sources if finding.bits != "cannot vary" else ():
            own[node] = own.get(node, 0) | 1 << index
    found: list[int] = []
    for node, parents in zip(flow.nodes, flow.parents, strict=True):
        mask = own.get(node, 0)
        for parent in parents:
            mask |= found[parent]
        found.append(mask)
    return tuple(found)


def _gradients(flow: Flow, bits: Sequence[int]) -> Mapping[str, int]:
    """The bits of each parameter's gradient, in the order backward comes to them; "" is an input's."""
    found: dict[str, int] = {}
    for node, mask in zip(flow.nodes, bits, strict=True):
        name = node.meta.get("gradient_of")
        if name is not None:
            found[name] = found.get(name, 0) | mask
    return found


def _union(masks: Iterable[int]) -> int:
    union = 0
    for mask in masks:
        union |= mask
    return union


def _reads_value(node: fx.Node) -> bool:
    """Whether an op hands a value to Python: it returns something, and no tensor."""
    if node.op != "call_function" or "tensors" in node.meta:
        return False
    schema = getattr(node.target, "_schema", None)
    return schema is not None and bool(schema.returns) and not traits_of(node.target).writes_at
