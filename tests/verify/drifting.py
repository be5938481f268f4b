"""Trainings of several gloo ranks, clean ones and with a planted drift each, recorded: `python -m tests.verify.drifting
FOLDER` writes NAME.rankR.opslog for each of CASES. All ranks are forks of one process, so torch is imported once.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from importlib import import_module
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from opscan.verifying.options import Options
from opscan.verifying.watch.install import recorded
from opscan.verifying.watch.processes import told

STEPS = 3


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.norm, self.head = nn.Linear(8, 8), nn.BatchNorm1d(8), nn.Linear(8, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.head(torch.relu(self.norm(self.body(x))))
        return self.extra(x) if hasattr(self, "extra") else x


def made(seed: int = 0) -> Net:
    torch.manual_seed(seed)
    return Net()


def batches() -> Iterator[tuple[int, torch.Tensor]]:
    """Each rank has data of its own."""
    generator = torch.Generator().manual_seed(100 + dist.get_rank())
    for k in range(STEPS):
        yield k, torch.randn(4, 8, generator=generator)


def train(net: nn.Module, call: Callable[[torch.Tensor], torch.Tensor], after: Callable[[int], object] = id) -> None:
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    for k, x in batches():
        optimizer.zero_grad()
        call(x).square().mean().backward()
        after(k)
        optimizer.step()


def ddp() -> None:
    net = DistributedDataParallel(made(dist.get_rank()))
    train(net, net)


def accumulated() -> None:
    net = DistributedDataParallel(made())
    optimizer = torch.optim.AdamW(net.parameters())
    for k, x in batches():
        for micro in range(2):
            with net.no_sync() if micro == 0 else nullcontext():
                net(x + k + micro).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()


def two_optimizers() -> None:
    net = DistributedDataParallel(made())
    optimizers = [torch.optim.SGD(net.module.body.parameters(), 0.1), torch.optim.Adam(net.module.head.parameters())]
    for _, x in batches():
        net(x).square().mean().backward()
        for each in optimizers:
            each.step()
            each.zero_grad()


def fsdp() -> None:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    net = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 4))
    train(fully_shard(net, mesh=init_device_mesh("cpu", (dist.get_world_size(),))), net)


def tensor_parallel() -> None:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Replicate, Shard
    from torch.distributed.tensor.parallel import (
        ColwiseParallel,
        PrepareModuleInput,
        RowwiseParallel,
        SequenceParallel,
        parallelize_module,
    )

    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    torch.manual_seed(0)
    net = nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 8))
    plan = {
        "0": SequenceParallel(sequence_dim=0),
        "1": ColwiseParallel(input_layouts=Shard(0)),
        "3": RowwiseParallel(),
    }
    parallelize_module(
        net, mesh, PrepareModuleInput(input_layouts=(Replicate(),), desired_input_layouts=(Replicate(),))
    )
    parallelize_module(net, mesh, plan)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    for k in range(STEPS):
        net(torch.full((4, 8), 1.0 + k)).square().mean().backward()
        optimizer.step()


def by_hand() -> None:
    net = made()
    train(net, net, lambda k: summed(net))


def summed(net: nn.Module) -> None:
    for each in net.parameters():
        dist.all_reduce(each.grad)


# -- planted


def late() -> None:
    net = DistributedDataParallel(made())
    net.module.extra = nn.Linear(8, 8)
    train(net, net)


def frozen() -> None:
    net = made()
    net.body.requires_grad_(False)
    wrapped = DistributedDataParallel(net)
    net.body.requires_grad_(True)
    train(net, wrapped)


def seeds() -> None:
    net = DistributedDataParallel(made(dist.get_rank()), init_sync=False)
    train(net, net)


def statistics() -> None:
    net = DistributedDataParallel(made(), broadcast_buffers=False)
    train(net, net)


def local_step() -> None:
    net = DistributedDataParallel(made())
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    for k, x in batches():
        optimizer.zero_grad()
        net(x).square().mean().backward()
        if k != 1 or dist.get_rank() == 0:
            optimizer.step()  # the step


def never_stepped() -> None:
    net = DistributedDataParallel(made())
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    for _, x in batches():
        optimizer.zero_grad()
        net(x).square().mean().backward()
        if dist.get_rank() == 0:
            optimizer.step()


def unsynced() -> None:
    net = DistributedDataParallel(made())

    def call(x: torch.Tensor) -> torch.Tensor:
        with net.no_sync():
            return net(x)

    train(net, call)


def bypassed() -> None:
    net = DistributedDataParallel(made())
    train(net, net.module)


def scheduled() -> None:
    net = DistributedDataParallel(made())
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    for k, x in batches():
        optimizer.param_groups[0]["lr"] = 0.1 if k < 1 else 0.1 / (1 + dist.get_rank())
        optimizer.zero_grad()
        net(x).square().mean().backward()
        optimizer.step()


def seeds_by_hand() -> None:
    net = made(dist.get_rank())
    train(net, net, lambda k: summed(net))


def restored() -> None:
    net = DistributedDataParallel(made())
    if dist.get_rank() == 0:
        net.module.load_state_dict(made(5).state_dict())
    train(net, net)


def scaled() -> None:
    """On rank 2 of 4."""
    net = DistributedDataParallel(made())

    def scale(k: int) -> None:
        if k == 1 and dist.get_rank() == 2:
            for each in net.parameters():
                each.grad.mul_(0.5)

    train(net, net, scale)


def hybrid(seed: int = 0) -> None:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh("cpu", (2, 2), mesh_dim_names=("copies", "shards"))
    torch.manual_seed(seed)
    net = fully_shard(nn.Sequential(nn.Linear(8, 8)), mesh=mesh)
    train(net, net)


def hybrid_seeds() -> None:
    hybrid(dist.get_rank() // 2)


def worlds() -> dict[int, list[Callable[[], None]]]:
    """The trainings by how many ranks they take."""
    two = [ddp, accumulated, two_optimizers, fsdp, tensor_parallel, by_hand, late, frozen, seeds, statistics]
    two += [local_step, never_stepped, unsynced, bypassed, scheduled, seeds_by_hand, restored]
    return {2: two, 4: [ddp, scaled, hybrid, hybrid_seeds]}


def run(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    for size, cases in worlds().items():
        if rank >= size:
            continue
        dist.init_process_group(
            "gloo", store=dist.FileStore(str(folder / f"store{size}"), size), rank=rank, world_size=size
        )
        for case in cases:
            path = folder / f"{case.__name__}{size}.rank{rank}.opslog"
            with suppress(Exception), recorded(str(path), Options(None), (case.__name__,)) as recording:
                told(recording, case)  # it records how it ends
        dist.destroy_process_group()


def main() -> int:
    folder = Path(sys.argv[1])
    for name in ("fsdp", "tensor.parallel", "device_mesh"):
        import_module(f"torch.distributed.{name}")  # once for all ranks
    children = []
    for rank in range(4):
        child = os.fork()
        if not child:
            try:
                run(rank, folder)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
        children.append(child)
    return max(os.waitstatus_to_exitcode(os.waitpid(each, 0)[1]) for each in children)


if __name__ == "__main__":
    sys.exit(main())
