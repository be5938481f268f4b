"""multinomial with replacement: its samples are looked up in a running sum, which one row alone does not repeat."""

from __future__ import annotations

import torch
from torch import Tensor

from opscan.replacements.cells import runs_on


def multinomial(
    input: Tensor, num_samples: int, replacement: bool = False, *, generator: torch.Generator | None = None
) -> Tensor:
    """`torch.multinomial`: on CUDA a single row is drawn from beside its own copy, whose samples are dropped.

    Rows are summed in a fixed order where there are several (OPS906). Errors are torch's own.
    """
    alone = input.dim() == 1 or (input.dim() == 2 and input.shape[0] == 1)
    if runs_on(input) == "cpu" or not (replacement and alone and input.numel()):
        return torch.multinomial(input, num_samples, replacement, generator=generator)
    rows = input.reshape(1, -1).expand(2, -1)
    drawn = torch.multinomial(rows, num_samples, replacement, generator=generator)
    return drawn[0] if input.dim() == 1 else drawn[:1]
