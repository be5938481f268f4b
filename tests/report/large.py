"""A report as large as they come, made by hand: a deep model, a graph with a backward as long as its forward."""

from __future__ import annotations

from dataclasses import replace

from opscan.environment import make_environment
from opscan.finding import Line, Place, Spread
from opscan.report.report import Report
from opscan.report.stepgraph import DrawnModule, StepGraph
from opscan.rules.load import load_rules
from tests.report.sample import PAD

PARTS = ("attention", "norm1", "mlp.up", "mlp.down", "norm2")


def large_graph(ops: int = 50_000, blocks: int = 500) -> StepGraph:
    """A chain of blocks, forward and backward: every op hangs on the one before, every 7th on one 20 before too.

    With no blocks all ops are the model's own. All that hangs on the op in the middle varies.
    """
    paths = ["", "blocks"] if blocks else [""]
    for block in range(blocks):
        paths += [f"blocks.{block}", f"blocks.{block}.mlp", *(f"blocks.{block}.{part}" for part in PARTS)]
    at = {path: index for index, path in enumerate(paths)}
    half = ops // 2
    module = []
    for op in range(half):
        block, within = divmod(op, max(1, half // max(1, blocks)))
        part = PARTS[within * len(PARTS) // max(1, half // max(1, blocks)) % len(PARTS)]
        module.append(at.get(f"blocks.{min(block, blocks - 1)}.{part}", 0))
    parents, starts = list[int](), [0]
    for op in range(ops):
        parents += [op - 1] if op else []
        parents += [op - 20] if op % 7 == 0 and op >= 20 else []
        parents += [ops - 1 - op] if op >= half and op % 3 == 0 else []
        starts.append(len(parents))
    gradients = {
        ops - 1 - op: f"{paths[module[op]]}.weight".lstrip(".")
        for op in range(half)
        if op == half - 1 or module[op] != module[op + 1]
    }
    return StepGraph(
        names=tuple(f"aten.op{number}.default" for number in range(40)),
        modules=tuple(
            DrawnModule(path, path.rpartition(".")[2].title() if path[-1:].isalpha() else "") for path in paths
        ),
        op=tuple(op * 7 % 40 for op in range(ops)),
        module=(*module, *reversed(module)),
        kind=(0,) * half + (2,) * (ops - half),
        cause=(-1,) * half + tuple(reversed(range(half))),
        starts=tuple(starts),
        parents=tuple(parents),
        varies=tuple(op >= half + half // 2 for op in range(ops)),
        found={half + half // 2: PAD.rule},
        gradients=gradients,
        marks={half - 1: "output"},
        shapes=tuple(f"2x{op % 30}x64" for op in range(ops)),
    )


def large_report(ops: int = 50_000, findings: int = 2_000, blocks: int = 500) -> Report:
    """Findings of as many rules as there are, each with places and texts of its own."""
    graph = large_graph(ops, blocks)
    rules = load_rules().rules
    names = list(dict.fromkeys(graph.gradients.values()))
    found = tuple(
        replace(
            PAD,
            rule=rules[number % len(rules)].id,
            title=rules[number % len(rules)].title,
            verdict=("raises", "switches", "silent")[number % 3],
            op=f"aten.op{number}.default",
            message=f"{number}: {PAD.message}",
            places=tuple(
                Place(f"blocks.{(number + step) % max(1, blocks)}.attention", Line("/net/model.py", number), None, 1)
                for step in range(1 + number % 5)
            ),
            spread=Spread(True, False, False, tuple(names[number % len(names) :]), len(names)),
        )
        for number in range(findings)
    )
    return Report(
        target="net.model:Large",
        environment=make_environment("cuda", "2.13.0"),
        assumptions=(),
        forward_ops=ops // 2,
        backward_ops=ops - ops // 2,
        unknown={},
        findings=found,
        graph=graph,
        rules=rules,
    )
