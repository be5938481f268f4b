"""Compare a drop-in with its original: results, gradients and second-order gradients, bit by bit or to rounding."""

from __future__ import annotations

import importlib
import inspect
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_map

import opscan.replacements
from opscan.observe.bits import same_bits
from opscan.rules.dropins import DropIn, load_dropins
from opscan.rules.schema import SameValues
from tests.replacements.samples import Sample, gathered

DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
SEED = 7
_SLACK = 64  # units in the last place of the largest result, for sums whose order differs


def public(name: str) -> Any:
    """What a public dotted name stands for."""
    parts = name.split(".")
    found: Any = importlib.import_module(parts[0])
    for part in parts[1:]:
        found = getattr(found, part) if hasattr(found, part) else importlib.import_module(f"{found.__name__}.{part}")
    return found


def pairs() -> Iterator[tuple[DropIn, str]]:
    """Every drop-in with everything that it stands for."""
    for dropin in load_dropins().by_name.values():
        for original in dropin.of:
            yield dropin, original


@dataclass(frozen=True)
class Side:
    """One of the two that are compared: a function of a sample's tensors and its other arguments."""

    function: Callable[..., Any]
    in_place: bool

    def __call__(self, sample: Sample) -> tuple[Tensor, ...]:
        args, kwargs = tree_map(_copied, (sample.args, dict(sample.kwargs)))
        if self.in_place:  # a leaf that wants a gradient cannot be changed in place
            args = (args[0].clone(), *args[1:])
        torch.manual_seed(SEED)
        result = self.function(sample, *args, **kwargs)
        result = args[0] if self.in_place and result is None else result  # x[key] = values gives nothing back
        return tuple(each for each in tree_flatten(result)[0] if isinstance(each, Tensor))


def _copied(value: Any) -> Any:
    return value.view_as(value) if isinstance(value, Tensor) and value.layout == torch.strided else value


def _called(callee: Any) -> Callable[..., Any]:
    if not (inspect.isclass(callee) and issubclass(callee, nn.Module)):
        return lambda sample, *args, **kwargs: callee(*args, **kwargs)

    def run(sample: Sample, *args: Any, **kwargs: Any) -> Any:
        torch.manual_seed(SEED)
        built = callee(*sample.init[0], **sample.init[1])
        floating = [each for each in tree_flatten((args, kwargs))[0] if isinstance(each, Tensor) and _floats(each)]
        if floating:
            built.to(floating[0].device, floating[0].dtype)
        torch.manual_seed(SEED)
        return built(*args, **kwargs)

    return run


def sides(dropin: DropIn, original: str) -> tuple[Side, Side]:
    """The original and the drop-in."""
    in_place = dropin.name.endswith("_")
    return (
        Side(_called(public(original)), in_place),
        Side(_called(getattr(opscan.replacements, dropin.name)), in_place),
    )


def leaves(sample: Sample) -> list[Tensor]:
    """The tensors of a sample that want a gradient."""
    return [each for each in tree_flatten((sample.args, dict(sample.kwargs)))[0] if _wants(each)]


def _wants(value: Any) -> bool:
    return isinstance(value, Tensor) and value.requires_grad


def _floats(value: Tensor) -> bool:
    return value.is_floating_point() or value.is_complex()


@dataclass(frozen=True)
class Outcome:
    """Results, gradients, and gradients of these (None where the original has no second derivative)."""

    values: tuple[Tensor, ...]
    grads: tuple[Tensor, ...]
    second: tuple[Tensor, ...] | None


def run(side: Side, sample: Sample, second: bool = True) -> Outcome:
    """Run forward and backward with the same random upstream gradients on either side."""
    values = side(sample)
    wanted = leaves(sample)
    roots = [each for each in values if each.requires_grad]
    if not wanted or not roots:
        return Outcome(tuple(each.detach() for each in values), (), ())
    upstream = list(_upstream(roots))
    grads = torch.autograd.grad(roots, wanted, upstream, allow_unused=True, create_graph=second, retain_graph=True)
    filled = tuple(torch.zeros_like(leaf) if grad is None else grad for grad, leaf in zip(grads, wanted, strict=True))
    found = tuple(each.detach() for each in values), tuple(each.detach() for each in filled)
    return Outcome(*found, _second(filled, [*wanted, *upstream]) if second else None)


def _upstream(roots: list[Tensor]) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(SEED)
    for root in roots:
        real = torch.randn(root.shape, generator=generator, dtype=torch.float64)
        yield real.to(root.device, root.dtype).requires_grad_()


def _second(grads: tuple[Tensor, ...], wanted: list[Tensor]) -> tuple[Tensor, ...] | None:
    roots = [each for each in grads if each.requires_grad]
    if not roots:
        return ()
    upstream = [each.detach() for each in _upstream(roots)]
    try:
        found = torch.autograd.grad(roots, wanted, upstream, allow_unused=True)
    except (RuntimeError, NotImplementedError) as error:
        if (
            "not implemented" in str(error)
            or "is not differentiable" in str(error)
            or "once_differentiable" in str(error)
            or "Expected self.dtype to be equal to src.dtype" in str(error)  # grid_sample in half precision, 2.13
        ):
            return None
        raise
    return tuple(torch.zeros_like(leaf) if grad is None else grad for grad, leaf in zip(found, wanted, strict=True))


