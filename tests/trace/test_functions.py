"""torch.autograd.Functions that rules name: recorded as composites, and named when they cannot be traced."""

from __future__ import annotations

import pickle
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from torch.autograd import Function

import opscan
from opscan.errors import TraceError
from opscan.observe.run import DeviceRegime
from opscan.rules.load import load_rules
from opscan.trace.driver import trace_target, trace_under
from opscan.trace.functions import function_name
from opscan.trace.graph import CompositeCall, TensorInfo, Trace, call_of
from tests.trace.tracing import floats, only


class Pools(Function):
    @staticmethod
    def forward(ctx, x, size, weight=None):
        ctx.save_for_backward(x)
        return x.exp()

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad.mul(x).atan(), None, None


class Inherits(Pools):
    pass


class SetsUp(Function):
    @staticmethod
    def forward(x, size=3):
        return x.exp()

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(output)

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.saved_tensors[0], None


class Compiled(Function):
    """Its kernel is not there for meta, as that of a pybind module."""

    @staticmethod
    def forward(ctx, x):
        if x.is_meta:
            raise RuntimeError("implementation for device meta not found")
        return x.exp()

    @staticmethod
    def backward(ctx, grad):
        return grad


class Nests(Function):
    @staticmethod
    def forward(ctx, x):
        return Pools.apply(x, 2).sin()

    @staticmethod
    def backward(ctx, grad):
        return grad


kept = Pools.apply
kept_inherited = Inherits.apply
kept_set_up = SetsUp.apply
WATCHED = frozenset(map(function_name, (Pools, Inherits, SetsUp, Compiled, Nests)))


def traced(step, *args, input_grad: bool = True, mode: str = "train") -> Trace:
    return trace_target(step, args, {}, input_grad=input_grad, watched=WATCHED, mode=mode)  # type: ignore[arg-type]


def only_call(trace: Trace) -> CompositeCall:
    assert len(trace.composites) == 1
    return trace.composites[0]


@pytest.mark.parametrize(
    ("step", "name"),
    [
        (lambda x: Pools.apply(x, 2), "Pools"),
        (lambda x: kept(x, 2), "Pools"),
        (lambda x: Inherits.apply(x, 2), "Inherits"),
        (lambda x: kept_inherited(x, 2), "Inherits"),
        (lambda x: SetsUp.apply(x, 2), "SetsUp"),
        (lambda x: kept_set_up(x, 2), "SetsUp"),
    ],
    ids=["looked up", "kept", "inherited", "inherited and kept", "with setup_context", "with setup_context and kept"],
)
def test_a_watched_function_is_a_composite_once_and_its_ops_are_children(step, name):
    trace = traced(step, floats(3, 4))
    call = only_call(trace)
    assert call.name == f"{__name__}.{name}"
    info, size = call.args
    assert isinstance(info, TensorInfo)
    assert (info.shape, info.requires_grad, size) == ((3, 4), True, 2)
    assert call.phase == "forward"
    assert call.called is not None
    assert Path(call.called.file) == Path(__file__)
    assert call_of(only(trace, "exp")).composite == 0
    assert {call_of(node).composite for node in trace.ops() if "mul" in str(node.target)} == {0}


def test_a_function_nobody_watches_is_none():
    trace = trace_target(lambda x: Pools.apply(x, 2), (floats(3),), {}, input_grad=True)
    assert trace.composites == ()
    assert call_of(only(trace, "exp")).composite is None


def test_a_function_within_another_is_its_child():
    assert only_call(traced(lambda x: Nests.apply(x), floats(3))).name == f"{__name__}.Nests"


@pytest.mark.parametrize("apply", [Pools.apply, lambda x, size: Pools.apply(x, size)], ids=["kept", "looked up"])
def test_no_argument_needs_a_gradient_where_gradients_are_off(apply):
    weight = torch.nn.Parameter(floats(3))

    def step(x):
        with torch.no_grad():
            apply(weight, 2)
        return x * 2

    assert [info.requires_grad for info in only_call(traced(step, floats(3))).args[:1]] == [False]
    assert [info.requires_grad for info in only_call(traced(lambda x: apply(weight, 2), floats(3))).args[:1]] == [True]
    eval_call = only_call(traced(lambda x: apply(weight, 2), floats(3), input_grad=False, mode="eval"))
    assert [info.requires_grad for info in eval_call.args[:1]] == [False]


@pytest.mark.parametrize("apply", [Pools.apply, lambda x, size: Pools.apply(x, size)], ids=["kept", "looked up"])
def test_the_backward_of_a_watched_function_is_tied_to_its_forward(apply):
    trace = traced(lambda x: apply(x.neg(), 2).cos(), floats(3))
    atan = call_of(only(trace, "atan"))
    assert atan.cause is only(trace, "exp")
    assert atan.composite == 0


