"""What the proof does not see of the losses: modules as modules, half precision, function transforms."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from opscan import replacements


@pytest.mark.parametrize("name", ["NLLLoss", "NLLLoss2d", "CrossEntropyLoss"])
def test_a_module_is_the_original_in_all_but_its_forward(name: str) -> None:
    original = getattr(nn, name)(weight=torch.rand(3), ignore_index=1)
    mine = getattr(replacements, name)(weight=torch.zeros(3), ignore_index=1)
    assert mine.load_state_dict(original.state_dict()).missing_keys == []
    assert isinstance(mine, getattr(nn, name))
    assert repr(mine) == repr(original)
    x, target = torch.randn(2, 3, 4), torch.randint(3, (2, 4))
    expected = mine(x, target)
    assert torch.allclose(expected, original(x, target))
    for again in (copy.deepcopy(mine), pickle.loads(pickle.dumps(mine))):
        assert torch.equal(again(x, target), expected)


def test_a_mean_in_float16_does_not_overflow() -> None:
    x = torch.full((1, 2, 300, 300), -3.0, dtype=torch.float16)
    target = torch.zeros(1, 300, 300, dtype=torch.int64)
    assert replacements.nll_loss(x, target).item() == 3.0
    assert not F.nll_loss(x, target).isfinite()


def test_autocast_gives_the_dtype_of_the_original() -> None:
    x, target = torch.randn(2, 3, 4, dtype=torch.bfloat16), torch.randint(3, (2, 4))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        theirs, mine = F.cross_entropy(x, target), replacements.cross_entropy(x, target)
    assert mine.dtype == theirs.dtype
    assert torch.allclose(mine, theirs)


def test_it_works_under_function_transforms() -> None:
    x, target = torch.randn(5, 2, 3, 4), torch.randint(3, (2, 4))

    def per_sample(loss: object) -> torch.Tensor:
        return torch.func.vmap(torch.func.grad(lambda each: loss(each, target)))(x)  # type: ignore[operator]

    assert torch.allclose(per_sample(replacements.cross_entropy), per_sample(F.cross_entropy))


def test_a_weight_that_wants_a_gradient_is_refused_as_by_the_original() -> None:
    x, target = torch.randn(2, 3, 4, requires_grad=True), torch.randint(3, (2, 4))
    weight = torch.rand(3, requires_grad=True)
    for loss in (F.nll_loss, replacements.nll_loss):
        with pytest.raises(RuntimeError, match="weight"):
            loss(x, target, weight).backward()
