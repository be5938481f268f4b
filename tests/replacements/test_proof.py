"""Every drop-in is proven: equal to its original as its row claims, on whatever it may be given, and repeatable."""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any

import hypothesis
import pytest
import torch
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten
from torch.utils.flop_counter import FlopCounterMode

import opscan
import opscan.replacements
from opscan.rules.dropins import DropIn, load_dropins
from opscan.rules.load import load_rules
from tests.replacements.proof import DTYPES, compare, leaves, pairs, public, sides
from tests.replacements.samples import Sample, gathered

DROPINS = load_dropins()
PAIRS = list(pairs())
TORCHES = ("1.13.1", "2.6.0", "2.13.0", "2.15.0")


def names(value: Any) -> str | None:
    if isinstance(value, torch.dtype):
        return str(value).removeprefix("torch.")
    return value.name if isinstance(value, DropIn) else value if isinstance(value, str) else None


@pytest.mark.parametrize("table", ["DRAWN", "SMOOTH", "TYPICAL", "SCALED"])
def test_every_drop_in_has_samples(table: str) -> None:
    assert set(gathered(table)) == {dropin.name for dropin in DROPINS}


@pytest.mark.parametrize("dropin", DROPINS, ids=names)
def test_it_has_the_signature_of_what_it_stands_for(dropin: DropIn) -> None:
    assert set(dropin.rules) <= {rule.id for rule in load_rules().rules}
    mine = getattr(opscan.replacements, dropin.name)
    assert mine.__doc__
    for original in map(public, dropin.of):
        if isinstance(original, type):
            assert issubclass(mine, original)
            assert mine.__init__ is original.__init__
        elif parameters_of(original):
            assert parameters_of(mine) == parameters_of(original)


def parameters_of(function: Any) -> list[tuple[str, Any]]:
    """Names and defaults of a Python function's parameters; nothing for what is written in C++."""
    function = getattr(function, "__wrapped__", function)
    try:
        found = inspect.signature(function).parameters.values()
    except ValueError:
        return []
    return [(each.name, each.default) for each in found]


