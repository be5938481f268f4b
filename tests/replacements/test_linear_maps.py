"""Padding, interpolation, average pooling, stft: what the proof does not see."""

from __future__ import annotations

import copy
import pickle
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import opscan.replacements as drop_ins
from opscan.replacements.band_sums import transposed
from opscan.replacements.bands import band, windows
from opscan.replacements.interpolation_bands import interpolation_band

MODULES = {
    "Conv1d": lambda of: of.Conv1d(2, 4, 3, padding=1, padding_mode="replicate"),
    "Conv2d": lambda of: of.Conv2d(2, 4, 3, padding="same", padding_mode="reflect"),
    "Conv3d": lambda of: of.Conv3d(2, 4, 3, padding=(1, 0, 1), padding_mode="replicate", bias=False),
    "ReplicationPad2d": lambda of: of.ReplicationPad2d((1, 2, 0, 1)),
    "ReflectionPad3d": lambda of: of.ReflectionPad3d(1),
    "Upsample": lambda of: of.Upsample(scale_factor=2, mode="bilinear"),
    "UpsamplingBilinear2d": lambda of: of.UpsamplingBilinear2d(size=(4, 5)),
    "AdaptiveAvgPool2d": lambda of: of.AdaptiveAvgPool2d((None, 3)),
    "AvgPool3d": lambda of: of.AvgPool3d(3, 2, 1, True, False),
    "LPPool3d": lambda of: of.LPPool3d(2, 3),
}


@pytest.mark.parametrize("make", MODULES.values(), ids=MODULES.keys())
def test_modules_are_the_originals_but_for_the_call(make: Callable[[object], nn.Module]) -> None:
    theirs, mine = make(nn), make(drop_ins)
    assert isinstance(mine, type(theirs))
    assert repr(mine) == repr(theirs)
    mine.load_state_dict(theirs.state_dict())
    theirs.load_state_dict(mine.state_dict())
    for again in (copy.deepcopy(mine), pickle.loads(pickle.dumps(mine))):
        assert type(again) is type(mine)
        assert repr(again) == repr(mine)


LINEAR: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]] = {
    "replicate": (lambda x: F.pad(x, (1, 2, 0, 0), "replicate"), lambda x: drop_ins.pad(x, (1, 2, 0, 0), "replicate")),
    "reflect": (lambda x: F.pad(x, (1, 2, 0, 1), "reflect"), lambda x: drop_ins.pad(x, (1, 2, 0, 1), "reflect")),
    "bicubic": (
        lambda x: F.interpolate(x, size=(7, 3), mode="bicubic"),
        lambda x: drop_ins.interpolate(x, size=(7, 3), mode="bicubic"),
    ),
    "adaptive": (lambda x: F.adaptive_avg_pool2d(x, 3), lambda x: drop_ins.adaptive_avg_pool2d(x, 3)),
    "stft": (
        lambda x: torch.view_as_real(torch.stft(x.flatten(0, 2), 4, return_complex=True, window=torch.ones(4).to(x))),
        lambda x: torch.view_as_real(
            drop_ins.stft(x.flatten(0, 2), 4, return_complex=True, window=torch.ones(4).to(x))
        ),
    ),
}


