"""Attention whose gradients are matrix products, a block of queries at a time: nothing is added by timing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from opscan.replacements.cells import runs_on

_SCORES = {"cpu": 2**20, "cuda": 2**24}
"""About how many scores of a block of queries are held at once. A block has 64 queries or more, as many as a head has
numbers: then a block of scores is about as large as the keys, and memory stays linear in the length."""


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """`F.scaled_dot_product_attention`: query (..., L, E), key (..., S, E), value (..., S, Ev), result (..., L, Ev).

    The forward is the original's. With dropout_p > 0 it is explicit: softmax, then `F.dropout` of the weights of one
    block of queries after another, drawn from torch's generator of the device. Errors are the original's; nested
    tensors raise NotImplementedError. Source: the forward kernels add nothing in the order of arrival (OPS701).
    """
    if query.is_nested:
        raise NotImplementedError("scaled_dot_product_attention of opscan.replacements takes no nested tensors")
    query, key, value, attn_mask = _cast(runs_on(query), query, key, value, attn_mask)
    if dropout_p > 0.0:
        return _dropped_out(query, key, value, attn_mask, dropout_p, _Shape(is_causal, scale, enable_gqa))
    result: Tensor = _Attention.apply(query, key, value, attn_mask, is_causal, scale, enable_gqa)  # type: ignore[no-untyped-call]
    return result


def _cast(device: str, *tensors: Tensor | None) -> list[Any]:
    """What autocast does to the arguments: the gradient has to be that of the rounded ones."""
    if not torch.is_autocast_enabled(device):
        return list(tensors)
    dtype = torch.get_autocast_dtype(device)

    def eligible(tensor: Tensor) -> bool:
        return tensor.is_floating_point() and tensor.dtype != torch.float64

    return [each.to(dtype) if each is not None and eligible(each) else each for each in tensors]


def _without_autocast(device: str) -> AbstractContextManager[Any]:
    """Products in float32 stay so, also where autocast is on around backward."""
    return torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else nullcontext()


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        mask: Tensor | None,
        causal: bool,
        scale: float | None,
        grouped: bool,
    ) -> Tensor:
        return F.scaled_dot_product_attention(query, key, value, mask, 0.0, causal, scale=scale, enable_gqa=grouped)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:4])
        ctx.shape = _Shape(*inputs[4:])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        with _without_autocast(runs_on(grad)):
            query, key, value, mask = ctx.saved_tensors
            return *_gradients(query, key, value, mask, grad, ctx.shape, ctx.needs_input_grad), None, None, None


@dataclass(frozen=True)
class _Shape:
    """How scores are formed: the options of the call."""

    causal: bool
    scale: float | None
    grouped: bool

    def widened(self, query: Tensor, key: Tensor, value: Tensor, lead: torch.Size) -> tuple[Tensor, Tensor, Tensor]:
        """The three in float32 or wider, the queries scaled, all with the leading sizes of the result."""
        scale = 1 / math.sqrt(max(query.size(-1), 1)) if self.scale is None else self.scale
        if self.grouped:
            key, value = (each.repeat_interleave(query.size(-3) // each.size(-3), -3) for each in (key, value))
        query, key, value = (_wide(each).expand(*lead, -1, -1) for each in (query, key, value))
        return query * scale, key, value

    def unscaled(self, grad: Tensor) -> Tensor:
        """The gradient of the queries from that of the scaled ones."""
        return grad * (1 / math.sqrt(max(grad.size(-1), 1)) if self.scale is None else self.scale)

    def narrowed(self, grad: Tensor | None, like: Tensor) -> Tensor | None:
        """The gradient of a key or value from that of what it was spread to."""
        if grad is None:
            return None
        if self.grouped:
            grad = grad.unflatten(-3, (like.size(-3), -1)).sum(-3)
        return grad.sum_to_size(like.shape).to(like.dtype)


def _wide(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


@dataclass(frozen=True)
class _Block:
    """Queries `first` to `last` (excluded), the first `keys` keys, and the rows of the mask that concern them."""

    first: int
    last: int
    keys: int
    mask: Tensor | None
    causal: bool

    def weights(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor | None]:
        """Softmax of the scores, and which queries have any key (None: all). What the others get is arbitrary."""
        scores = query @ key.transpose(-2, -1)
        if self.causal:
            later = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).triu(self.first + 1)
            return scores.masked_fill(later, -math.inf).softmax(-1), None
        if self.mask is None:
            return scores.softmax(-1), None
        open_to = self.mask if self.mask.dtype == torch.bool else self.mask != -math.inf
        alive = open_to.any(-1, keepdim=True)
        if self.mask.dtype == torch.bool:
            return scores.masked_fill(~(self.mask | ~alive), -math.inf).softmax(-1), alive
        return (scores + self.mask.masked_fill(~alive, 0)).softmax(-1), alive


def _blocks(query: Tensor, key: Tensor, mask: Tensor | None, shape: _Shape) -> Iterator[_Block]:
    """All queries, a block at a time; keys that come after every query of a block are left out of it."""
    length, keys = query.size(-2), key.size(-2)
    each = max(query.shape[:-2].numel() * keys, 1)
    rows = max(64, _SCORES.get(runs_on(query), _SCORES["cuda"]) // each)
    if mask is not None:
        mask = torch.atleast_2d(mask)
    for first in range(0, length, rows):
        last = min(first + rows, length)
        some = mask if mask is None or mask.size(-2) == 1 else mask[..., first:last, :]
        yield _Block(first, last, min(last, keys) if shape.causal else keys, some, shape.causal)


def _gradients(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    grad: Tensor,
    shape: _Shape,
    wanted: tuple[bool, ...],
) -> tuple[Tensor | None, ...]:
    """The gradients of the first four, None for what is not wanted."""
    wide_query, wide_key, wide_value = shape.widened(query, key, value, grad.shape[:-2])
    grad = _wide(grad)
    of_query: list[Tensor] = [wide_query[..., :0, :]]
    of_mask: list[Tensor] = []
    of_key = torch.zeros_like(wide_key) if wanted[1] else None
    of_value = torch.zeros_like(wide_value) if wanted[2] else None
    for block in _blocks(wide_query, wide_key, mask, shape):
        rows, keys = wide_query[..., block.first : block.last, :], wide_key[..., : block.keys, :]
        upstream = grad[..., block.first : block.last, :]
        weights, alive = block.weights(rows, keys)
        if alive is not None:
            upstream = upstream.masked_fill(~alive, 0)
        missing = (0, 0, 0, wide_key.size(-2) - block.keys)
        if of_value is not None:
            of_value = of_value + F.pad(weights.transpose(-2, -1) @ upstream, missing)
        if not (wanted[0] or wanted[1] or wanted[3]):
            continue
        of_weights = upstream @ wide_value[..., : block.keys, :].transpose(-2, -1)
        of_scores = torch._softmax_backward_data(of_weights, weights, -1, weights.dtype)
        if wanted[0]:
            of_query.append(of_scores @ keys)
        if of_key is not None:
            of_key = of_key + F.pad(of_scores.transpose(-2, -1) @ rows, missing)
        if wanted[3] and block.mask is not None:
            of_mask.append(of_scores.sum_to_size(block.mask.shape))
    found = shape.unscaled(torch.cat(of_query, -2)).sum_to_size(query.shape).to(query.dtype) if wanted[0] else None
    keys_values = shape.narrowed(of_key, key), shape.narrowed(of_value, value)
    return found, *keys_values, _joined(of_mask, mask) if wanted[3] else None


def _joined(blocks: list[Tensor], mask: Tensor | None) -> Tensor | None:
    """The gradient of the mask: rows of its own for each block, or one row that all of them share."""
    if mask is None:
        return None
    if not blocks:
        return torch.zeros_like(mask)
    shared = mask.dim() < 2 or mask.size(-2) == 1
    return (sum(blocks[1:], blocks[0]) if shared else torch.cat(blocks, -2)).reshape(mask.shape).to(mask.dtype)


def _dropped_out(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, dropout_p: float, shape: _Shape
) -> Tensor:
    """Attention with dropout: the mask of a block is drawn, used, and drawn again from the same state in backward."""
    if shape.causal and mask is not None:
        raise RuntimeError("scaled_dot_product_attention: Explicit attn_mask should not be set when is_causal=True")
    others = () if shape.grouped else (key.shape[:-2], value.shape[:-2])
    lead = torch.broadcast_shapes(query.shape[:-2], *others, () if mask is None else mask.shape[:-2])
    wide_query, wide_key, wide_value = shape.widened(query, key, value, lead)

    def attend(block: _Block, rows: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        with _without_autocast(runs_on(rows)):
            weights, alive = block.weights(rows, keys)
            result = F.dropout(weights, dropout_p) @ values
        return result if alive is None else result.masked_fill(~alive, 0)

    found = [
        checkpoint(
            attend,
            block,
            wide_query[..., block.first : block.last, :],
            wide_key[..., : block.keys, :],
            wide_value[..., : block.keys, :],
            use_reentrant=False,
        )
        for block in _blocks(wide_query, wide_key, mask, shape)
    ]
    empty = wide_value.new_zeros(*lead, 0, value.size(-1))
    return torch.cat([empty, *found], -2).to(query.dtype)