@pytest.mark.parametrize("dtype", DTYPES, ids=names)
@pytest.mark.parametrize(("dropin", "original"), PAIRS, ids=names)
def test_it_gives_what_the_original_gives(dropin: DropIn, original: str, dtype: torch.dtype) -> None:
    drawn = gathered("DRAWN")[dropin.name]

    @hypothesis.settings(
        max_examples=12,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(hypothesis.Phase.generate,),
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(st.data())
    def proven(data: st.DataObject) -> None:
        torch.manual_seed(data.draw(st.integers(0, 2**31)))
        sample = drawn(data.draw, dtype)
        hypothesis.note(str(sample))
        assert compare(dropin, original, sample) == ""

    proven()


@pytest.mark.parametrize("dtype", DTYPES, ids=names)
@pytest.mark.parametrize(("dropin", "original"), PAIRS, ids=names)
def test_it_gives_what_the_original_gives_at_the_edges(dropin: DropIn, original: str, dtype: torch.dtype) -> None:
    for at, make in enumerate(gathered("EXTREME").get(dropin.name, ())):
        assert compare(dropin, original, make(dtype)) == "", f"EXTREME[{at}]"


@pytest.mark.parametrize("dropin", DROPINS, ids=names)
def test_its_gradients_are_those_of_its_values(dropin: DropIn) -> None:
    sample = gathered("SMOOTH")[dropin.name]()
    wanted = leaves(sample)
    if not wanted:
        return
    _, mine = sides(dropin, dropin.of[0])
    places = tree_flatten((sample.args, dict(sample.kwargs)))
    holes = [at for at, each in enumerate(places[0]) if any(each is leaf for leaf in wanted)]

    def function(*given: torch.Tensor) -> tuple[torch.Tensor, ...]:
        flat = list(places[0])
        for at, each in zip(holes, given, strict=True):
            flat[at] = each
        args, kwargs = torch.utils._pytree.tree_unflatten(flat, places[1])
        return tuple(each for each in mine(Sample(args, kwargs, sample.init)) if each.requires_grad)

    assert torch.autograd.gradcheck(function, wanted)
    assert torch.autograd.gradgradcheck(function, wanted)


@cache
def _report(name: str, device: str, version: str) -> opscan.Report:
    sample = gathered("TYPICAL")[name](torch.float32, torch.device("meta"))
    dropin = next(each for each in DROPINS if each.name == name)
    _, mine = sides(dropin, dropin.of[0])

    def step(args: Any, kwargs: Any) -> Any:
        return mine(Sample(args, kwargs, sample.init))

    return opscan.check(
        step, (sample.args, dict(sample.kwargs)), device=device, torch_version=version, input_grad=True, run=False
    )


@pytest.mark.parametrize("version", TORCHES)
@pytest.mark.parametrize("device", ["cuda", "cpu"])
@pytest.mark.parametrize("dropin", DROPINS, ids=names)
def test_opscan_finds_nothing_in_it(dropin: DropIn, device: str, version: str) -> None:
    report = _report(dropin.name, device, version)
    assert [
        (finding.rule, finding.op, finding.phase, finding.verdict)
        for finding in report.findings
        if finding.verdict in ("raises", "switches", "silent", "uninitialized") and finding.bits != "cannot vary"
    ] == []


@pytest.mark.parametrize("dropin", DROPINS, ids=names)
def test_opscan_finds_the_original_out(dropin: DropIn) -> None:
    """Otherwise the test above would show nothing: each original does what one of the rules answered speaks of."""
    sample = gathered("TYPICAL")[dropin.name](torch.float32, torch.device("meta"))
    theirs, _ = sides(dropin, dropin.of[0])

    def step(args: Any, kwargs: Any) -> Any:
        return theirs(Sample(args, kwargs, sample.init))

    inputs = (sample.args, dict(sample.kwargs))
    found = {
        finding.rule
        for device in ("cuda", "cpu")
        for finding in opscan.check(step, inputs, device=device, input_grad=True, run=False).findings
    }
    assert found & set(dropin.rules)


@pytest.mark.parametrize("dropin", DROPINS, ids=names)
def test_it_repeats_on_this_device(dropin: DropIn) -> None:
    sample = gathered("TYPICAL")[dropin.name](torch.float32, torch.device("cpu"))
    _, mine = sides(dropin, dropin.of[0])
    first = run_all(mine, sample)
    for _ in range(5):
        assert all(torch.equal(one, other) for one, other in zip(first, run_all(mine, sample), strict=True))
    torch.use_deterministic_algorithms(True)
    try:
        assert all(torch.equal(one, other) for one, other in zip(first, run_all(mine, sample), strict=True))
    finally:
        torch.use_deterministic_algorithms(False)


def run_all(side: Any, sample: Sample) -> list[torch.Tensor]:
    from tests.replacements.proof import run

    outcome = run(side, sample, second=False)
    return [each.nan_to_num() for each in (*outcome.values, *outcome.grads)]


@pytest.mark.parametrize("dropin", DROPINS, ids=names)
def test_its_cost_grows_as_the_originals(dropin: DropIn) -> None:
    """Elements written plus floating point operations, at four sizes: linear but for a logarithm."""
    make = gathered("SCALED")[dropin.name]
    _, mine = sides(dropin, dropin.of[0])
    small, large = (_work(mine, make(n)) for n in (64, 1024))
    assert large <= 16 * 2 * small


class _Written(TorchDispatchMode):
    """Counts the elements of what ops return."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.count += sum(each.numel() for each in tree_flatten(result)[0] if isinstance(each, torch.Tensor))
        return result


def _work(side: Any, sample: Sample) -> int:
    with FlopCounterMode(display=False) as flops, _Written() as written:
        run_all(side, sample)
    return written.count + flops.get_total_flops()
