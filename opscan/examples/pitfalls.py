"""Pitfalls of random numbers and memory that look harmless.

Try `opscan check opscan.examples.pitfalls:AlwaysDropping --mode eval --show random`: what still draws random numbers
after model.eval(). `Linear` forgets to fill its weight.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class AlwaysDropping(nn.Module):
    """F.dropout without `training=self.training`, which is on in eval mode as well."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(16, 32)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(32, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 16) to (N, 4); `self.drop` is off in eval mode, the function is not."""
        logits: torch.Tensor = self.head(F.dropout(self.drop(self.hidden(x))))
        return logits


class MonteCarlo(nn.Module):
    """Dropout that is on in eval mode on purpose."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(16, 32)
        self.head = nn.Linear(32, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 16) to (N, 4)."""
        logits: torch.Tensor = self.head(F.dropout(self.hidden(x), training=True))
        return logits


class RandomRate(nn.Module):
    """A dropout rate that is drawn in forward."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(16, 32)
        self.head = nn.Linear(32, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 16) to (N, 4)."""
        rate = 0.5 * torch.rand(1).item()
        logits: torch.Tensor = self.head(F.dropout(self.hidden(x), p=rate, training=self.training))
        return logits


class Linear(nn.Module):
    """A linear layer by hand, whose weight is whatever the memory held: nothing calls `reset_parameters`."""

    def __init__(self, in_features: int = 16, out_features: int = 4) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.Tensor(out_features, in_features))

    def reset_parameters(self) -> None:
        """Fill the weight."""
        nn.init.xavier_uniform_(self.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, in_features) to (N, out_features)."""
        return F.linear(x, self.weight)