def in_float64(sample: Sample) -> Sample:
    """The sample with its floating tensors in float64: what the error is measured from."""

    done: dict[int, Tensor] = {}  # a tensor that is given twice stays one

    def raised(value: Any) -> Any:
        if not isinstance(value, Tensor) or not value.is_floating_point():
            return torch.float64 if value in (torch.float16, torch.bfloat16, torch.float32) else value
        if id(value) not in done:
            done[id(value)] = value.detach().double().requires_grad_(value.requires_grad)
        return done[id(value)]

    args, kwargs = tree_map(raised, (sample.args, dict(sample.kwargs)))
    return Sample(args, kwargs, sample.init)


def difference(
    claim: SameValues, mine: tuple[Tensor, ...], theirs: tuple[Tensor, ...], exact: tuple[Tensor, ...]
) -> str:
    """What contradicts the claim, in words; "" if nothing does. `exact` are the original's results in float64."""
    if len(mine) != len(theirs):
        return f"{len(mine)} results, not {len(theirs)}"
    for at, (one, other) in enumerate(zip(mine, theirs, strict=True)):
        reference = exact[at] if at < len(exact) else other
        said = _tensor_difference(claim, one, other, reference)
        if said:
            return f"result {at}: {said}"
    return ""


def _tensor_difference(claim: SameValues, one: Tensor, other: Tensor, exact: Tensor) -> str:
    if (one.shape, one.dtype, one.layout) != (other.shape, other.dtype, other.layout):
        return f"{one.dtype} {tuple(one.shape)}, not {other.dtype} {tuple(other.shape)}"
    if claim == "different":
        return ""
    one, other, exact = (each.to_dense() if each.layout != torch.strided else each for each in (one, other, exact))
    if not _floats(one):
        return "" if torch.equal(one, other) else "other integers"
    if claim == "bitwise":
        same = same_bits([one], [other]) or torch.allclose(one, other, rtol=0, atol=0, equal_nan=True)  # NaN is NaN
        return "" if same else _how_far(one, other)
    right = torch.isfinite(one) & torch.isfinite(exact)  # where the original overflows on its way, and this does not
    right |= exact.abs() > torch.finfo(one.dtype).max / 2  # near the largest number rounding decides what overflows
    if bool(((torch.isfinite(one) != torch.isfinite(other)) & ~right).any()):
        return "infinite or NaN in other places"
    return _beyond_rounding(one, other, exact)


def _how_far(one: Tensor, other: Tensor) -> str:
    return f"other bits, by up to {(one - other).abs().nan_to_num().max().item():.3g}"


def _beyond_rounding(one: Tensor, other: Tensor, exact: Tensor) -> str:
    finite = torch.isfinite(one) & torch.isfinite(other) & torch.isfinite(exact.to(one.dtype))
    if not bool(finite.any()):
        return ""
    wide = torch.complex128 if one.is_complex() else torch.float64
    mine, theirs, truth = (torch.where(finite, each.to(wide), 0) for each in (one, other, exact))
    error, tolerated = (mine - truth).abs().max().item(), (theirs - truth).abs().max().item()
    scale = max(truth.abs().max().item(), torch.finfo(one.dtype).tiny)
    allowed = 4 * tolerated + _SLACK * torch.finfo(one.dtype).eps * scale
    return (
        ""
        if error <= allowed or math.isnan(allowed)
        else f"off by {error:.3g} of {scale:.3g}; the original by {tolerated:.3g}"
    )


def compare(dropin: DropIn, original: str, sample: Sample) -> str:
    """What in the drop-in's results contradicts its claims on this sample; "" if nothing does.

    Raises what the original raises not; a sample that the original refuses has to be refused by the drop-in too.
    """
    theirs_side, mine_side = sides(dropin, original)
    try:
        theirs = run(theirs_side, sample)
    except (RuntimeError, ValueError, TypeError, IndexError, NotImplementedError) as error:
        return _refusal(mine_side, sample, error)
    mine = run(mine_side, sample)
    exact = _exact(theirs_side, sample, theirs)
    said = difference(dropin.values, mine.values, theirs.values, exact.values)
    if said:
        return f"forward, {said}"
    said = difference(dropin.gradient, mine.grads, theirs.grads, exact.grads)
    if said:
        return f"gradient, {said}"
    if theirs.second is None or dropin.gradient == "different":
        return ""
    if mine.second is None:
        return "no second derivative"
    said = difference("rounding", mine.second, theirs.second, exact.second or theirs.second)
    return f"second derivative, {said}" if said else ""


def _refusal(side: Side, sample: Sample, error: Exception) -> str:
    try:
        run(side, sample)
    except type(error):
        return ""
    except Exception as mine:
        return f"raises {type(mine).__name__}, not {type(error).__name__}: {error}"
    said = str(error)
    if "not implemented for" in said or "unexpected keyword argument" in said:  # more than the original is no harm
        return ""
    return f"raises nothing, not {type(error).__name__}: {error}"


def _exact(side: Side, sample: Sample, otherwise: Outcome) -> Outcome:
    try:
        return run(side, in_float64(sample))
    except (RuntimeError, NotImplementedError):
        return otherwise


def assert_repeats(dropin: DropIn, device: torch.device, runs: int) -> None:
    """The same bits in every run, forward and backward, in default and in strict mode, which must not raise."""
    sample = gathered("TYPICAL")[dropin.name](torch.float32, device)
    _, mine = sides(dropin, dropin.of[0])
    first = run(mine, sample, second=False)
    for strict in (False, True):
        torch.use_deterministic_algorithms(strict)
        try:
            for _ in range(runs):
                again = run(mine, sample, second=False)
                assert same_bits(first.values, again.values), f"results differ (strict mode {strict})"
                assert same_bits(first.grads, again.grads), f"gradients differ (strict mode {strict})"
        finally:
            torch.use_deterministic_algorithms(False)
