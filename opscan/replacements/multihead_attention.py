"""nn.MultiheadAttention over the attention of this package."""

from __future__ import annotations

from types import FunctionType, SimpleNamespace
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from opscan.replacements.attention import scaled_dot_product_attention


def _with_names(function: Any, **names: Any) -> Any:
    """The same code, where the globals of these names are others: nothing of torch is copied or patched."""
    rebound = FunctionType(
        function.__code__,
        {**function.__globals__, **names},
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    rebound.__kwdefaults__, rebound.__doc__ = function.__kwdefaults__, function.__doc__
    rebound.__globals__[function.__name__] = rebound  # it names itself to tensors that override functions
    return rebound


multi_head_attention_forward = _with_names(
    F.multi_head_attention_forward, scaled_dot_product_attention=scaled_dot_product_attention
)
_forward = _with_names(
    nn.MultiheadAttention.forward,
    F=SimpleNamespace(**{**vars(F), "multi_head_attention_forward": multi_head_attention_forward}),
)


class MultiheadAttention(nn.MultiheadAttention):
    """`nn.MultiheadAttention`; with need_weights=False it calls `scaled_dot_product_attention` of this package."""

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        result: tuple[Tensor, Tensor | None] = _forward(
            self, query, key, value, key_padding_mask, need_weights, attn_mask, average_attn_weights, is_causal
        )
        return result
