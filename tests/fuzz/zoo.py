"""Things that targets may name: models, what makes them, what is none, and what raises."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Net(nn.Module):
    def __init__(self, width: int = 4, kind: str = "zeros") -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3, padding=1, padding_mode=kind)
        self.head = nn.Linear(width, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.conv(x).mean((2, 3)))


class Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 4)

    def forward(self, ids: Tensor, mask: Tensor | None = None) -> Tensor:
        found = self.embedding(ids)
        return found if mask is None else found * mask.unsqueeze(-1)


class Raises(nn.Module):
    def __init__(self, when: str = "forward") -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))
        if when == "init":
            raise KeyError(when)

    def forward(self, x: Tensor) -> Tensor:
        raise LookupError("\x1b[31mno\ud800 such thing")


class Refuses:
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __repr__(self) -> str:
        raise ValueError("no words")


def make(width: int = 3) -> nn.Module:
    return Net(width)


def step(model: Net, batch: Tensor) -> Tensor:
    loss = model(batch).sum()
    loss.backward()
    return loss


def leaves() -> nn.Module:
    raise SystemExit(3)


model = nn.Sequential(nn.Linear(3, 2), nn.ReplicationPad1d(1))
MODELS = {"small": Net(2), "ways": [Net(1), make]}
NUMBER = 3
NOTHING = None
refuses = Refuses()
