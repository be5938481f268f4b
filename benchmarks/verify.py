"""What recording costs, as ratios measured side by side in one run: `python benchmarks/verify.py`.

Plain and recorded steps of one model alternate in one process, so that whatever else the machine does falls on both;
each row is the median of the ratios of neighbours, in CPU time of one thread. `steps` records parameters, gradients,
draws and losses of each step, `ops` the digests of every op's outputs besides. The last row is of memory: the peak of
a recorded run of many steps against one of few.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from tabulate import tabulate
from torch import nn

import opscan
from opscan.verifying.options import Options
from opscan.verifying.watch.install import recorded

OPS = {"steps": None, "ops": (0, 1 << 60)}


class Block(nn.Module):
    """A residual block as in ResNet-18."""

    def __init__(self, inside: int, out: int, stride: int) -> None:
        super().__init__()
        self.one = nn.Sequential(nn.Conv2d(inside, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU(True))
        self.two = nn.Sequential(nn.Conv2d(out, out, 3, 1, 1, bias=False), nn.BatchNorm2d(out))
        self.short = nn.Identity()
        if stride != 1 or inside != out:
            self.short = nn.Sequential(nn.Conv2d(inside, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.two(self.one(x)) + self.short(x))


def resnet() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """11.2 million parameters, for images of 32x32."""
    widths = ((64, 64, 1), (64, 64, 1), (64, 128, 2), (128, 128, 1), (128, 256, 2), (256, 256, 1), (256, 512, 2))
    blocks = [Block(*each) for each in (*widths, (512, 512, 1))]
    stem = (nn.Conv2d(3, 64, 3, 1, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU(True))
    model = nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))
    return model, torch.randn(8, 3, 32, 32), torch.randint(0, 10, (8,))


class Encoder(nn.Module):
    """Twelve layers with a classifier."""

    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(256, 8, 1024, batch_first=True)
        self.layers, self.head = nn.TransformerEncoder(layer, 12), nn.Linear(256, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.head(self.layers(x).mean(1))
        return y


def encoder() -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    """9.5 million parameters, for 4 sequences of 64."""
    return Encoder(), torch.randn(4, 64, 256), torch.randint(0, 10, (4,))


MODELS = {"ResNet-18-like CNN, batch of 8": resnet, "12-layer transformer, batch of 4x64": encoder}


def stepper(make: Callable[[], tuple[nn.Module, torch.Tensor, torch.Tensor]]) -> Callable[[], None]:
    model, x, y = make()
    optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)

    def step() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()

    return step


def milliseconds(work: Callable[[], object]) -> float:
    """CPU time of this process: with one thread it is the work itself, whatever else the machine does."""
    start = time.process_time()
    work()
    return (time.process_time() - start) * 1000


def ratio_row(name: str, kind: str, runs: int) -> tuple[str, str, float, float, float]:
    step = stepper(MODELS[name])
    step()
    pairs = []
    for _ in range(runs):
        plain = milliseconds(step)
        with (
            tempfile.TemporaryDirectory() as folder,
            recorded(str(Path(folder, "run.opslog")), Options(OPS[kind]), ()),
        ):
            step()  # the first one writes down names, too
            watched = milliseconds(step)
        pairs.append((watched, (plain + milliseconds(step)) / 2))
    medians = [statistics.median(column) for column in zip(*pairs, strict=True)]
    return name, kind, medians[0], medians[1], statistics.median(one / other for one, other in pairs)


def peak_mib(steps: int) -> float:
    """Peak memory of a process that records so many steps of a small model, with every op, and compares the record."""
    words = [sys.executable, __file__, "--peak", str(steps)]
    return float(subprocess.run(words, capture_output=True, text=True, check=True).stdout)


def print_peak(steps: int) -> None:
    from opscan.verifying.compare import Comparison
    from opscan.verifying.stream import read_records

    torch.set_num_threads(1)
    model = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 4))
    optimizer = torch.optim.Adam(model.parameters())
    x = torch.randn(16, 32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run.opslog")
        with recorded(str(path), Options((0, 1 << 60)), ()):
            for _ in range(steps):
                optimizer.zero_grad()
                model(x).square().mean().backward()
                optimizer.step()
        found = Comparison().run(read_records(path), read_records(path))
        assert found.first is None
        assert found.steps[0] == steps
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=7, help="pairs measured per row")
    parser.add_argument("--json", action="store_true", help="print data instead of a table")
    parser.add_argument("--peak", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        print_peak(arguments.peak)
        return
    torch.set_num_threads(1)
    rows = [ratio_row(name, kind, arguments.runs) for name in MODELS for kind in OPS]
    few, many = peak_mib(300), peak_mib(3000)
    machine = f"opscan {opscan.__version__}, torch {torch.__version__}, python {platform.python_version()}"
    if arguments.json:
        print(json.dumps({"machine": machine, "rows": rows, "peak_mib": {"300": few, "3000": many}}, indent=2))
        return
    print(machine)
    cells = [
        (name, kind, f"{watched:.0f} ms", f"{plain:.0f} ms", f"{ratio:.2f}x", "<= 2x")
        for name, kind, watched, plain, ratio in rows
    ]
    cells.append(("peak memory, small MLP", "ops, 3,000 steps and 300", f"{many:.0f} MiB", f"{few:.0f} MiB",
                  f"{many / few:.2f}x", "<= 1.1x"))  # fmt: skip
    print(tabulate(cells, headers=("what", "recorded", "with", "plain", "ratio", "target"), tablefmt="github"))


if __name__ == "__main__":
    main()