def test_a_run_on_a_device_records_the_same_call():
    trace = trace_under(
        DeviceRegime(torch.device("cpu"), WATCHED, strict=False),
        lambda x: kept(x, 2),
        (torch.ones(3, 4),),
        {},
        input_grad=True,
    )
    assert only_call(trace).name == f"{__name__}.Pools"
    assert only_call(trace).args[0].requires_grad


@pytest.mark.parametrize("fails", [False, True], ids=["after a trace", "after a failure"])
def test_classes_are_as_they_were(fails):
    before = [dict(vars(each)) for each in (Function, Pools, Inherits, SetsUp, Compiled)]
    if fails:
        with pytest.raises(TraceError):
            traced(lambda x: Compiled.apply(x), floats(3))
    else:
        traced(lambda x: kept(x, 2), floats(3))
    assert [dict(vars(each)) for each in (Function, Pools, Inherits, SetsUp, Compiled)] == before


def reraises(x):
    try:
        return Compiled.apply(x)
    except RuntimeError as error:
        raise ValueError("no such device") from error


def goes_on(x):
    with suppress(RuntimeError):
        Compiled.apply(x)
    raise ValueError("something else")


@pytest.mark.parametrize(
    ("step", "name"),
    [
        (lambda x: Compiled.apply(x), "Compiled"),
        (reraises, "Compiled"),
        (goes_on, None),
        (lambda x: Pools.apply(x, 2) @ x, None),
    ],
    ids=["the function fails", "the model raises another error for it", "it was caught", "something after it fails"],
)
def test_the_error_names_the_function_that_failed(step, name):
    with pytest.raises(TraceError) as caught:
        traced(step, floats(3, 4))
    assert caught.value.call == (f"{__name__}.{name}" if name else "")


@pytest.fixture
def above_dispatch():
    """An op whose kernel is registered without a dispatch key and refuses meta, as those of torch_scatter."""

    def kernel(x):
        if x.is_meta:
            raise RuntimeError("src must be CPU tensor")
        return x.clone()

    library = torch.library.Library("opscan_tests_above", "FRAGMENT")
    library.define("reduce(Tensor x) -> Tensor")
    library.impl("reduce", kernel, "CompositeImplicitAutograd")
    yield torch.ops.opscan_tests_above.reduce
    library._destroy()


@pytest.mark.parametrize("is_watched", [True, False])
def test_the_error_names_the_op_above_dispatch_that_failed(above_dispatch, is_watched):
    name = "torch.ops.opscan_tests_above.reduce"
    with pytest.raises(TraceError) as caught:
        trace_target(above_dispatch, (floats(3),), {}, watched=frozenset({name} if is_watched else ()))
    assert caught.value.call == (name if is_watched else "")


def test_an_op_above_dispatch_is_recorded_by_its_name(above_dispatch):
    watched = frozenset({"torch.ops.opscan_tests_above.reduce"})
    trace = trace_under(DeviceRegime(torch.device("cpu"), watched, strict=False), above_dispatch, (torch.ones(3),), {})
    assert only_call(trace).name in watched
    assert call_of(only(trace, "clone")).composite == 0


def test_the_error_survives_pickling_with_its_call():
    error = TraceError("what", "where", "hint", "mmcv.ops.roi_align.RoIAlignFunction")
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.call) == (str(error), error.call)


def test_a_scan_that_fails_in_a_known_kernel_says_what_the_rules_know():
    body = {key: vars(Compiled)[key] for key in ("forward", "backward")} | {"__module__": "mmcv.ops.roi_align"}
    function = type(Function)("RoIAlignFunction", (Function,), body)

    class Net(torch.nn.Module):
        def forward(self, x):
            return function.apply(x)  # type: ignore[attr-defined]

    with pytest.raises(TraceError) as caught:
        opscan.check(Net(), (floats(2, 3),), device="cuda")
    assert "implementation for device meta not found" in caught.value.what
    title = next(rule.title for rule in load_rules().rules if rule.id == "OPS1201")
    assert f"On cuda OPS1201 says silent: {title}" in caught.value.hint
    assert caught.value.hint.startswith("mmcv.ops.roi_align.RoIAlignFunction runs a compiled kernel")
    assert caught.value.hint.endswith("opscan rules show OPS1201")
    with pytest.raises(TraceError, match="On cpu OPS1201 says nothing"):
        opscan.check(Net(), (floats(2, 3),), device="cpu", run=False)


def test_every_function_a_rule_names_has_a_stand_in():
    from tests import declared  # noqa: F401  declares them

    named = {name for name in load_rules().by_call if not name.startswith("torch.")}
    assert "mmcv.ops.roi_align.RoIAlignFunction" in named
    assert named <= {function_name(each) for each in Function.__subclasses__()}
