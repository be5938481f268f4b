"""What each drop-in is tried on. A file per family gives, by the name of the drop-in:

`DRAWN`    a function (draw, dtype) -> Sample, `draw` being that of a hypothesis strategy: shapes, layouts
           (permuted, expanded, channels_last), broadcasting, sizes of zero and one, ties, all options of the signature
`EXTREME`  a tuple of functions (dtype) -> Sample: empty tensors, infinities, NaN, the largest numbers, one cell
`SMOOTH`   a function () -> Sample, small and in float64, without ties or kinks: gradcheck and gradgradcheck hold there
`TYPICAL`  a function (dtype, device) -> Sample of a usual size, to measure cost on
`SCALED`   a function (n) -> Sample that grows linearly with n, to see that the cost does
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch


@dataclass(frozen=True)
class Sample:
    """One call. Tensors of `args` and `kwargs` that require a gradient get one; `init` is for a module's constructor.

    A call that draws random numbers starts from the same seed on both sides. `tuple` results are compared one by one.
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    init: tuple[tuple[Any, ...], Mapping[str, Any]] = ((), {})


Drawn = Callable[[Callable[..., Any], torch.dtype], Sample]


def gathered(table: str) -> dict[str, Any]:
    """The tables of that name from all files here, as one."""
    found: dict[str, Any] = {}
    for file in pkgutil.iter_modules(__path__):
        found |= getattr(importlib.import_module(f"{__name__}.{file.name}"), table, {})
    return found


def leaf(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor with its strides as a leaf that wants a gradient."""
    return tensor.detach().requires_grad_()