@pytest.mark.parametrize(("theirs", "mine"), LINEAR.values(), ids=LINEAR.keys())
def test_torch_func_and_forward_mode(theirs: Callable[[Tensor], Tensor], mine: Callable[[Tensor], Tensor]) -> None:
    x, tangent = torch.randn(2, 2, 3, 4, 5, dtype=torch.float64)
    assert torch.equal(torch.func.jvp(mine, (x,), (tangent,))[1], torch.func.jvp(theirs, (x,), (tangent,))[1])

    def loss(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        return lambda x: function(x).square().sum()

    torch.testing.assert_close(torch.func.grad(loss(mine))(x), torch.func.grad(loss(theirs))(x))
    batches = torch.randn(3, 2, 3, 4, 5, dtype=torch.float64)
    per_sample = torch.func.vmap(torch.func.grad(loss(mine)), in_dims=0)(batches)
    torch.testing.assert_close(per_sample, torch.stack([torch.func.grad(loss(theirs))(each) for each in batches]))


@pytest.mark.parametrize(("theirs", "mine"), LINEAR.values(), ids=LINEAR.keys())
def test_autocast_gives_the_dtypes_of_the_original(
    theirs: Callable[[Tensor], Tensor], mine: Callable[[Tensor], Tensor]
) -> None:
    results = []
    for function in (theirs, mine):
        x = torch.randn(2, 3, 4, 5).requires_grad_()
        with torch.autocast("cpu", torch.bfloat16):
            y = function(x)
        y.float().sum().backward()
        assert x.grad is not None
        results.append((y.dtype, x.grad.dtype))
    assert results[0] == results[1]


def test_an_infinite_gradient_stays_in_its_cells() -> None:
    x = torch.randn(1, 1, 2, 40, requires_grad=True)
    for result in (
        drop_ins.interpolate(x, scale_factor=2, mode="bilinear"),
        drop_ins.interpolate(x, size=(2, 5), mode="bicubic"),
        drop_ins.adaptive_avg_pool2d(x, (1, 7)),
        drop_ins.pad(x, (3, 3, 1, 1), "reflect"),
    ):
        upstream = torch.zeros_like(result)
        upstream[..., 0, 2] = torch.inf
        (grad,) = torch.autograd.grad(result, x, upstream)
        assert torch.isinf(grad).any()
        assert not torch.isnan(grad).any()
        assert torch.equal(grad[..., 30:], torch.zeros_like(grad[..., 30:]))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_gradients_keep_the_memory_layout(layout: torch.memory_format) -> None:
    x = torch.randn(2, 8, 6, 6).to(memory_format=layout).requires_grad_()
    for function in (
        lambda: drop_ins.interpolate(x, scale_factor=2, mode="bilinear"),
        lambda: drop_ins.adaptive_avg_pool2d(x, 4),
        lambda: drop_ins.pad(x, (1, 1, 1, 1), "replicate"),
    ):
        result = function()
        assert result.is_contiguous(memory_format=layout)
        (grad,) = torch.autograd.grad(result, x, torch.randn_like(result))
        assert grad.is_contiguous(memory_format=layout)


def test_no_gradient_is_made_where_none_is_wanted() -> None:
    x = torch.randn(2, 3, 4, 5)
    assert not drop_ins.interpolate(x, scale_factor=2, mode="bilinear").requires_grad
    with torch.no_grad():
        assert not drop_ins.pad(x.requires_grad_(), (1, 1, 0, 0), "reflect").requires_grad
    assert drop_ins.pad(torch.arange(12).view(1, 3, 4), (1, 1), "reflect").dtype == torch.int64


def test_a_factor_that_changes_no_size_gets_the_gradient_of_its_values() -> None:
    """On the CPU the original's bicubic backward copies there, and its forward does not (torch 2.13)."""
    x = torch.randn(1, 1, 4, 5, dtype=torch.float64, requires_grad=True)
    for mode, antialias in (("bicubic", False), ("bicubic", True), ("bilinear", True)):

        def resized(x: Tensor, mode: str = mode, antialias: bool = antialias) -> Tensor:
            return drop_ins.interpolate(x, scale_factor=1.05, mode=mode, antialias=antialias)

        assert torch.autograd.gradcheck(resized, x)


def test_tables_are_made_once_for_each_size() -> None:
    first = interpolation_band(5, 9, "linear", False, None, False)
    assert interpolation_band(5, 9, "linear", False, None, False) is first
    assert interpolation_band(5, 9, "linear", True, None, False) is not first


def test_fake_tensors_leave_no_tables_behind() -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        x = torch.randn(1, 2, 11, 13, requires_grad=True)
        drop_ins.interpolate(x, size=(17, 19), mode="bilinear").sum().backward()
    x = torch.randn(1, 2, 11, 13, requires_grad=True)
    drop_ins.interpolate(x, size=(17, 19), mode="bilinear").sum().backward()
    assert type(x.grad) is Tensor


def test_a_cell_without_taps_gets_nothing() -> None:
    cells, weights = np.array([[0], [3]]), np.ones((2, 1), np.float32)
    grad = torch.tensor([[2.0, 5.0]])
    assert transposed(grad, [band(cells, weights, 4)], torch.float32).tolist() == [[2, 0, 0, 5]]
    overlapping = windows(np.array([0, 1]), np.array([2, 3]), np.ones(2, np.float32), 4)
    assert transposed(grad, [overlapping], torch.float32).tolist() == [[2, 7, 5, 0]]


def test_circular_and_constant_padding_go_straight_through() -> None:
    x = torch.randn(1, 2, 4, 5)
    for mode in ("circular", "constant"):
        assert torch.equal(drop_ins.pad(x, (1, 1, 1, 1), mode), F.pad(x, (1, 1, 1, 1), mode))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        conv = drop_ins.Conv2d(2, 2, 3, padding=1, padding_mode="circular")
        assert conv(x).shape == (1, 2, 4, 5)
