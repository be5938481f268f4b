"""What the proof does not see of attention: dropout, memory, autocast, transforms, and the module as a module."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

import opscan
from opscan import replacements
from opscan.replacements.attention import scaled_dot_product_attention
from tests.replacements.samples import leaf


def _three(*shape: int, **options: Any) -> list[Tensor]:
    return [leaf(torch.randn(*shape, **options)) for _ in range(3)]


def _explicit(query: Tensor, key: Tensor, value: Tensor, dropped: Tensor) -> Tensor:
    weights = (query @ key.transpose(-2, -1) / query.size(-1) ** 0.5).softmax(-1)
    return (weights * dropped) @ value


def test_dropout_drops_weights_and_its_gradient_uses_the_same_mask() -> None:
    query, key, value = _three(2, 70, 70, dtype=torch.float64)
    torch.manual_seed(3)
    unit = torch.eye(70, dtype=torch.float64).expand(2, 70, 70)
    weights = scaled_dot_product_attention(query, key, unit, dropout_p=0.4).detach()
    plain = scaled_dot_product_attention(query, key, unit).detach()
    dropped = (weights / plain).round(decimals=6)
    assert set(dropped.unique().tolist()) == {0.0, round(1 / 0.6, 6)}
    assert abs((dropped == 0).double().mean().item() - 0.4) < 0.02
    torch.manual_seed(3)
    mine = scaled_dot_product_attention(query, key, value, dropout_p=0.4)
    theirs = _explicit(query, key, value, (dropped > 0) / 0.6)
    assert torch.allclose(mine, theirs)
    upstream = torch.randn_like(mine)
    wanted = (query, key, value)
    pairs = zip(torch.autograd.grad(mine, wanted, upstream), torch.autograd.grad(theirs, wanted, upstream), strict=True)
    assert all(torch.allclose(one, other) for one, other in pairs)


def test_dropout_repeats_with_the_seed_and_has_a_second_derivative() -> None:
    query, key, value = _three(2, 2, 70, 8)

    def grads() -> list[Tensor]:
        torch.manual_seed(5)
        result = scaled_dot_product_attention(query, key, value, dropout_p=0.5, is_causal=True)
        first = torch.autograd.grad(result.square().sum(), (query, key, value), create_graph=True)
        return [*first, *torch.autograd.grad(sum(each.square().sum() for each in first), (query, key, value))]

    once = grads()
    assert all(torch.equal(one, other) for one, other in zip(once, grads(), strict=True))
    assert all(each.abs().sum() > 0 for each in once)


def test_dropout_of_a_query_without_keys_gives_zeros() -> None:
    query, key, value = _three(1, 2, 4)
    mask = torch.tensor([[True, True], [False, False]])
    result = scaled_dot_product_attention(query, key, value, mask, dropout_p=0.5)
    assert torch.equal(result[0, 1], torch.zeros(4))
    assert all(each.isfinite().all() for each in torch.autograd.grad(result.sum(), (query, key, value)))


def test_dropout_refuses_what_the_original_refuses() -> None:
    mask = torch.ones(4, 4, dtype=torch.bool)
    for attention in (F.scaled_dot_product_attention, scaled_dot_product_attention):
        with pytest.raises(RuntimeError, match="is_causal"):
            attention(*_three(1, 1, 4, 4), attn_mask=mask, dropout_p=0.5, is_causal=True)


class _Largest(TorchDispatchMode):
    numel = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        sizes = [each.numel() for each in tree_flatten(result)[0] if isinstance(each, Tensor)]
        self.numel = max(self.numel, *sizes, 0)
        return result


@pytest.mark.parametrize("options", [{}, {"is_causal": True}, {"dropout_p": 0.1}], ids=str)
def test_no_tensor_grows_with_the_square_of_the_length(options: dict[str, Any]) -> None:
    three = _three(1, 8, 2**14, 64, device="meta")
    result = scaled_dot_product_attention(*three, **options)
    with _Largest() as largest:
        result.backward(torch.ones_like(result))
    assert largest.numel <= 2 * three[0].numel()


def test_autocast_rounds_as_the_original_does() -> None:
    three = _three(1, 2, 9, 8)
    found = []
    for attention in (F.scaled_dot_product_attention, scaled_dot_product_attention):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            result = attention(*three)
            grads = torch.autograd.grad(result.float().square().sum(), three)
        found.append((result, *grads))
    mine, theirs = found
    assert [each.dtype for each in mine] == [each.dtype for each in theirs]
    assert torch.equal(mine[0], theirs[0])
    assert all(torch.allclose(one, other, atol=0.05) for one, other in zip(mine, theirs, strict=True))


def test_it_works_under_function_transforms() -> None:
    query, key, value = (torch.randn(2, 5, 4) for _ in range(3))

    def energy(attention: Any) -> Any:
        return torch.func.grad(lambda each: attention(each, key, value).square().sum())(query)

    assert torch.allclose(energy(scaled_dot_product_attention), energy(F.scaled_dot_product_attention), atol=1e-6)


def test_nested_tensors_are_refused() -> None:
    nested = torch.nested.nested_tensor([torch.randn(2, 3, 4)], layout=torch.strided)
    with pytest.raises(NotImplementedError):
        scaled_dot_product_attention(nested, nested, nested)


def test_the_module_is_the_original_in_all_but_its_attention() -> None:
    original, mine = nn.MultiheadAttention(8, 2), replacements.MultiheadAttention(8, 2)
    assert mine.load_state_dict(original.state_dict()).missing_keys == []
    assert repr(mine) == repr(original)
    x = torch.randn(3, 2, 8)
    expected = mine(x, x, x, need_weights=False)[0]
    assert torch.equal(expected, original(x, x, x, need_weights=False)[0])
    for again in (copy.deepcopy(mine), pickle.loads(pickle.dumps(mine))):
        assert torch.equal(again(x, x, x, need_weights=False)[0], expected)


@pytest.mark.parametrize("training", [True, False])
def test_layers_of_a_transformer_are_clean_once_their_attention_is(training: bool) -> None:
    layer = nn.TransformerEncoderLayer(16, 2, 32, dropout=0.0, batch_first=True).train(training)
    x = torch.randn(2, 5, 16)
    mask = torch.tensor([[False] * 5, [False] * 3 + [True] * 2])
    with torch.no_grad():
        expected = layer(x, src_key_padding_mask=mask)
    swapped = copy.deepcopy(layer)
    swapped.self_attn = replacements.MultiheadAttention(16, 2, batch_first=True).train(training)
    swapped.self_attn.load_state_dict(layer.self_attn.state_dict())
    with torch.no_grad():
        assert torch.equal(swapped(x, src_key_padding_mask=mask), expected)
    verdicts = [
        {finding.rule for finding in opscan.check(each, (x,), device="cuda", torch_version="2.13", run=False).findings}
        for each in (layer, swapped)
    ]
    assert ["OPS701" in each for each in verdicts] == [True, False]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("size", [20, 200])
def test_large_scores_are_no_further_from_the_truth_than_the_originals(size: int, dtype: torch.dtype) -> None:
    """There gradients are differences of nearly equal numbers: as parts of the largest, they lose digits in both."""
    torch.manual_seed(0)
    query, key, value, upstream = (torch.randn(2, 3, 7, 16).to(dtype) for _ in range(4))
    given = (query * size, key, value)

    def error(attention: Callable[..., Tensor]) -> float:
        found = _gradients_of(attention, [each.clone() for each in given], upstream)
        truth = _gradients_of(F.scaled_dot_product_attention, [each.double() for each in given], upstream.double())
        return max(
            ((one.double() - other).abs().max() / other.abs().max()).item()
            for one, other in zip(found, truth, strict=True)
        )

    assert error(scaled_dot_product_attention) <= 2 * error(F.scaled_dot_product_attention)


def _gradients_of(attention: Callable[..., Tensor], given: list[Tensor], upstream: Tensor) -> list[Tensor]:
    leaves = [each.requires_grad_() for each in given]
    return list(torch.autograd.grad(attention(*leaves), leaves, upstream))
