from __future__ import annotations

import math
from typing import Any

import torch
from hypothesis import strategies as st

from tests.replacements.samples import Sample, leaf

_LEADS = [(2, 3), (1, 1), (3,), (), (2, 1, 2), (0, 2)]


def _mask(draw: Any, dtype: torch.dtype, *sizes: int) -> torch.Tensor | None:
    kind = draw(st.sampled_from(["none", "bool", "float", "learned", "closed"]))
    if kind == "none":
        return None
    kept = sizes[draw(st.integers(0, max(len(sizes) - 2, 0))) :]
    shape = [size if draw(st.booleans()) else 1 for size in kept]
    if kind == "bool":
        return torch.rand(shape) < 0.6
    mask = torch.randn(shape).to(dtype)
    if kind == "closed":
        return mask.masked_fill(torch.rand(shape) < 0.5, -math.inf)
    return leaf(mask) if kind == "learned" else mask


def _drawn(draw: Any, dtype: torch.dtype) -> Sample:
    lead, grouped = draw(st.sampled_from(_LEADS)), draw(st.booleans())
    length, keys = draw(st.sampled_from([1, 5, 70, 0])), draw(st.sampled_from([1, 4, 80]))
    size, value_size = draw(st.sampled_from([8, 16, 3])), draw(st.sampled_from([8, 16, 3]))
    few, kwargs = lead, {}
    if grouped and len(lead) > 1:
        few, lead, kwargs = (*lead[:-1], 2), (*lead[:-1], 4), {"enable_gqa": True}
    query = torch.randn(*lead, length, size).to(dtype)
    key, value = torch.randn(*few, keys, size).to(dtype), torch.randn(*few, keys, value_size).to(dtype)
    if draw(st.booleans()):
        query = query.transpose(-2, -1).contiguous().transpose(-2, -1)
    if draw(st.booleans()):
        value = value[..., :1].expand(value.shape)
    if draw(st.booleans()):
        kwargs["scale"] = draw(st.sampled_from([0.3, 1.0]))
    if draw(st.booleans()):
        kwargs["is_causal"] = True
    else:
        kwargs["attn_mask"] = _mask(draw, dtype, *lead, length, keys)
    wanted = [leaf(each) if draw(st.integers(0, 3)) else each for each in (query, key, value)]
    return Sample(tuple(wanted), kwargs)


def _extreme(**kwargs: Any) -> Any:
    keys, value = kwargs.pop("keys", 3), kwargs.pop("value", 1.0)

    def sample(dtype: torch.dtype) -> Sample:
        masks = {name: each.to(dtype) if each.is_floating_point() else each for name, each in kwargs.items()}
        query = torch.full((1, 2, 4, 8), value, dtype=dtype)
        return Sample((leaf(query), *(leaf(torch.randn(1, 2, keys, 8).to(dtype)) for _ in range(2))), masks)

    return sample


_EXTREME = (
    _extreme(attn_mask=torch.tensor([[True] * 3, [False] * 3, [True, False, True], [False] * 3])),
    _extreme(attn_mask=torch.zeros(4, 3).index_fill(0, torch.tensor([1]), -math.inf)),
    _extreme(attn_mask=torch.zeros(1, 3, dtype=torch.bool)),
    _extreme(value=0.0),
    _extreme(value=math.nan),
    lambda dtype: Sample((leaf(torch.ones(1, 2, 3, 4, dtype=dtype)), torch.ones(1, 2, 3, 5, dtype=dtype)) * 2),
    lambda dtype: Sample(
        (torch.ones(1, 1, 2, 4, dtype=dtype),) * 3,
        {"is_causal": True, "attn_mask": torch.ones(2, 2, dtype=torch.bool)},
    ),
)


def _smooth() -> Sample:
    query, key, value = (leaf(torch.randn(2, size, 3, dtype=torch.float64)) for size in (4, 5, 5))
    return Sample((query, key, value, leaf(torch.randn(4, 5, dtype=torch.float64))))


def _typical(dtype: torch.dtype, device: torch.device) -> Sample:
    return Sample(tuple(leaf(torch.randn(2, 8, 512, 64, dtype=dtype, device=device)) for _ in range(3)))


def _scaled(n: int) -> Sample:
    """As many heads as there is room for: the work of attention is quadratic in the length."""
    return Sample(tuple(leaf(torch.randn(1, n, 16, 8)) for _ in range(3)))


def _module(draw: Any, dtype: torch.dtype) -> Sample:
    batched, first = draw(st.booleans()), draw(st.booleans())
    batch, length, keys = draw(st.integers(1, 3)), draw(st.integers(1, 9)), draw(st.integers(1, 9))
    init = {"batch_first": first, "bias": draw(st.booleans()), "add_bias_kv": draw(st.booleans())}
    kwargs: dict[str, Any] = {"need_weights": draw(st.integers(0, 3)) == 0}

    def tokens(count: int) -> torch.Tensor:
        shape = (count, 8) if not batched else (batch, count, 8) if first else (count, batch, 8)
        return leaf(torch.randn(shape).to(dtype))

    key = tokens(keys)
    if draw(st.booleans()):
        closed = torch.rand((batch, keys) if batched else (keys,)) < 0.4
        kwargs["key_padding_mask"] = closed.index_fill(-1, torch.tensor([0]), False)
    if draw(st.booleans()):
        kwargs["attn_mask"] = torch.randn(length, keys).to(dtype)
    return Sample((tokens(length), key, key), kwargs, ((8, 2), init))


def _module_of(*shape: int, heads: int = 2) -> Any:
    def sample(dtype: torch.dtype = torch.float32, device: torch.device | None = None) -> Sample:
        x = leaf(torch.randn(*shape, dtype=dtype, device=device))
        return Sample((x, x, x), {"need_weights": False}, ((shape[-1], heads), {"batch_first": True}))

    return sample


def _function(*shape: int, **options: Any) -> Sample:
    """Self-attention of x (L, N, E) by weights that want gradients."""
    width = shape[-1]
    x = leaf(torch.randn(*shape, **options))
    into, out = (leaf(torch.randn(rows, width, **options) / width**0.5) for rows in (3 * width, width))
    biases = torch.zeros(3 * width, **options), torch.zeros(width, **options)
    args = x, x, x, width, 2, into, biases[0], None, None, False, 0.0, out, biases[1]
    return Sample(args, {"need_weights": False})


def _function_drawn(draw: Any, dtype: torch.dtype) -> Sample:
    return _function(draw(st.integers(1, 9)), draw(st.integers(1, 3)), 8, dtype=dtype)


DRAWN = {
    "scaled_dot_product_attention": _drawn,
    "MultiheadAttention": _module,
    "multi_head_attention_forward": _function_drawn,
}
EXTREME = {"scaled_dot_product_attention": _EXTREME}
SMOOTH = {
    "scaled_dot_product_attention": _smooth,
    "MultiheadAttention": lambda: _module_of(2, 3, 4)(torch.float64),
    "multi_head_attention_forward": lambda: _function(2, 1, 2, dtype=torch.float64),
}
TYPICAL = {
    "scaled_dot_product_attention": _typical,
    "MultiheadAttention": _module_of(2, 512, 512, heads=8),
    "multi_head_attention_forward": lambda dtype, device: _function(512, 2, 512, dtype=dtype, device=device),
}
SCALED = {
    "scaled_dot_product_attention": _scaled,
    "MultiheadAttention": lambda n: _module_of(n, 16, 8)(),
    "multi_head_attention_forward": lambda n: _function(16, n, 8),
}
