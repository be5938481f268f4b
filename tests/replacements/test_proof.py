"""Every drop-in is proven: equal to its original as its row claims, on whatever it may be given, and repeatable."""

from __future__ import annotations

import inspect
import itertools
from contextlib import nullcontext
from functools import partial
from typing import Any

import hypothesis
import pytest
import torch
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten
from torch.utils.flop_counter import FlopCounterMode

import opscan.replacements
from opscan.environment import make_environment
from opscan.finding import Finding
from opscan.match import match
from opscan.replacements.substituting import Substituting
from opscan.rules.dropins import DropIn, load_dropins
from opscan.rules.load import load_rules
from opscan.trace.autocast import Casting
from opscan.trace.driver import trace_target
from opscan.trace.graph import Trace
from tests.conftest import two_threads
from tests.replacements.proof import DTYPES, assert_repeats, compare, leaves, pairs, public, run, sides
from tests.replacements.samples import Sample, gathered

DROPINS = list(load_dropins().by_name.values())
PAIRS = list(pairs())
TRIED = [
    (dropin, of, dtype) for dropin, of in PAIRS for dtype in DTYPES if of == dropin.of[0] or dtype is torch.float32
]
"""In every dtype the first name of what a drop-in stands for; the others run the same kernel."""
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
    if any(each.kind in (each.POSITIONAL_ONLY, each.VAR_POSITIONAL) for each in found):
        return []  # names that nobody can use, or that boolean_dispatch hides
    return [(each.name, each.default) for each in found]


@pytest.mark.parametrize(("dropin", "original", "dtype"), TRIED, ids=names)
def test_it_gives_what_the_original_gives(dropin: DropIn, original: str, dtype: torch.dtype) -> None:
    drawn = gathered("DRAWN")[dropin.name]

    @hypothesis.settings(
        max_examples=4 if isinstance(public(original), type) else 12,  # a module calls the function
        deadline=None,
        derandomize=True,
        database=None,
        phases=(hypothesis.Phase.generate,),  # samples are small as drawn, and shrinking one runs hundreds of backwards
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(st.data())
    def proven(data: st.DataObject) -> None:
        torch.manual_seed(data.draw(st.integers(0, 2**31)))
        sample = drawn(data.draw, dtype)
        hypothesis.note(str(sample))
        assert compare(dropin, original, sample) == ""

    proven()


@pytest.mark.parametrize(("dropin", "original", "dtype"), TRIED, ids=names)
def test_it_gives_what_the_original_gives_at_the_edges(dropin: DropIn, original: str, dtype: torch.dtype) -> None:
    for at, make in enumerate(gathered("EXTREME").get(dropin.name, ())):
        assert compare(dropin, original, make(dtype)) == "", f"EXTREME[{at}]"


@pytest.mark.parametrize("dropin", DROPINS, ids=names)
def test_its_gradients_are_those_of_its_values(dropin: DropIn) -> None:
    sample = gathered("SMOOTH")[dropin.name]()
    wanted = leaves(sample)
    if not wanted:
        pytest.skip("its sample wants no gradient: tests of its own, or integers")
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
    assert torch.autograd.gradgradcheck(function, wanted, fast_mode=True)  # a projection, as PyTorch tests its own


def traced(side: Any, name: str, device: str, surrounding: Any = nullcontext) -> Trace:
    """One call on a sample of typical size, traced for a device."""
    sample = gathered("TYPICAL")[name](torch.float32, torch.device("meta"))

    def step(args: Any, kwargs: Any) -> Any:
        with surrounding():
            return side(Sample(args, kwargs, sample.init))

    watched = frozenset(load_rules().by_call)
    arguments = (sample.args, dict(sample.kwargs))
    return trace_target(step, arguments, {}, input_grad=True, watched=watched, casting=Casting(device))


def found(trace: Trace, device: str, version: str | None = None, harmless: bool = False) -> list[Finding]:
    """What the rules say of a trace: all that varies there; with `harmless` also what cannot at these sizes."""
    matched = match(trace, load_rules(), make_environment(device, version, None))
    wanted = ("raises", "switches", "silent", "uninitialized")
    return [each for each in matched.findings if each.verdict in wanted and (harmless or each.bits != "cannot vary")]


@pytest.mark.parametrize("device", ["cuda", "cpu"])
@pytest.mark.parametrize("dropin", DROPINS, ids=names)
def test_opscan_finds_nothing_in_it(dropin: DropIn, device: str) -> None:
    _, mine = sides(dropin, dropin.of[0])
    trace = traced(mine, dropin.name, device)
    said = {
        version: [(each.rule, each.op, each.phase) for each in found(trace, device, version)] for version in TORCHES
    }
    assert said == {version: [] for version in TORCHES}


@pytest.mark.parametrize(("dropin", "original"), PAIRS, ids=names)
def test_opscan_finds_the_original_out_and_nothing_in_its_place(dropin: DropIn, original: str) -> None:
    """Each original does what one of the rules speaks of, and no more of that where Substituting stands around it."""
    theirs, _ = sides(dropin, original)
    traces = {device: traced(theirs, dropin.name, device) for device in ("cuda", "cpu")}
    judged = itertools.product(traces, TORCHES)  # a rule may speak of some releases only
    seen = {each.rule for device, version in judged for each in found(traces[device], device, version, harmless=True)}
    assert seen & set(dropin.rules)
    if not isinstance(public(original), type):  # a module is given the class of its drop-in instead
        instead = traced(theirs, dropin.name, "cuda", partial(Substituting, [dropin.name]))
        assert [each.rule for each in found(instead, "cuda") if each.rule in dropin.rules] == []


@pytest.mark.parametrize("dropin", DROPINS, ids=names)
def test_it_repeats_on_the_cpu(dropin: DropIn) -> None:
    with two_threads():
        assert_repeats(dropin, torch.device("cpu"), runs=3)


@pytest.mark.parametrize("dropin", DROPINS, ids=names)
def test_its_cost_grows_as_the_originals(dropin: DropIn) -> None:
    """Elements written plus floating point operations, at two sizes: linear but for a logarithm."""
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
        run(side, sample, second=False)
    return written.count + flops.get_total_flops()
