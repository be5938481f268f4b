"""What a scan of many ranks takes on one machine, beside the scan of the single process.

    python benchmarks/distributed.py [--layers 4] [--width 256] [--sizes 1,8,64] [--runs 3]

Each scan is a process of its own that has imported what it needs before the clock starts: a transformer's training step
alone, in DDP, sharded by FSDP2, and with tensor parallelism over two ranks. Printed are medians.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

KINDS = ("single process", "DDP", "FSDP2", "TP=2")


def step_of(kind: str, layers: int, width: int) -> Callable[[], None]:
    """The training step of one rank."""
    import torch
    import torch.distributed as dist
    import torch.nn.functional as F
    from torch import nn

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            query, key, value = self.qkv(self.first(x)).chunk(3, -1)
            x = x + self.out(F.scaled_dot_product_attention(query, key, value, is_causal=True))
            return x + self.down(F.gelu(self.up(self.second(x))))

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(1000, width)
            self.layers = nn.ModuleList(Block() for _ in range(layers))
            self.head = nn.Linear(width, 1000)

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            x = self.embedding(ids)
            for layer in self.layers:
                x = layer(x)
            return self.head(x)

    def wrapped(model: nn.Module) -> nn.Module:
        size = int(os.environ.get("WORLD_SIZE", "1"))
        if kind == "DDP":
            dist.init_process_group("nccl")
            return nn.parallel.DistributedDataParallel(model)
        if kind == "FSDP2":
            from torch.distributed.device_mesh import init_device_mesh
            from torch.distributed.fsdp import fully_shard

            mesh = init_device_mesh("cuda", (size,))
            for layer in model.layers:
                fully_shard(layer, mesh=mesh)
            return fully_shard(model, mesh=mesh)
        if kind == "TP=2":
            from torch.distributed.device_mesh import init_device_mesh
            from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

            mesh = init_device_mesh("cuda", (max(size // 2, 1), min(size, 2)), mesh_dim_names=("data", "tensor"))
            plan = {"layers.*.up": ColwiseParallel(), "layers.*.down": RowwiseParallel()}
            return parallelize_module(model, mesh["tensor"], plan)
        return model

    def step() -> None:
        model = wrapped(Net())
        ids = torch.randint(0, 1000, (2, 64))
        F.cross_entropy(model(ids).flatten(0, 1), ids.flatten()).backward()

    return step


def measure(kind: str, size: int | None, layers: int, width: int) -> dict[str, object]:
    """Scan once, in this process; what importing takes is not counted."""
    import torch
    import torch.distributed.device_mesh
    import torch.distributed.fsdp
    import torch.distributed.tensor.parallel
    from torch import nn

    import opscan
    from opscan.distributed.world import world

    torch.set_num_threads(1)
    opscan.check(nn.Linear(2, 2), (torch.ones(1, 2),), run=False)
    with world(1):
        pass
    step = step_of(kind, layers, width)
    started = time.perf_counter()
    report = opscan.check(step, world_size=size, run=False)
    seconds = time.perf_counter() - started
    messages = report.world.messages if report.world is not None else ()
    assert report.cost is not None
    return {
        "seconds": seconds,
        "mib": (report.cost.peak_bytes or 0) / 2**20,
        "ops": report.forward_ops + report.backward_ops,
        "collectives": sum(each.count for each in messages),
    }


def in_process(kind: str, size: int | None, layers: int, width: int) -> dict[str, float]:
    """As `measure`, in a process of its own."""
    words = [sys.executable, __file__, "--one", json.dumps([kind, size, layers, width])]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--sizes", default="1,8,64")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(*json.loads(arguments.one))))
        return
    sizes = [int(word) for word in arguments.sizes.split(",")]
    rows: list[tuple[str, int | None]] = [(KINDS[0], None), *((kind, size) for kind in KINDS[1:] for size in sizes)]
    print("| step | world size | ops | collectives | seconds | MiB | time to the single process |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    alone = 0.0
    for kind, size in rows:
        runs = [in_process(kind, size, arguments.layers, arguments.width) for _ in range(arguments.runs)]
        seconds = statistics.median(run["seconds"] for run in runs)
        mib = statistics.median(run["mib"] for run in runs)
        alone = alone or seconds
        first = runs[0]
        cells = f"| {kind} | {size or ''} | {first['ops']} | {first['collectives']} | {seconds:.2f} | {mib:.0f}"
        print(f"{cells} | {seconds / alone:.2f}x |", flush=True)


if __name__ == "__main__":
    main()
