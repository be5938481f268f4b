"""A small transformer, and its training step as DDP, FSDP2 and tensor, sequence and expert parallelism have it."""

from __future__ import annotations

import os

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.up, self.down = nn.Linear(width, 32), nn.Linear(32, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.down(torch.relu(self.up(self.norm(x))))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 16)
        self.layers = nn.ModuleList(Block() for _ in range(2))
        self.head = nn.Linear(16, 50)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.embedding(ids)
        for layer in self.layers:
            x = layer(x)
        return self.head(x)


def train(model: nn.Module) -> None:
    ids = torch.randint(0, 50, (2, 8)).cuda()
    F.cross_entropy(model(ids).flatten(0, 1), ids.flatten()).backward()


def ddp() -> None:
    local = int(os.environ["LOCAL_RANK"])
    dist.init_process_group("nccl", device_id=torch.device("cuda", local))
    torch.cuda.set_device(local)
    train(nn.parallel.DistributedDataParallel(Net().cuda(), device_ids=[local]))


def sharded(model: nn.Module) -> nn.Module:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh("cuda", (int(os.environ["WORLD_SIZE"]),))
    for layer in model.layers:
        fully_shard(layer, mesh=mesh)
    return fully_shard(model, mesh=mesh)


def fsdp() -> None:
    model = sharded(Net())
    optimizer = torch.optim.AdamW(model.parameters())
    train(model)
    optimizer.step()


def tensor_parallel() -> None:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, parallelize_module

    size = int(os.environ["WORLD_SIZE"])
    mesh = init_device_mesh("cuda", (max(size // 2, 1), min(size, 2)), mesh_dim_names=("data", "tensor"))
    model = Net()
    for layer in model.layers:
        parallelize_module(layer, mesh["tensor"], {"up": ColwiseParallel(), "down": RowwiseParallel()})
    train(model)


def sequence_parallel() -> None:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Replicate, Shard
    from torch.distributed.tensor.parallel import ColwiseParallel, RowwiseParallel, SequenceParallel, parallelize_module

    mesh = init_device_mesh("cuda", (int(os.environ["WORLD_SIZE"]),))
    plan = {
        "embedding": RowwiseParallel(input_layouts=Replicate(), output_layouts=Shard(1)),
        "layers.*.norm": SequenceParallel(),
        "layers.*.up": ColwiseParallel(input_layouts=Shard(1)),
        "layers.*.down": RowwiseParallel(output_layouts=Shard(1)),
        "head": ColwiseParallel(input_layouts=Shard(1), output_layouts=Replicate()),
    }
    train(parallelize_module(Net(), mesh, plan))


def expert_parallel() -> None:
    from torch.distributed._functional_collectives import all_to_all_single_autograd

    dist.init_process_group("nccl")
    experts = nn.Linear(16, 16)
    tokens = torch.randn(64, 16, requires_grad=True)
    sent = all_to_all_single_autograd(tokens, None, None, dist.group.WORLD)
    all_to_all_single_autograd(experts(sent), None, None, dist.group.WORLD).sum().backward()


def fails() -> None:
    dist.init_process_group("nccl")
    os.environ["NCCL_ALGO"] = "Ring"
    raise ValueError("no such batch")


def pipelined() -> None:
    """The first of its stages, whose shapes are given: without them stages tell one another."""
    from torch.distributed.pipelining import PipelineStage, ScheduleGPipe

    dist.init_process_group("nccl")
    inputs, outputs = torch.empty(2, 8), torch.empty(2, 8, requires_grad=True)
    where = dist.get_rank(), dist.get_world_size(), torch.device("cpu")
    stage = PipelineStage(nn.Linear(8, 8), *where, input_args=inputs, output_args=outputs)
    ScheduleGPipe(stage, n_microbatches=2, loss_fn=F.mse_loss).step(torch.randn(4, 8))


def own_messages() -> None:
    dist.init_process_group("nccl")
    size = torch.tensor([3])
    dist.send(size, 1)
    back = torch.zeros(1, dtype=torch.int64)
    dist.recv(back, 1)
    torch.ones(int(back)).requires_grad_().sum().backward()
