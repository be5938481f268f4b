"""What a scan costs: against a bare step on meta, by the number of ops, and in memory."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import models
from measure import Row, compare, here
from torch import Tensor, nn

import opscan
from opscan.environment import make_environment
from opscan.match import match
from opscan.rules.load import load_rules
from opscan.trace.driver import trace_target

LAYERS = (6, 17, 54, 163, 544, 1630)
"""Of encoders with 1,105 to 299,921 ops: a layer is 184."""

_BARE = "bare forward + backward on meta"


def rows(runs: int) -> Iterator[Row]:
    """Every kind of model, and matching alone."""
    made: dict[str, Callable[[], models.Built]] = {
        "CNN_v2": models.cnn,
        "ResNet-50-like": models.resnet,
        "sparse mixture of experts, 24 layers": models.experts,
        "graph network, 24 layers": models.graph,
        "transformer, 24 layers": lambda: models.encoder(24),
        "transformer, 96 layers": lambda: models.encoder(96),
    }
    for name, make in made.items():
        few = max(runs // 3, 1) if "96" in name else runs
        yield _scan("scan", name, make, few, 1.3 if "24 layers" in name else None)
    yield _matching(max(runs // 3, 1))


def rows_by_ops(runs: int, most: int) -> Iterator[Row]:
    """One encoder after the other, each with more layers."""
    for layers in LAYERS:
        if 184 * layers <= most:
            pairs = max(min(runs, 400 // layers), 1)
            target = 1.3 if layers == LAYERS[-1] else None
            yield _scan(
                "cost by ops",
                f"transformer, {layers:,} layers",
                partial(models.encoder, layers),
                pairs,
                target,
                layers < 500,
            )


def slope(ops: Sequence[int], seconds: Sequence[float]) -> float:
    """The exponent of the power of the ops that fits the seconds best: 1 where the cost is linear."""
    x, y = [math.log(each) for each in ops], [math.log(each) for each in seconds]
    middle, height = sum(x) / len(x), sum(y) / len(y)
    above = sum((one - middle) * (other - height) for one, other in zip(x, y, strict=True))
    return above / sum((one - middle) ** 2 for one in x)


def _scan(
    section: str, name: str, make: Callable[[], models.Built], pairs: int, target: float | None, warm: bool = True
) -> Row:
    model, inputs = make()
    reports = []
    bare, scan = here(_bare_step(model, inputs)), here(lambda: reports.append(opscan.check(model, inputs)))
    row = compare(section, name, scan, _BARE, bare, pairs, target, warm=warm)
    ops = reports[-1].forward_ops + reports[-1].backward_ops
    return replace(row, what=f"{name} ({ops:,} ops)")


def _bare_step(model: nn.Module, inputs: tuple[Tensor, ...]) -> Callable[[], None]:
    import torch

    def step() -> None:
        output = model(*inputs)
        output.backward(torch.empty_like(output))
        model.zero_grad()

    return step


def _matching(pairs: int) -> Row:
    rules, environment = load_rules(), make_environment("cuda")
    model, inputs = models.padded_convolutions(1000)
    traced = trace_target(model, inputs, {}, watched=frozenset(rules.by_call))
    judge = here(lambda: match(traced, rules, environment))
    what = f"matching alone, 1,000 padded convolutions ({len(traced.ops()):,} ops)"
    return compare("scan", what, judge, "scanning the same", here(lambda: opscan.check(model, inputs)), pairs, 0.1)


def memory_row() -> Row:
    """The peak of `opscan check` of 69 billion parameters, more than that of a process that only imports torch."""
    target = f"{Path(__file__).with_name('models.py')}:Decoder"
    scan = _peak_mib(f"from opscan.cli import main; main(['check', {target!r}, '--quiet'])")
    bare = _peak_mib("import torch")
    what = "peak memory of opscan check of a decoder with 69 billion parameters"
    return Row("memory", what, scan, 'python -c "import torch"', bare, scan - bare, None, 200, 1, unit="MiB")


_PEAK = """
import re, resource
own = int(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1])
print(max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
"""
"""What the system counts from the start of the program on: ru_maxrss begins with what the process that forks holds."""


def _peak_mib(code: str) -> float:
    words = (sys.executable, "-c", code + _PEAK)
    ran = subprocess.run(words, capture_output=True, text=True, check=True)
    return int(ran.stdout.splitlines()[-1]) / 1024
