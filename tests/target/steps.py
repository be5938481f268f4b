"""Training steps and the models beside them, as people write them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    def __init__(self, width=16):
        super().__init__()
        self.linear = nn.Linear(width, width)

    def forward(self, x):
        return F.relu(self.linear(x))


class Net(nn.Module):
    def __init__(self, num_classes=7):
        super().__init__()
        self.block = Block()
        self.head = nn.Linear(16, num_classes)

    def forward(self, x):
        return self.head(self.block(x))


def train_step(model, batch):
    x, y = batch
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    return loss


def with_optimizer(model, optimizer: torch.optim.SGD, batch):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(batch["inputs"]), batch["labels"])
    loss.backward()
    optimizer.step()


def regression(model, batch):
    inputs, targets = batch
    return F.mse_loss(model(inputs), targets)


def epoch(net, loader, optimizer, criterion, device):
    net.train()
    for images, labels in loader:
        images, labels = images.to(device), labels.to(device)
        optimizer.zero_grad()
        criterion(net(images), labels).backward()
        optimizer.step()


def of_tensors(model, x, y):
    return F.cross_entropy(model(x), y)


def unclear(model, flux):
    raise RuntimeError("nothing will do")


class StepOnly(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Linear(20, 4)
        self.decoder = nn.Linear(4, 20)

    def training_step(self, batch, batch_idx):
        x, _ = batch
        return F.mse_loss(self.decoder(self.encoder(x)), x)

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters())


class Both(Net):
    def training_step(self, batch):
        return F.cross_entropy(self(batch["image"]), batch["label"])


class LightningModule(nn.Module):
    """What a LightningModule is recognised by, with nothing that works without a trainer."""

    def training_step(self, batch):
        raise AssertionError("the base class's own")

    def log(self, *args):
        raise AssertionError("there is no trainer")

    @property
    def trainer(self):
        return self._trainer


LightningModule.__module__ = "lightning.pytorch"


class Automatic(LightningModule):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(6, 3)
        self.seen = []

    def forward(self, x):
        return self.linear(x)

    def on_train_epoch_start(self):
        self.seen.append("epoch")

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = F.cross_entropy(self(x), y)
        self.log("loss", loss)
        assert self.seen == ["epoch"]
        return {"loss": loss}

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters())
        total = self.trainer.estimated_stepping_batches
        return {"optimizer": optimizer, "lr_scheduler": torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total)}


class Manual(Automatic):
    automatic_optimization = False

    def training_step(self, batch, batch_idx):
        first, second = self.optimizers()
        for optimizer in (first, second):
            optimizer.zero_grad()
            self.manual_backward(F.cross_entropy(self(batch[0]), batch[1]))
            self.clip_gradients(optimizer, 0.5, "norm")
            optimizer.step()
        self.trainer.logger.experiment.add_scalar("done", 1)

    def configure_optimizers(self):
        return [torch.optim.SGD([each], lr=0.1) for each in self.parameters()], []


class AsksTooMuch(Automatic):
    def training_step(self, batch, batch_idx):
        return self(batch).sum() * self.trainer.unheard_of


class OfTokens(LightningModule):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(30, 8)
        self.head = nn.Linear(8, 30)

    def forward(self, tokens):
        return self.head(self.embedding(tokens))

    def training_step(self, batch):
        tokens, targets = batch
        return F.cross_entropy(self(tokens).transpose(1, 2), targets)
