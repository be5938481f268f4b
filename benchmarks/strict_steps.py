"""A training step with four ops that strict mode stops at on the CPU too: python strict_steps.py FIXED.

The first FIXED of them are written in another way, as after so many errors that were read and mended.
"""

from __future__ import annotations

import sys

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Pieces(nn.Module):
    """max_unpool1d, 2d and 3d, and put_, which have no deterministic implementation on the CPU."""

    def __init__(self, fixed: int = 0) -> None:
        super().__init__()
        self.fixed = fixed
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        total = x.sum() * self.scale
        for number, dimensions in enumerate((1, 2, 3)):
            part = (x * self.scale)[(slice(None), slice(None), *(0,) * (3 - dimensions))]
            pool, unpool = (getattr(F, f"max_{way}pool{dimensions}d") for way in ("", "un"))
            if number < self.fixed:
                total = total + F.interpolate(pool(part, 2), scale_factor=2, mode="nearest").sum()
            else:
                total = total + unpool(*pool(part, 2, return_indices=True), 2).sum()
        places = torch.arange(4)
        kept = torch.zeros(16).index_copy(0, places, x.flatten()[:4]) if self.fixed > 3 else None
        return total + (kept if kept is not None else torch.zeros(16).put_(places, x.flatten()[:4])).sum()

    def opscan_inputs(self) -> tuple[Tensor, ...]:
        return (torch.rand(2, 3, 8, 8, 8),)


if __name__ == "__main__":
    torch.use_deterministic_algorithms(True)
    model = Pieces(int(sys.argv[1]))
    model(*model.opscan_inputs()).backward()
