"""What the proof does not see of grid_sample: the sums that run on CUDA, first derivatives of them too."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

import opscan
from opscan import traced_for
from opscan.replacements import grid_sample
from tests.replacements.samples import leaf
from tests.replacements.samples.grid_sampling import _of

OPTIONS = list(itertools.product(("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection"), (True, False)))


def _images_and_grid(dimensions: int) -> tuple[Tensor, Tensor]:
    inner, outer = (4, 5, 6)[-dimensions:], (3, 4, 7)[-dimensions:]
    images = torch.randn(2, 3, *inner, dtype=torch.float64)
    return leaf(images), leaf(torch.rand(2, *outer, dimensions, dtype=torch.float64) * 4 - 2)


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize(("mode", "padding", "align"), OPTIONS)
def test_the_backward_of_cuda_is_that_of_the_original(
    monkeypatch: pytest.MonkeyPatch, dimensions: int, mode: str, padding: str, align: bool
) -> None:
    images, grid = _images_and_grid(dimensions)
    try:
        theirs = F.grid_sample(images, grid, mode, padding, align)
    except RuntimeError:
        pytest.skip("this torch has no bicubic sampling of volumes")
    monkeypatch.setattr(traced_for, "device", "cuda")
    mine = grid_sample(images, grid, mode, padding, align)
    assert torch.equal(mine, theirs)
    upstream = torch.randn_like(theirs)
    pairs = zip(
        torch.autograd.grad(mine, (images, grid), upstream),
        torch.autograd.grad(theirs, (images, grid), upstream),
        strict=True,
    )
    for one, other in pairs:
        assert torch.allclose(one, other, rtol=1e-12, atol=1e-12)


def test_on_the_cpu_its_gradients_are_the_originals_bit_by_bit() -> None:
    images, grid = _images_and_grid(2)
    found = [
        torch.autograd.grad(sample(images, grid, align_corners=False).square().sum(), (images, grid))
        for sample in (F.grid_sample, grid_sample)
    ]
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


@pytest.mark.parametrize(("mode", "padding", "align"), OPTIONS)
def test_its_gradients_are_those_of_its_values(mode: str, padding: str, align: bool) -> None:
    torch.manual_seed(1)
    places = torch.tensor([-0.83, 0.37, 0.23, -0.42, 0.61, 1.18, -1.23, 0.11], dtype=torch.float64)
    images = leaf(torch.randn(1, 1, 4, 5, dtype=torch.float64))
    grid = leaf(places.reshape(1, 1, 4, 2))

    def sample(images: Tensor, grid: Tensor) -> Tensor:
        return grid_sample(images, grid, mode, padding, align)

    assert torch.autograd.gradcheck(sample, (images, grid))
    assert torch.autograd.gradgradcheck(sample, (images, grid))


def test_images_that_need_no_gradient_are_not_summed_into() -> None:
    call = _of(1, 2, 8, 8, device="meta")
    images, grid = call.args

    def step(images: Tensor, grid: Tensor) -> Tensor:
        return grid_sample(images.detach(), grid, align_corners=False)

    report = opscan.check(step, (images, grid), device="cuda", torch_version="2.13", run=False)
    assert report.findings == () or all(finding.verdict == "config" for finding in report.findings)


def test_it_works_under_function_transforms() -> None:
    images, grid = torch.randn(2, 3, 4, 5), torch.rand(2, 6, 7, 2)

    def energy(sample: object) -> Tensor:
        return torch.func.grad(lambda each: sample(images, each, align_corners=True).square().sum())(grid)  # type: ignore[operator]

    assert torch.allclose(energy(grid_sample), energy(F.grid_sample), atol=1e-4)


def test_autocast_gives_the_dtypes_of_the_original() -> None:
    images, grid = leaf(torch.randn(1, 2, 4, 4, dtype=torch.bfloat16)), leaf(torch.rand(1, 3, 3, 2))
    found = []
    for sample in (F.grid_sample, grid_sample):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            result = sample(images, grid, align_corners=False)
        found.append((result, *torch.autograd.grad(result.sum(), (images, grid))))
    theirs, mine = found
    assert [each.dtype for each in mine] == [each.dtype for each in theirs]
    assert torch.equal(mine[0], theirs[0])
