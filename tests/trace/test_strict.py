"""What the user's code asks of strict mode during a trace is noted op by op, and changes nothing else."""

from __future__ import annotations

import sys
from contextlib import contextmanager, nullcontext
from queue import SimpleQueue

import pytest
import torch
from torch import are_deterministic_algorithms_enabled, nn, use_deterministic_algorithms
from torch.utils.checkpoint import checkpoint

from opscan.arguments import Arguments, Sources
from opscan.errors import TraceError
from opscan.trace.driver import constructing, trace_target
from opscan.trace.graph import call_of
from tests.trace.tracing import call, floats, only, ops, trace


@contextmanager
def switched(mode):
    before = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(mode)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warn_only)


@contextmanager
def switched_by_name(mode):
    before = are_deterministic_algorithms_enabled()
    use_deterministic_algorithms(mode)
    try:
        yield
    finally:
        use_deterministic_algorithms(before)


@contextmanager
def switched_by_debug_mode(mode):
    before = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode("error" if mode else "default")
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(before)


IN_TORCH = {"__name__": "torch.testing._internal.common_utils", "torch": torch}
exec(
    """
class DeterministicGuard:  # as torch 2.13 has it there, in a file that needs expecttest
    def __init__(self, deterministic, *, warn_only=False):
        self.deterministic, self.warn_only = deterministic, warn_only

    def __enter__(self):
        self.deterministic_restore = torch.are_deterministic_algorithms_enabled()
        self.warn_only_restore = torch.is_deterministic_algorithms_warn_only_enabled()
        torch.use_deterministic_algorithms(self.deterministic, warn_only=self.warn_only)

    def __exit__(self, *args):
        torch.use_deterministic_algorithms(self.deterministic_restore, warn_only=self.warn_only_restore)
""",
    IN_TORCH,
)
DeterministicGuard = IN_TORCH["DeterministicGuard"]

WAYS = [switched, switched_by_name, switched_by_debug_mode, DeterministicGuard]


def forced(traced, name, phase=None):
    return call(traced, name, phase).strict_forced


@pytest.mark.parametrize("mode", [True, False])
@pytest.mark.parametrize("way", WAYS)
def test_a_region_is_forced_and_what_follows_is_as_before(way, mode):
    def step(x):
        y = x.sin()
        with way(mode):
            y = y.cos()
        return y.tan()

    traced = trace(step, floats(3))
    assert [forced(traced, name) for name in ("sin", "cos", "tan")] == [None, mode, None]


@pytest.mark.parametrize("way", WAYS)
def test_regions_nest(way):
    def step(x):
        with way(True):
            with way(False):
                x = x.sin()
            x = x.cos()
        return x.tan()

    traced = trace(step, floats(3))
    assert [forced(traced, name) for name in ("sin", "cos", "tan")] == [False, True, None]


def test_turned_on_again_without_having_asked_is_on():
    def step(x):
        torch.use_deterministic_algorithms(False)
        x = x.sin()
        torch.use_deterministic_algorithms(True)
        return x.cos()

    traced = trace(step, floats(3))
    assert [forced(traced, name) for name in ("sin", "cos")] == [False, True]


def test_warn_only_is_neither():
    def step(x):
        torch.use_deterministic_algorithms(False)
        torch.use_deterministic_algorithms(True, warn_only=True)
        return x.sin()

    assert forced(trace(step, floats(3)), "sin") is None


def test_an_op_of_backward_ran_after_the_region_its_forward_ran_in():
    def step(x):
        with switched(False):
            return x.sin()

    traced = trace(step, floats(3), input_grad=True)
    backward = only(traced, "cos", "backward")
    assert call_of(backward).strict_forced is None
    assert call_of(call_of(backward).cause).strict_forced is False


def test_backward_within_the_region():
    def step(x):
        with switched(False):
            x.sin().sum().backward()

    traced = trace(step, floats(3).requires_grad_())
    assert forced(traced, "cos", "backward") is False


def test_a_forward_that_a_checkpoint_runs_again_is_in_its_region_again():
    class Block(nn.Module):
        def forward(self, x):
            with switched(False):
                return x.sin().exp()

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.block = Block()

        def forward(self, x):
            return checkpoint(self.block, x, use_reentrant=False)

    traced = trace(Model(), floats(3), input_grad=True)
    assert [call_of(node).strict_forced for node in ops(traced, "sin")] == [False, False]


def strict_in_forward(traced, name, phase):
    node = only(traced, name, phase)
    return Arguments(node, call_of(node), Sources(traced))["strict_in_forward"]


@pytest.mark.parametrize(("mode", "expected"), [(False, False), (True, True), (None, True)])
@pytest.mark.parametrize(("name", "phase"), [("sin", "forward"), ("cos", "backward")])
def test_the_fact_is_false_only_where_the_code_turned_it_off(mode, expected, name, phase):
    def step(x):
        if mode is None:
            return x.sin()
        with switched(mode):
            return x.sin()

    assert strict_in_forward(trace(step, floats(3), input_grad=True), name, phase) is expected


def test_a_composite_call_notes_it_too():
    def step(x):
        with switched(False):
            return nn.functional.scaled_dot_product_attention(x, x, x)

    traced = trace_target(
        step, (floats(2, 4, 8, 16),), {}, watched=frozenset({"torch.nn.functional.scaled_dot_product_attention"})
    )
    assert [composite.strict_forced for composite in traced.composites] == [False]


def test_code_finds_what_it_asked_for():
    found = SimpleQueue()  # a list would be put back

    def step(x):
        for mode in (True, False):
            torch.use_deterministic_algorithms(mode)
            found.put((torch.are_deterministic_algorithms_enabled(), are_deterministic_algorithms_enabled()))
            found.put(torch.get_deterministic_debug_mode())
        return x.sin()

    trace(step, floats(3))
    assert [found.get() for _ in range(found.qsize())] == [(True, True), 2, (False, False), 0]


def test_torch_itself_finds_strict_mode_off():
    """index_put's and other meta kernels in Python raise when they find it on; so do CPU kernels in C++."""

    def step(x):
        torch.use_deterministic_algorithms(True)
        torch._prims_common.alert_not_deterministic("a meta kernel")
        torch.zeros(3, dtype=torch.long).put_(torch.tensor([0]), torch.tensor([1]))
        return x.sin()

    assert forced(trace(step, floats(3)), "sin") is True


@pytest.mark.parametrize("fails", [True, False])
@pytest.mark.parametrize(("strict", "warn_only"), [(False, False), (True, False), (True, True)])
def test_the_process_is_as_it_was(strict, warn_only, fails):
    functions = torch.use_deterministic_algorithms, torch._C._set_deterministic_algorithms

    def step(x):
        use_deterministic_algorithms(not strict)
        torch.use_deterministic_algorithms(not strict)
        if fails:
            raise ValueError
        return x.sin()

    with DeterministicGuard(strict, warn_only=warn_only):
        with pytest.raises(TraceError) if fails else nullcontext():
            trace(step, floats(3))
        assert torch.are_deterministic_algorithms_enabled() is strict
        assert torch.is_deterministic_algorithms_warn_only_enabled() is warn_only
        assert getattr(sys.modules.get("torch._inductor.config"), "deterministic", strict) is strict
    assert (torch.use_deterministic_algorithms, torch._C._set_deterministic_algorithms) == functions


def test_a_constructor_that_turns_it_on_leaves_the_process_alone():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            torch.use_deterministic_algorithms(True)

    with constructing():
        Model()
    assert torch.are_deterministic_algorithms_enabled() is False
