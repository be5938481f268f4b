"""What the proof does not see of CTC loss: the sums that run on CUDA, and gradients through log_softmax."""

from __future__ import annotations

import copy
import math
import pickle
from typing import Any

import hypothesis
import pytest
import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from torch import Tensor, nn

from opscan import replacements, traced_for
from opscan.replacements import ctc_loss
from tests.replacements.samples import leaf
from tests.replacements.samples.ctc import _drawn, _of


@pytest.fixture
def as_on_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traced_for, "device", "cuda")


@pytest.mark.usefixtures("as_on_cuda")
def test_the_backward_of_cuda_is_that_of_the_original() -> None:
    @hypothesis.settings(max_examples=100, deadline=None, derandomize=True, database=None)
    @hypothesis.given(st.data())
    def proven(data: st.DataObject) -> None:
        torch.manual_seed(data.draw(st.integers(0, 2**31)))
        sample = _drawn(module=False)(data.draw, torch.float64)
        theirs, mine = (loss(*sample.args, **sample.kwargs) for loss in (F.ctc_loss, ctc_loss))
        assert torch.equal(mine, theirs)
        upstream = torch.randn_like(theirs)
        one, other = (torch.autograd.grad(each, sample.args[0], upstream)[0] for each in (mine, theirs))
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-11, equal_nan=True)

    proven()


@pytest.mark.parametrize("inputs", [(6, 6), (6, 4)])
def test_its_gradients_are_those_of_its_values(inputs: tuple[int, int]) -> None:
    targets = torch.tensor([[1, 1, 2], [3, 2, 2]])

    def loss(scores: Tensor) -> Tensor:
        return ctc_loss(scores.log_softmax(2), targets, inputs, (3, 2), reduction="none")  # type: ignore[arg-type]

    scores = leaf(torch.randn(6, 2, 4, dtype=torch.float64))
    assert torch.autograd.gradcheck(loss, scores)
    assert torch.autograd.gradgradcheck(loss, scores)


@pytest.mark.usefixtures("as_on_cuda")
def test_a_class_that_cannot_be_gets_no_gradient() -> None:
    scores = torch.randn(5, 1, 4).log_softmax(2)
    scores[2, 0, 3] = -math.inf
    log_probs = leaf(scores)
    for labels in ([1, 2], [3, 3]):
        grad = torch.autograd.grad(ctc_loss(log_probs, torch.tensor([labels]), (5,), (2,)), log_probs)[0]  # type: ignore[arg-type]
        assert grad.isfinite().all()
        assert grad[2, 0, 3] == 0


@pytest.mark.usefixtures("as_on_cuda")
def test_scores_far_below_zero_do_not_underflow() -> None:
    log_probs = leaf(torch.randn(5, 1, 4, dtype=torch.float64) - 2000)
    sums = torch.autograd.grad(ctc_loss(log_probs, torch.tensor([[1, 2]]), (5,), (2,), reduction="sum"), log_probs)[0]  # type: ignore[arg-type]
    assert torch.allclose(sums.sum(2), torch.full((5, 1), -1.0, dtype=torch.float64))


def test_autocast_computes_in_float32() -> None:
    sample = _of(7, 2, 4, 2, dtype=torch.bfloat16)
    found = []
    for loss in (F.ctc_loss, ctc_loss):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found.append(loss(*sample.args))
    assert found[0].dtype == found[1].dtype == torch.float32
    assert torch.equal(found[0], found[1])


@pytest.mark.parametrize("lengths", [3, torch.tensor([3.0, 3.0])], ids=str)
def test_lengths_the_original_refuses_are_refused(lengths: Any) -> None:
    log_probs, targets, inputs, _ = _of(7, 2, 4, 3).args
    given = inputs if isinstance(lengths, Tensor) else (7, 7)
    for loss in (F.ctc_loss, ctc_loss):
        with pytest.raises((TypeError, RuntimeError)):
            loss(log_probs, targets, given, lengths)


def test_the_module_is_the_original_in_all_but_its_forward() -> None:
    original, mine = nn.CTCLoss(blank=3, zero_infinity=True), replacements.CTCLoss(blank=3, zero_infinity=True)
    assert repr(mine) == repr(original)
    sample = _of(7, 2, 4, 2)
    targets = sample.args[1] - 1
    expected = original(sample.args[0], targets, *sample.args[2:])
    for each in (mine, copy.deepcopy(mine), pickle.loads(pickle.dumps(mine))):
        assert torch.equal(each(sample.args[0], targets, *sample.args[2:]), expected)
