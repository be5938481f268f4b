"""Classes whose constructors ask for what only their documentation, their code or their errors tell.

>>> net = Width(sides=(3, 5))
>>> net(torch.randn(4, 15))
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

import torch
from torch import nn


class Doctest(nn.Module):
    """An example after prompts, with a call.

    >>> import torch
    >>> net = Doctest(sides=(3, 5))
    >>> x = torch.randn(1, 15)
    >>> net(x)
    tensor(...)
    """

    def __init__(self, sides):
        super().__init__()
        self.sides = sides
        self.norm = nn.BatchNorm1d(sides[0] * sides[1])

    def forward(self, x):
        return self.norm(x)


class Indented(nn.Module):
    """An example that is indented.

    Args:
        steps: how many.

    Example::

        # three of them
        net = Indented(
            steps=3,
        )
        out = net.forward(torch.zeros(2, 7), ids=torch.randint(0, 5, (2,)))
    """

    def __init__(self, steps):
        super().__init__()
        self.steps = steps
        self.fc = nn.Linear(7, 5)

    def forward(self, x, ids):
        return self.fc(x)[:, ids]


class Wrapping(nn.Module):
    """An example that makes a part first.

    ```python
    part = Indented(2).eval()
    net = Wrapping(part, scale=2 * 3)
    ```
    """

    def __init__(self, part, scale):
        super().__init__()
        self.part, self.scale = part, scale


class Outdated(nn.Module):
    """An example of another version.

    >>> Outdated(num_classes=3, depth=2, removed=True)
    """

    def __init__(self, num_classes):
        super().__init__()
        self.num_classes = num_classes


class Width(nn.Module):
    """Shown in its module's docstring."""

    def __init__(self, sides):
        super().__init__()
        self.sides = sides


class Divided(nn.Module):
    """A condition of two arguments, checked by an assert."""

    def __init__(self, dim, groups_of: int):
        super().__init__()
        assert groups_of > 4, "too few"
        assert dim % groups_of == 0, "dim does not fit"
        self.seen = (dim, groups_of)


class Raising(nn.Module):
    """A condition around a raise, of a length."""

    def __init__(self, channels, strides):
        super().__init__()
        if len(strides) != len(channels) - 1:
            raise ValueError("one stride less than channels")
        self.seen = (len(channels), len(strides))


class Several(nn.Module):
    """A tuple is wanted, and a message says how many."""

    def __init__(self, dims):
        super().__init__()
        if not isinstance(dims, tuple) or len(dims) != 3:
            raise ValueError("dims must be a tuple of 3")
        self.seen = len(dims)


class Chosen(nn.Module):
    """One of several words."""

    KINDS = {"small": 1, "large": 2}

    def __init__(self, variant: str):
        super().__init__()
        if variant not in self.KINDS:
            raise ValueError("no such variant")
        self.seen = self.KINDS[variant]


class Unpacked(nn.Module):
    """A number was assumed where several are unpacked."""

    def __init__(self, image_size):
        super().__init__()
        high, wide = image_size
        self.seen = (high, wide)


class Typed(nn.Module):
    """Closed types, and modules."""

    class Kind(Enum):
        ONE = 1

    def __init__(self, kind: Literal["a", "b"], part: nn.Bilinear, cell: type[nn.GRUCell]):
        super().__init__()
        self.seen = (kind, type(part), cell)


class Handed(nn.Module):
    """Known by what it is handed on as."""

    def __init__(self, flux):
        super().__init__()
        self.fc = nn.Linear(in_features=3, out_features=flux)
        self.seen = self.fc.out_features


class Read(nn.Module):
    """A configuration of no class that has what is read from it."""

    def __init__(self, config):
        super().__init__()
        self.fc = nn.Linear(config.hidden_size, config.num_classes)
        self.seen = (self.fc.in_features, self.fc.out_features)


@dataclass
class ShapeConfig:
    width: int
    depth: int = 3


class Configured(nn.Module):
    """A configuration class of the same module, that no annotation names."""

    def __init__(self, shape_config):
        super().__init__()
        self.seen = (shape_config.width, shape_config.depth)


class Swallowing(nn.Module):
    """What it needs goes through `**kwargs`."""

    def __init__(self, **kwargs):
        super().__init__()
        self.fc = Handed2(**kwargs)
        self.seen = self.fc.seen


class Handed2(nn.Module):
    """Needs two."""

    def __init__(self, hidden_size, num_classes):
        super().__init__()
        self.seen = (hidden_size, num_classes)


class Misfit(nn.Module):
    """Defaults that do not fit; the function below makes it."""

    def __init__(self, sizes=()):
        super().__init__()
        self.seen = sizes[0]


def misfit() -> Misfit:
    """A factory says what it returns."""
    return Misfit((8,))


class Pretrained(nn.Module):
    """A default that asks for weights."""

    def __init__(self, encoder_weights="imagenet"):
        super().__init__()
        assert encoder_weights is None, "would download"
        self.seen = encoder_weights


class Moved(nn.Module):
    """Moves itself, which needs no values."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(3, 3)
        self.to(torch.device("cpu"))
        self.seen = str(self.fc.weight.device)
