"""embedding, whose backward adds rows, and embedding_bag with mode="max", whose backward adds to those that won."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from opscan.replacements.cells import rows_at, runs_on, sum_at
from opscan.replacements.gathering import scatter_add


class _Embedding(torch.autograd.Function):
    @staticmethod
    def forward(weight: Tensor, input: Tensor, padding_idx: int, scale_grad_by_freq: bool) -> Tensor:
        return torch.embedding(weight, input, padding_idx, scale_grad_by_freq)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, int, bool], output: Tensor) -> None:
        weight, input, ctx.padding_idx, ctx.scaled = inputs
        ctx.shape = weight.shape
        ctx.save_for_backward(input)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        (input,) = ctx.saved_tensors
        named = input.reshape(-1).long()
        grad = grads[0].reshape(named.numel(), ctx.shape[1])
        if ctx.padding_idx >= 0:
            grad = grad.masked_fill((named == ctx.padding_idx)[:, None], 0)
        if ctx.scaled:
            counts = sum_at(named.new_zeros(ctx.shape[0]), named, torch.ones_like(named))
            grad = grad / rows_at(counts, named)[:, None].to(grad.dtype)
        return sum_at(grad.new_zeros(ctx.shape), named, grad), None, None, None


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """`torch.nn.functional.embedding`: the gradients of a row are added in the order of the positions.

    With `sparse` it is torch's own, which adds nothing. Errors are torch's own.
    """
    if sparse or runs_on(weight) == "cpu":
        return F.embedding(input, weight, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse)
    if max_norm is not None:  # rows that are too long are shortened in place, as the original does
        with torch.no_grad():
            F.embedding(input, weight, padding_idx, max_norm, norm_type)
    padding = -1 if padding_idx is None else padding_idx
    if not -len(weight) <= padding < len(weight):
        raise AssertionError("Padding_idx must be within num_embeddings")
    if padding_idx is not None and padding < 0:
        padding += len(weight)
    embedded: Tensor = _Embedding.apply(weight, input, padding, scale_grad_by_freq)  # type: ignore[no-untyped-call]
    return embedded


class Embedding(nn.Embedding):
    """`torch.nn.Embedding` by `embedding`."""

    def forward(self, input: Tensor) -> Tensor:
        """As the original's."""
        return embedding(
            input, self.weight, self.padding_idx, self.max_norm, self.norm_type, self.scale_grad_by_freq, self.sparse
        )


class _LargestOfBags(torch.autograd.Function):
    @staticmethod
    def forward(weight: Tensor, input: Tensor, offsets: Tensor, last: bool, padding: int | None) -> Any:
        largest, _, sizes, winners = torch.embedding_bag(weight, input, offsets, False, 2, False, None, last, padding)
        return largest, winners, sizes

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: tuple[Tensor, ...]) -> None:
        ctx.shape = inputs[0].shape
        ctx.mark_non_differentiable(*output[1:])
        ctx.save_for_backward(*output[1:])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        winners, sizes = ctx.saved_tensors
        won = (winners >= 0) & (sizes > 0)[:, None]  # an empty bag has no winner
        cells = torch.where(won, winners, 0).long()
        grad = torch.where(won, grads[0], 0)
        return scatter_add(grad.new_zeros(ctx.shape), 0, cells, grad), None, None, None, None


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """`torch.nn.functional.embedding_bag`: with mode="max" the bags that a row wins are added in their order.

    The other modes are torch's own, which keep one order. Errors are torch's own.
    """
    settings = (max_norm, norm_type, scale_grad_by_freq, mode, sparse, per_sample_weights, include_last_offset)
    if mode != "max" or _refused(input, weight, offsets, settings):
        return F.embedding_bag(input, weight, offsets, *settings, padding_idx)
    if max_norm is not None:
        with torch.no_grad():
            F.embedding_bag(input, weight, offsets, *settings, padding_idx)
    bags = input.reshape(-1)
    if offsets is None:
        offsets = torch.arange(0, input.numel(), input.shape[1], dtype=input.dtype, device=input.device)
    if padding_idx is not None and padding_idx < 0:
        padding_idx += len(weight)
    largest: Tensor = _LargestOfBags.apply(weight, bags, offsets, include_last_offset, padding_idx)[0]  # type: ignore[no-untyped-call]
    return largest


def _refused(input: Tensor, weight: Tensor, offsets: Tensor | None, settings: tuple[Any, ...]) -> bool:
    """Whether torch raises for these arguments with mode="max", or takes them as nested: that is left to torch."""
    _, _, scale_grad_by_freq, _, sparse, per_sample_weights, _ = settings
    fits = input.dim() == 2 and not input.is_nested and offsets is None
    fits = fits or (input.dim() == 1 and offsets is not None and offsets.dim() == 1)
    return not fits or weight.dim() != 2 or scale_grad_by_freq or sparse or per_sample_weights is not None


class EmbeddingBag(nn.EmbeddingBag):
    """`torch.nn.EmbeddingBag` by `embedding_bag`."""

    def forward(self, input: Tensor, offsets: Tensor | None = None, per_sample_weights: Tensor | None = None) -> Tensor:
        """As the original's."""
        return embedding_bag(
            input,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            self.sparse,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )
