"""CTC loss, whose gradient of repeated labels is added in the order of the target."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import _reduction

from opscan.replacements.cells import runs_on
from opscan.replacements.ctc_lattice import Lattice, occupied, paths


def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Tensor,
    target_lengths: Tensor,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """`F.ctc_loss`: log_probs (T, N, C) or (T, C), targets (N, S) or all in one row, a loss per sample or one.

    The forward is PyTorch's own kernel, also where the original takes cuDNN's; errors are the original's. The gradient
    follows the original's convention: it is that of what log_softmax was applied to. Differentiable twice.
    """
    how = _reduction.get_enum(reduction)
    batched = log_probs.dim() == 3
    if log_probs.dtype in (torch.float16, torch.bfloat16) and torch.is_autocast_enabled(runs_on(log_probs)):
        log_probs = log_probs.float()
    scores = log_probs if batched else log_probs.unsqueeze(1)
    lengths = _listed(input_lengths, "input"), _listed(target_lengths, "target")
    labels = targets.to(log_probs.device, torch.int64)
    losses: Tensor
    losses, _ = _CTCLoss.apply(scores, labels, *lengths, blank, zero_infinity)  # type: ignore[no-untyped-call]
    if zero_infinity:
        losses = losses.masked_fill(losses == math.inf, 0)
    if how == 1:
        return (losses / torch.tensor(lengths[1], device=losses.device).clamp_min(1).to(losses.dtype)).mean()
    return losses.sum() if how == 2 else losses if batched else losses.squeeze(0)


class CTCLoss(nn.CTCLoss):
    """`nn.CTCLoss`; see `ctc_loss`."""

    def forward(self, log_probs: Tensor, targets: Tensor, input_lengths: Tensor, target_lengths: Tensor) -> Tensor:
        return ctc_loss(
            log_probs, targets, input_lengths, target_lengths, self.blank, self.reduction, self.zero_infinity
        )


def _listed(lengths: Tensor | Iterable[int], what: str) -> list[int]:
    """Lengths as numbers, as the original reads them too: the size of its memory hangs on them."""
    if not isinstance(lengths, Tensor):
        return list(lengths)
    if lengths.is_floating_point():
        raise RuntimeError(f"{what}_lengths must be integral")
    found: list[int] = lengths.reshape(-1).tolist()
    return found


class _CTCLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        log_probs: Tensor,
        targets: Tensor,
        inputs: list[int],
        lengths: list[int],
        blank: int,
        zero_infinity: bool,
    ) -> tuple[Tensor, Tensor]:
        return torch._ctc_loss(log_probs, targets, inputs, lengths, blank, zero_infinity)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        ctx.save_for_backward(*inputs[:2], *output)
        ctx.mark_non_differentiable(output[1])
        ctx.options = inputs[2:]

    @staticmethod
    def backward(ctx: Any, grad: Tensor, _: Tensor) -> tuple[Any, ...]:
        log_probs, targets, losses, alphas = ctx.saved_tensors
        inputs, lengths, blank, zero_infinity = ctx.options
        if runs_on(grad) == "cpu" and not torch.is_grad_enabled():  # one thread per sample: it repeats
            kernel = torch.ops.aten._ctc_loss_backward
            found = kernel(grad, log_probs, targets, inputs, lengths, losses, alphas, blank, zero_infinity)
            return found, None, None, None, None, None
        lattice = Lattice.of(targets, inputs, lengths, blank, alphas.size(2))
        if torch.is_grad_enabled():  # to be differentiated again: then also by the sums over paths
            alphas = paths(log_probs, lattice)
        found = (log_probs.exp() - occupied(log_probs, lattice, alphas)) * grad[:, None]
        losses = losses.detach()[:, None]
        found = found.masked_fill(~losses.isfinite(), math.nan)  # as exp(... + losses - ...) of the original does
        if zero_infinity:
            found = found.masked_fill(losses == math.inf, 0)
        time = torch.arange(log_probs.size(0), device=found.device)[:, None]
        beyond = time >= torch.tensor(inputs, device=found.device)
        return found.masked_fill(beyond[..., None], 0), None, None, None, None, None
