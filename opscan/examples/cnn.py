"""The CNN that would not repeat: three versions of one CIFAR-10 classifier (3x32x32 images).

v2 pads by replication, whose gradient has no deterministic kernel of its own on CUDA; v3 does not pad and v4 pads with
zeros, and both repeat. Try `opscan check opscan.examples.cnn:CNN_v2`.
"""

from __future__ import annotations

import torch
from torch import nn


class CNN_v2(nn.Module):
    """Six 3x3 convolutions with replicate padding."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, kernel_size=3, padding=(1, 1), padding_mode="replicate")
        self.conv2 = nn.Conv2d(32, 32, kernel_size=3, padding=(1, 1), padding_mode="replicate")
        self.conv3 = nn.Conv2d(32, 64, kernel_size=3, padding=(1, 1), padding_mode="replicate")
        self.conv4 = nn.Conv2d(64, 64, kernel_size=3, padding=(1, 1), padding_mode="replicate")
        self.conv5 = nn.Conv2d(64, 128, kernel_size=3, padding=(1, 1), padding_mode="replicate")
        self.conv6 = nn.Conv2d(128, 128, kernel_size=3, padding=(1, 1), padding_mode="replicate")
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=2, stride=2)
        self.classifier1 = nn.Linear(4 * 4 * 128, 128)
        self.classifier2 = nn.Linear(128, num_classes)
        self.features = nn.Sequential(
            self.conv1, self.relu, self.conv2, self.relu, self.maxpool,
            self.conv3, self.relu, self.conv4, self.relu, self.maxpool,
            self.conv5, self.relu, self.conv6, self.relu, self.maxpool,
        )  # fmt: skip
        self.classifier = nn.Sequential(self.classifier1, self.relu, self.classifier2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images (N, 3, 32, 32) to logits (N, num_classes)."""
        x = torch.flatten(self.features(x), 1)
        logits: torch.Tensor = self.classifier(x)
        return logits


class CNN_v3(nn.Module):
    """The same without padding; the images shrink faster, so the last pooling is dropped."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 32, kernel_size=3)
        self.conv2 = nn.Conv2d(32, 32, kernel_size=3)
        self.conv3 = nn.Conv2d(32, 64, kernel_size=3)
        self.conv4 = nn.Conv2d(64, 64, kernel_size=3)
        self.conv5 = nn.Conv2d(64, 128, kernel_size=3)
        self.conv6 = nn.Conv2d(128, 128, kernel_size=3)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=2, stride=2)
        self.classifier1 = nn.Linear(128, 128)
        self.classifier2 = nn.Linear(128, num_classes)
        self.features = nn.Sequential(
            self.conv1, self.relu, self.conv2, self.relu, self.maxpool,
            self.conv3, self.relu, self.conv4, self.relu, self.maxpool,
            self.conv5, self.relu, self.conv6, self.relu,
        )  # fmt: skip
        self.classifier = nn.Sequential(self.classifier1, self.relu, self.classifier2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images (N, 3, 32, 32) to logits (N, num_classes)."""
        x = torch.flatten(self.features(x), 1)
        logits: torch.Tensor = self.classifier(x)
        return logits


class CNN_v4(CNN_v2):
    """The same as v2 with zero padding."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                module.padding_mode = "zeros"
