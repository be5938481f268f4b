"""Random models: a chain of pieces, with branches, each of which is known to run on what the one before returns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Any

import torch

from tests.fuzz.models.pieces import CALLS, HEADER, LAYERS, LOSSES, STARTS, Piece

_RANGE = re.compile(r"\{(\d)-(\d)\}")
_MOST = 600
"""Elements of a tensor: more makes random models slow and nothing clearer."""


@dataclass(frozen=True)
class Step:
    """One piece, placed: its number, what builds its module, its call, and the step whose module it shares."""

    number: int
    build: str
    call: str
    shares: int | None = None

    @property
    def owner(self) -> int:
        """The step that builds its module."""
        return self.number if self.shares is None else self.shares

    @property
    def is_plain(self) -> bool:
        """Whether it only calls its own module, as nn.Sequential would."""
        return bool(self.build) and self.call == "{m}({x})"


@dataclass(frozen=True)
class Branch:
    """Two chains on one tensor, put together again."""

    number: int
    one: tuple[Step, ...]
    other: tuple[Step, ...]
    joined: str


@dataclass(frozen=True)
class Program:
    """A model: the size of its input, below what its integers are (0: floats), its chain, and the loss it ends in."""

    shape: tuple[int, ...]
    below: int
    chain: tuple[Step | Branch, ...]
    has_loss: bool

    def inputs(self, batch: int | None = None) -> tuple[torch.Tensor, ...]:
        """An input, the same each time."""
        shape = (batch or self.shape[0], *self.shape[1:])
        if self.below:
            return (torch.arange(torch.Size(shape).numel()).view(shape) % self.below,)
        return (torch.randn(shape, generator=torch.Generator().manual_seed(0)),)

    @property
    def steps(self) -> list[Step]:
        """Every step, those of branches in their order."""
        return [
            step for item in self.chain for step in (item.one + item.other if isinstance(item, Branch) else (item,))
        ]


def drawn(random: Random, most: int = 6) -> Program:
    """A model that runs forward and backward on the CPU."""
    return _Drawing(random).program(most)


@cache
def _scope() -> dict[str, Any]:
    scope: dict[str, Any] = {}
    exec(HEADER, scope)
    return scope


class _Drawing:
    def __init__(self, random: Random) -> None:
        self.random = random
        self.count = 0
        self.built: dict[int, tuple[str, Any, tuple[int, ...]]] = {}

    def program(self, most: int) -> Program:
        shape, embedding = self.random.choice(STARTS)
        chain: list[Step | Branch] = []
        x = torch.zeros(shape, dtype=torch.int64) if embedding else torch.randn(shape)
        if embedding:
            placed = self._placed(Piece((), embedding), x, ())
            assert placed is not None, embedding
            step, x = placed
            chain.append(step)
        for _ in range(self.random.randrange(1, most + 1)):
            item, x = self._branch(x) if self.random.random() < 0.15 else self._step(x, chain)
            chain += [item] if item is not None else []
        has_loss = self.random.random() < 0.5
        loss = self._one(LOSSES, x) if has_loss else None
        chain += [loss[0]] if loss else []
        return Program(shape, 11 if embedding else 0, tuple(chain), loss is not None)

    def _step(self, x: torch.Tensor, chain: Sequence[Step | Branch]) -> tuple[Step | None, torch.Tensor]:
        again = [
            step for step in chain if isinstance(step, Step) and step.number in self.built and step.shares is None
            and self.built[step.number][2] == tuple(x.shape)
        ]  # fmt: skip
        if again and self.random.random() < 0.3:
            other = self.random.choice(again)
            self.count += 1
            y = self._run(other.call, self.built[other.number][1], x)
            return (None, x) if y is None else (Step(self.count, "", other.call, other.number), y)
        placed = self._one(LAYERS if self.random.random() < 0.55 else CALLS, x)
        return (None, x) if placed is None else placed

    def _branch(self, x: torch.Tensor) -> tuple[Branch | None, torch.Tensor]:
        self.count += 1
        number, sides, ends = self.count, [], []
        for _ in range(2):
            side, y = [], x
            for _ in range(self.random.randrange(1, 3)):
                placed = self._one(LAYERS if self.random.random() < 0.6 else CALLS, y)
                if placed is not None:
                    side.append(placed[0])
                    y = placed[1]
            sides.append(tuple(side))
            ends.append(y)
        if not all(sides) or ends[0].shape[0] != ends[1].shape[0]:
            return None, x
        if ends[0].shape == ends[1].shape:
            return Branch(number, *sides, "{a} + {b}"), ends[0] + ends[1]
        joined = "torch.cat([{a}.flatten(1), {b}.flatten(1)], 1)"
        return Branch(number, *sides, joined), torch.cat([y.flatten(1) for y in ends], 1)

    def _one(self, pieces: Sequence[Piece], x: torch.Tensor) -> tuple[Step, torch.Tensor] | None:
        """A piece that fits, out of a few that are tried."""
        fitting = [piece for piece in pieces if x.ndim in piece.dims]
        for piece in self.random.sample(fitting, min(6, len(fitting))):
            placed = self._placed(piece, x, tuple(x.shape))
            if placed is not None:
                return placed
        return None

    def _placed(self, piece: Piece, x: torch.Tensor, shape: tuple[int, ...]) -> tuple[Step, torch.Tensor] | None:
        build, call = (self._numbers(text) for text in (piece.build, piece.call))
        for name, size in (("C", shape[1:2]), ("L", shape[-1:]), (r"F(?!\.)", shape[1:2])):
            build = re.sub(rf"\b{name}\b", str(size[0]) if size else "", build) if size else build
        try:
            module = eval(build, _scope()) if build else None
        except (ValueError, RuntimeError, AssertionError, TypeError):
            return None
        y = self._run(call, module, x)
        if y is None:
            return None
        self.count += 1
        if build:
            self.built[self.count] = build, module, tuple(x.shape)
        return Step(self.count, build, call), y

    def _numbers(self, text: str) -> str:
        return _RANGE.sub(lambda found: str(self.random.randint(int(found[1]), int(found[2]))), text)

    def _run(self, call: str, module: Any, x: torch.Tensor) -> torch.Tensor | None:
        """What comes of it, if it has a gradient and is no giant."""
        held = x.detach().requires_grad_() if x.is_floating_point() else x
        try:
            y = eval(call.format(x="x", m="m"), {**_scope(), "x": held * 1, "m": module})
            if y.dtype is not torch.float32 or y.numel() > _MOST or y.numel() == 0 or y.grad_fn is None:
                return None
            y.backward(torch.ones_like(y))
        except (ValueError, RuntimeError, AssertionError, TypeError, IndexError):
            return None
        return torch.nan_to_num(y.detach()) * 1
