"""What a scan costs, as ratios measured side by side in one run: `python benchmarks/run.py`.

Each row alternates opscan and its floor, so that whatever else the machine does falls on both, and reports the median
of the ratios of neighbours. Floors: a process that only imports torch, and a bare forward + backward on meta.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import torch
from tabulate import tabulate
from torch import nn

import opscan
from opscan.environment import make_environment
from opscan.match import match
from opscan.observe.run import DeviceRegime, PlainRegime
from opscan.observe.step import Step
from opscan.rules.load import load_rules
from opscan.trace.driver import trace_target


@dataclass(frozen=True)
class Row:
    what: str
    opscan_ms: float
    floor: str
    floor_ms: float
    ratio: float
    target: str


def milliseconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


def compare(
    what: str, work: Callable[[], object], floor: str, bare: Callable[[], object], runs: int, target: str
) -> Row:
    work(), bare()  # what is done once per process or per machine (imports, caches) is not what is measured
    pairs = [(milliseconds(work), milliseconds(bare)) for _ in range(runs)]
    return Row(
        what,
        statistics.median(pair[0] for pair in pairs),
        floor,
        statistics.median(pair[1] for pair in pairs),
        statistics.median(pair[0] / pair[1] for pair in pairs),
        target,
    )


def process(*words: str) -> Callable[[], object]:
    return lambda: subprocess.run([sys.executable, *words], capture_output=True, check=False)


def encoder(layers: int) -> tuple[nn.Module, torch.Tensor]:
    with torch.device("meta"):
        layer = nn.TransformerEncoderLayer(512, 8, batch_first=True)
        return nn.TransformerEncoder(layer, layers), torch.empty(2, 64, 512)


def bare_step(model: nn.Module, x: torch.Tensor) -> Callable[[], None]:
    def step() -> None:
        output = model(x)
        output.backward(torch.empty_like(output))
        model.zero_grad()

    return step


def scan_row(layers: int, runs: int) -> Row:
    model, x = encoder(layers)
    report = opscan.check(model, (x,))
    ops = report.forward_ops + report.backward_ops
    name = f"scan of a {layers}-layer nn.TransformerEncoder ({ops} ops)"
    return compare(
        name, lambda: opscan.check(model, (x,)), "bare meta forward + backward", bare_step(model, x), runs, "1.5"
    )


def padded_convolutions(count: int) -> tuple[nn.Module, torch.Tensor]:
    """A net in which every layer has findings: padding that switches, convolutions whose cuDNN engine is a setting."""
    with torch.device("meta"):
        layers = [
            layer
            for _ in range(count)
            for layer in (nn.Conv2d(8, 8, 3, padding=1, padding_mode="replicate"), nn.BatchNorm2d(8), nn.ReLU())
        ]
        return nn.Sequential(*layers), torch.empty(2, 8, 16, 16)


def match_row(name: str, model: nn.Module, x: torch.Tensor, runs: int) -> Row:
    rules, environment = load_rules(), make_environment("cuda")
    watched = frozenset(rules.by_call)
    traced = trace_target(model, (x,), {}, watched=watched)
    what = f"matching alone, {name} ({len(traced.ops())} ops)"
    return compare(
        what,
        lambda: match(traced, rules, environment),
        "scanning the same",
        lambda: opscan.check(model, (x,)),
        runs,
        "0.05",
    )


def device_row(what: str, replays: int, runs: int, target: str) -> Row:
    """A step of a small encoder on the CPU, watched, against the same step with nobody watching."""
    layer = nn.TransformerEncoderLayer(256, 8, 512, batch_first=True)
    model, x = nn.TransformerEncoder(layer, 4), torch.randn(8, 64, 256)
    step, cpu, watched = Step(model, (x,)), torch.device("cpu"), frozenset(load_rules().by_call)

    def plain() -> object:
        return step.under(PlainRegime(cpu, watched))

    def run() -> object:
        return step.under(DeviceRegime(cpu, watched, strict=True, runs=replays))

    return compare(what, run, "the same step, plain", plain, runs, target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=9, help="pairs measured per row")
    parser.add_argument("--json", action="store_true", help="print data instead of a table")
    arguments = parser.parse_args()
    rows = [
        compare(
            "opscan check opscan.examples.cnn:CNN_v2, whole process",
            process("-m", "opscan", "check", "opscan.examples.cnn:CNN_v2"),
            'python -c "import torch"',
            process("-c", "import torch"),
            arguments.runs,
            "1.5",
        ),
        scan_row(24, arguments.runs),
        scan_row(96, max(arguments.runs // 3, 3)),
        match_row("218-layer encoder", *encoder(218), max(arguments.runs // 3, 3)),
        match_row("2,600 padded convolutions", *padded_convolutions(2600), max(arguments.runs // 3, 3)),
        device_row("strict run of a 4-layer encoder, CPU", 1, arguments.runs, "3"),
        device_row("replay of a 4-layer encoder, CPU, each op 10 times", 10, max(arguments.runs // 3, 3), "30"),
    ]
    machine = {
        "opscan": opscan.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
    if arguments.json:
        print(json.dumps({"machine": machine, "rows": [asdict(row) for row in rows]}, indent=2))
        return
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    cells = [
        (
            row.what,
            f"{row.opscan_ms:.0f} ms",
            row.floor,
            f"{row.floor_ms:.0f} ms",
            f"{row.ratio:.2f}x",
            f"<= {row.target}x",
        )
        for row in rows
    ]
    print(tabulate(cells, headers=("what", "opscan", "floor", "", "ratio", "target"), tablefmt="github"))


if __name__ == "__main__":
    main()
