"""Where to seed, with Lightning: three trainings of one MLP. It needs lightning.

Try `opscan verify opscan.examples.seeding_lightning:unseeded`, `:seeded_late` and `:seeded_first`: the first two part
at their initial weights, the third is identical to the last bit.
"""

from __future__ import annotations

import logging
import warnings

import lightning
import torch
from torch.utils.data import DataLoader, TensorDataset

from opscan.examples.lightning_mlp import LitMLP


def _data() -> TensorDataset:
    """Made-up images and classes, of the sizes of MNIST's, the same in every run."""
    generator = torch.Generator().manual_seed(7)
    images = torch.rand(512, 784, generator=generator)
    return TensorDataset(images, torch.randint(0, 10, (512,), generator=generator))


def _fit(model: LitMLP) -> None:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="lightning")
    trainer = lightning.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(model, DataLoader(_data(), batch_size=64, shuffle=True))


def unseeded() -> None:
    """No seed: other weights and another order in every run."""
    _fit(LitMLP())


def seeded_late() -> None:
    """Seeded before the Trainer, which is too late for the weights."""
    model = LitMLP()
    lightning.seed_everything(1, verbose=False)
    _fit(model)


def seeded_first() -> None:
    """Seeded before the model is built."""
    lightning.seed_everything(1, verbose=False)
    _fit(LitMLP())
