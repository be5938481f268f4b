"""A 784-64-64-10 MLP as a LightningModule, as for MNIST. It needs lightning.

Try `opscan check opscan.examples.lightning_mlp:LitMLP`: its training_step and its optimizer's step are traced.
"""

from __future__ import annotations

import lightning
import torch
import torch.nn.functional as F
from torch import nn


class LitMLP(lightning.LightningModule):
    """Two hidden layers of 64, Adam with a learning rate of 1e-4."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images (N, 784) to logits (N, 10)."""
        logits: torch.Tensor = self.layers(x)
        return logits

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], batch_idx: int) -> torch.Tensor:
        """The cross entropy of one batch of images and classes."""
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log("train_loss", loss)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam, as in the experiments on where to seed."""
        return torch.optim.Adam(self.parameters(), lr=1e-4)
