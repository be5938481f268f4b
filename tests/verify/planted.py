"""Ten trainings with a planted cause each, as sources: `PLANTED[name]` is a script."""

from __future__ import annotations

HEAD = """\
import os, sys, time, random, threading
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

torch.set_num_threads(1)


def train(net, loader, steps=4, after=lambda k: None):
    optimizer = torch.optim.SGD(net.parameters(), 0.1, momentum=0.9)
    k = 0
    while k < steps:
        for x, y in loader:
            loss = nn.functional.cross_entropy(net(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            after(k)
            k += 1
            if k == steps:
                break


def data(n=32):
    g = torch.Generator().manual_seed(7)
    return TensorDataset(torch.randn(n, 8, generator=g), torch.randint(0, 4, (n,), generator=g))


def mlp(*more):
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), *more, nn.Linear(16, 4))

"""

AUGMENTED = (
    HEAD
    + """
class Noisy(Dataset):
    def __init__(self):
        self.base, self.rng = data(), None

    def __len__(self):
        return 32

    def __getitem__(self, i):
        if self.rng is None:
            self.rng = np.random.default_rng()
        x, y = self.base[i]
        return x + torch.from_numpy(self.rng.normal(size=8).astype("float32")), y  # the draw


if __name__ == "__main__":
    torch.manual_seed(0)
    net = mlp()
    train(net, DataLoader(Noisy(), 8, num_workers=2))
"""
)

SET_ORDER = (
    HEAD
    + """
torch.manual_seed(0)
names = ["cat", "dog", "horse", "sheep", "cow", "pig", "hen", "duck"]
classes = list(set(names))  # the set
labels = torch.tensor([classes.index(names[i % 8]) % 4 for i in range(32)])
net = mlp()
train(net, DataLoader(TensorDataset(data().tensors[0], labels), 8))
"""
)

CUSTOM_OP = (
    HEAD
    + """
@torch.library.custom_op("planted::scale", mutates_args=())
def scale(x: torch.Tensor) -> torch.Tensor:
    noise = int.from_bytes(os.urandom(2), "big") / 65536 * 1e-6
    return x * (1 + noise)


scale.register_autograd(lambda ctx, grad: grad)


class Block(nn.Module):
    def __init__(self, number):
        super().__init__()
        self.linear, self.number = nn.Linear(8, 8), number

    def forward(self, x):
        x = torch.tanh(self.linear(x))
        return scale(x) if self.number == 7 else x  # the op


torch.manual_seed(0)
net = nn.Sequential(*(Block(i) for i in range(12)))
train(net, DataLoader(data(), 8))
"""
)

PRIVATE_GENERATOR = (
    HEAD
    + """
class Drop(nn.Module):
    def __init__(self):
        super().__init__()
        self.generator = torch.Generator()
        self.generator.seed()

    def forward(self, x):
        return x * (torch.rand(x.shape, generator=self.generator) > 0.1)  # the draw


torch.manual_seed(0)
train(mlp(Drop()), DataLoader(data(), 8))
"""
)

RACE = (
    HEAD
    + """
shared = np.zeros(16, dtype="float32")


class Biased(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("bias", torch.from_numpy(shared))

    def forward(self, x):
        return x + self.bias  # the read


def write():
    while True:
        shared[:] = int.from_bytes(os.urandom(4), "big") / 2**32
        time.sleep(0.0002)


torch.manual_seed(0)
net = mlp(Biased())
threading.Thread(target=write, daemon=True).start()
time.sleep(0.05)
train(net, DataLoader(data(), 8))
"""
)

TIME_SEED = (
    HEAD
    + """
torch.manual_seed(time.time_ns() % 2**31)  # the seed
train(mlp(), DataLoader(data(), 8))
"""
)

RESUME = (
    HEAD
    + """
torch.manual_seed(0)
net = mlp(nn.Dropout(0.5))
optimizer = torch.optim.Adam(net.parameters(), 0.01)
x, y = data().tensors
start = 0
if "--resume" in sys.argv:
    state = torch.load("last.pt")
    net.load_state_dict(state["net"])
    if "--forget" not in sys.argv:
        optimizer.load_state_dict(state["optimizer"])
    start = state["step"]
    if "--restore" in sys.argv:
        torch.set_rng_state(state["random"])
for k in range(start, 6):
    loss = nn.functional.cross_entropy(net(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    state = {"net": net.state_dict(), "optimizer": optimizer.state_dict(), "step": k + 1}
    state["random"] = torch.get_rng_state()
    torch.save(state, "last.pt")
"""
)

WORKERS = (
    HEAD
    + """
class Noisy(Dataset):
    base = data()

    def __len__(self):
        return 32

    def __getitem__(self, i):
        x, y = self.base[i]
        return x + torch.randn(8), y


if __name__ == "__main__":
    torch.manual_seed(0)
    workers = len(sys.argv) > 1 and int(sys.argv[1])
    train(mlp(), DataLoader(Noisy(), 8, num_workers=workers))  # the loader
"""
)

UNINITIALIZED = (
    HEAD
    + """
class Linear(nn.Module):
    def __init__(self):
        super().__init__()
        garbage = torch.full((16, 512), float(time.time_ns() % 1000))  # what the memory held before
        del garbage
        self.weight = nn.Parameter(torch.Tensor(16, 512))  # the memory

    def forward(self, x):
        return x + self.weight[:, 0] * 1e-9


torch.manual_seed(0)
train(mlp(Linear()), DataLoader(data(), 8))
"""
)

GPU_KERNEL = (
    HEAD
    + """
library = torch.library.Library("gpuonly", "DEF")
library.define("atomic_add(Tensor x, Tensor index) -> Tensor")


def atomic_add(x, index):
    order = list(range(len(x)))
    random.SystemRandom().shuffle(order)  # the order in which threads come
    total = torch.zeros(4, x.shape[1])
    for i in order:
        total[index[i]] += x[i]
    return total


library.impl("atomic_add", atomic_add, "CPU")


class Pool(nn.Module):
    def forward(self, x):
        index = torch.arange(len(x)) % 4
        with torch.no_grad():
            pooled = torch.ops.gpuonly.atomic_add(x * 1000.3, index)  # the op
        return x + pooled.mean() * 1e-3


torch.manual_seed(0)
train(mlp(nn.Tanh(), Pool()), DataLoader(data(256), 64))
"""
)

PLANTED = {
    "augmented": AUGMENTED,
    "set_order": SET_ORDER,
    "custom_op": CUSTOM_OP,
    "private_generator": PRIVATE_GENERATOR,
    "race": RACE,
    "time_seed": TIME_SEED,
    "resume": RESUME,
    "workers": WORKERS,
    "uninitialized": UNINITIALIZED,
    "gpu_kernel": GPU_KERNEL,
}


def line_of(name: str, comment: str) -> int:
    """The number of the line of a script that ends in a comment."""
    lines = PLANTED[name].splitlines()
    (found,) = [number for number, line in enumerate(lines, 1) if line.endswith(f"# {comment}")]
    return found
