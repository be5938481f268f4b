"""From a trace and what was reached in it to the step as it is drawn: plain numbers, nothing of torch's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import fx

from opscan.report.stepgraph import KINDS, DrawnModule, StepGraph
from opscan.rules.schema import Verdict
from opscan.spread.reach import Reached
from opscan.trace.graph import ModuleSite, TensorInfo, call_of
from opscan.trace.hygiene import collector_rests

_VARYING: tuple[Verdict, ...] = ("raises", "switches", "silent", "uninitialized")

_KIND = {phase: index for index, phase in enumerate(KINDS)}


@collector_rests()
def draw(reached: Reached) -> StepGraph:
    """The ops that ran; views of a result with several tensors are drawn as the op that made them."""
    return _Drawing(reached).graph()


class _Drawing:
    def __init__(self, reached: Reached) -> None:
        self._reached = reached
        self._names: dict[object, int] = {}  # by op, which is found faster than its name
        self._shapes: dict[tuple[int, ...], str] = {}
        self._modules: dict[str, int] = {"": 0}
        self._types: list[str] = [""]
        findings = reached.matched.findings
        self._varying = sum(
            1 << index
            for index, each in enumerate(findings)
            if each.verdict in _VARYING and each.spread is not None and each.default != "setting"
        )
        self._found = {
            node: each.rule
            for each, sources in zip(findings, reached.matched.sources, strict=True)
            if each.verdict in _VARYING and not each.harmless
            for node in sources
        }

    def graph(self) -> StepGraph:
        """One pass over the flow."""
        nodes, flow, bits = self._reached.flow.nodes, self._reached.flow.parents, self._reached.bits
        varying = self._varying
        drawn: dict[int, int] = {}  # position in the flow -> index of the op drawn for it
        stands_for: dict[int, list[int]] = {}
        columns: list[tuple[int, int, int, bool, str]] = []
        starts, parents = [0], list[int]()
        cause: list[int] = []
        index_of: dict[fx.Node, int] = {}
        gradients: dict[int, str] = {}
        for position, node in enumerate(nodes):
            if "opscan" not in node.meta:
                if node.op == "call_function":  # one of several results
                    drawn[position] = drawn[flow[position][0]]
                elif flow[position]:  # a gradient that stands for a loss
                    stands_for[position] = [drawn[each] for each in flow[position] if each in drawn]
                continue
            index = drawn[position] = index_of[node] = len(columns)
            call = call_of(node)
            parameter = node.meta.get("gradient_of")
            module = self._module(call.module)
            if parameter is not None:
                gradients[index] = parameter
                module = self._index(parameter.rpartition(".")[0])
            columns.append(
                (self._names.setdefault(node.target, len(self._names)), module, _KIND[call.phase],
                 bits[position] & varying != 0, self._shape(node.meta.get("tensors")))
            )  # fmt: skip
            parents += {drawn[each]: None for each in flow[position] if each in drawn}
            for each in flow[position] if stands_for else ():
                parents += stands_for.get(each, ())
            starts.append(len(parents))
            cause.append(index_of.get(call.cause, -1) if call.cause is not None else -1)
        op, module_of, kind, varies, shapes = zip(*columns, strict=True) if columns else ((),) * 5
        return StepGraph(
            names=tuple(map(str, self._names)),
            modules=tuple(DrawnModule(*each) for each in zip(self._modules, self._types, strict=True)),
            op=op,
            module=module_of,
            kind=kind,
            cause=tuple(cause),
            starts=tuple(starts),
            parents=tuple(parents),
            varies=varies,
            found={index_of[node]: rule for node, rule in self._found.items() if node in index_of},
            gradients=gradients,
            marks=self._marks(nodes, drawn),
            shapes=shapes,
        )

    def _marks(self, nodes: Iterable[fx.Node], drawn: dict[int, int]) -> dict[int, str]:
        trace, marks = self._reached.trace, dict[int, str]()
        ends = {**dict.fromkeys(trace.outputs, "output"), **dict.fromkeys(trace.losses, "loss")}
        for position, node in enumerate(nodes):
            if node in ends and position in drawn:
                marks[drawn[position]] = ends[node]
        return marks

    def _module(self, site: ModuleSite | None) -> int:
        if site is None:
            return 0
        index = self._modules.get(site.path)
        if index is None:
            index = self._index(site.path)
        self._types[index] = site.type
        return index

    def _shape(self, infos: Any) -> str:
        """The sizes of the first result."""
        first = infos if isinstance(infos, TensorInfo) else next((each for each in infos or () if each), None)
        if first is None:
            return ""
        words = self._shapes.get(first.shape)
        if words is None:
            words = self._shapes[first.shape] = "x".join(map(str, first.shape))
        return words

    def _index(self, path: str) -> int:
        """The index of a module; those it is in are there before it."""
        found = self._modules.get(path)
        if found is None:
            if path:
                self._index(path.rpartition(".")[0])
            found = self._modules[path] = len(self._modules)
            self._types.append("")
        return found
