"""Kernels launched in a trace: nothing runs, what they do to memory is read off their source."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from opscan.arguments import read_before_written
from opscan.errors import TraceError
from opscan.trace.driver import trace_target
from opscan.trace.graph import call_of, serves_weights
from opscan.trace.launches import KernelTarget
from tests.trace.tracing import call, floats, only, ops, trace

pytest.importorskip("triton", minversion="3.4", reason="before, tuned kernels need a device")

from tests import kernels

NOTHING = SimpleNamespace(adds=[], swaps=[], locked=[], tickets=[], tuned=False)


def launched(traced):
    """What the only launch of a trace does, by the names of its schema."""
    (node,) = (node for node in traced.ops() if isinstance(node.target, KernelTarget))
    return SimpleNamespace(**dict(zip((each.name for each in KernelTarget._schema.arguments), node.args, strict=True)))


def of(kernel, out_dtype=torch.float32, **constants):
    def step(x, index):
        return kernels.launch(kernel, x, index, torch.zeros(4, dtype=out_dtype, device="meta"), **constants)

    return launched(trace(step, floats(4), torch.zeros(4, dtype=torch.int64)))


CASES = {
    "an atomic addition of floats": (kernels.add_atomically, {"BLOCK": 64}, {"adds": ["out_ptr"]}),
    "not taken: a constexpr": (kernels.add_atomically, {"BLOCK": 64, "ATOMIC": False}, {}),
    "through helpers, and a name of its own": (kernels.add_through_helpers, {}, {"adds": ["out_ptr"]}),
    "a maximum is free of order": (kernels.largest, {}, {}),
    "the last one wins": (kernels.last_one_wins, {}, {"swaps": ["out_ptr"]}),
    "a lock around a sum": (
        kernels.add_under_a_lock, {}, {"locked": ["out_ptr"]},
    ),
    "an integer's old value used": (kernels.take_places, {}, {"tickets": ["index_ptr"]}),
    "a method, on the bits of a float": (kernels.add_by_method_and_bits, {}, {"swaps": ["out_ptr"]}),
    "a pointer that changes in a loop": (
        kernels.add_in_a_loop, {}, {"adds": ["index_ptr", "out_ptr", "x_ptr"]},
    ),
    "a branch on a scalar of the launch": (kernels.add_where_it_leads, {}, {"adds": ["out_ptr"]}),
    "an address read from memory": (kernels.add_from_an_address, {}, {"adds": ["?"]}),
    "no atomics": (kernels.copy_rows, {}, {}),
    "tuned, with a sum over a block": (kernels.tuned_sum, {}, {"tuned": True}),
    "tuned, without one": (kernels.tuned_copy, {}, {}),
    "a single configuration": (kernels.settled_sum, {}, {}),
    "some configurations add": (kernels.add_when_split, {}, {"adds": ["out_ptr"]}),
}  # fmt: skip


@pytest.mark.parametrize(("kernel", "constants", "expected"), CASES.values(), ids=CASES)
def test_what_hangs_on_order(kernel, constants, expected):
    found = of(kernel, **constants)
    assert {name: getattr(found, name) for name in vars(NOTHING)} == vars(NOTHING) | expected


@pytest.mark.parametrize("dtype", [torch.int32, torch.int64])
def test_counting_integers_is_free_of_order(dtype):
    found = of(kernels.count, out_dtype=dtype)
    assert (found.adds, found.tickets) == ([], [])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_counting_in_floats_is_not(dtype):
    assert of(kernels.count, out_dtype=dtype).adds == ["out_ptr"]


def test_one_launch_is_one_op_with_the_line_of_the_launch():
    def step(x, index):
        return kernels.copy_rows[(1,)](x, index, torch.empty_like(x), 4)

    node = next(node for node in trace(step, floats(4), torch.zeros(4)).ops() if isinstance(node.target, KernelTarget))
    assert str(node.target) == "triton.kernel.copy_rows"
    assert call_of(node).called == (__file__, step.__code__.co_firstlineno + 1)


class Scatter(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, index, weight):
        ctx.save_for_backward(index)
        return kernels.launch(kernels.copy_rows, x * weight, index, torch.empty_like(x))

    @staticmethod
    def backward(ctx, grad):
        (index,) = ctx.saved_tensors
        grad = kernels.launch(kernels.add_atomically, grad, index, torch.zeros_like(grad), BLOCK=64)
        return grad, None, grad


class Layer(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(4))

    def forward(self, x, index):
        return Scatter.apply(x, index, self.weight)


def test_a_launch_in_backward_belongs_to_the_module_that_caused_it():
    traced = trace(nn.Sequential(Layer())[0], floats(4), torch.zeros(4, dtype=torch.int64))
    found = call(traced, "kernel", "backward")
    assert found.module.type == "Layer"
    assert found.called.file == __file__.replace("trace/test_triton", "kernels")
    assert found.cause in serves_weights(traced)


def test_what_a_kernel_stores_to_is_written():
    traced = trace(Layer(), floats(4), torch.zeros(4, dtype=torch.int64))
    assert not read_before_written(only(traced, "empty_like"))


def test_what_a_kernel_reads_or_adds_to_is_not():
    def step(x, index):
        return kernels.launch(kernels.add_atomically, x, index, torch.empty_like(x), BLOCK=64)

    assert read_before_written(only(trace(step, floats(4), torch.zeros(4, dtype=torch.int64)), "empty_like"))


def test_integers_a_kernel_writes_are_made_up():
    def step(x):
        places = kernels.launch(kernels.copy_rows, x, x, torch.empty(4, dtype=torch.int64))
        return x.new_ones(3)[places] * places.sum().item()

    traced = trace(step, floats(4))
    assert [each.op for each in traced.inventions] == ["aten._local_scalar_dense.default"]


def test_a_tensor_of_the_users_is_as_it_was():
    seen = torch.arange(4)

    def step(x):
        return kernels.launch(kernels.count, x, seen, seen) + kernels.launch(kernels.copy_rows, x, x, seen)

    trace(step, floats(4))
    assert seen.tolist() == [0, 1, 2, 3]


def test_an_op_made_of_kernels_is_judged_by_them_each_time():
    def step(x, index):
        for _ in range(3):
            x = torch.ops.opscan_tests.add_atomically(x, index)
        return x

    traced = trace(step, floats(4), torch.zeros(4, dtype=torch.int64))
    assert [node.meta.get("launches") for node in ops(traced, "add_atomically")] == [1, 1, 1]
    assert [str(node.target) for node in ops(traced, "kernel")] == ["triton.kernel.add_atomically"] * 3


def test_torch_and_triton_are_as_they_were_also_when_the_model_fails():
    jit, tuner = sys.modules["triton.runtime.jit"], sys.modules["triton.runtime.autotuner"]
    before = jit.JITFunction.run, tuner.Autotuner.run, torch.cuda.get_device_properties, torch.cuda.device

    def step(x):
        kernels.launch(kernels.tuned_sum, x, x, x)
        raise ValueError

    with pytest.raises(TraceError):
        trace(step, floats(4))
    assert before == (jit.JITFunction.run, tuner.Autotuner.run, torch.cuda.get_device_properties, torch.cuda.device)
    assert kernels.tuned_sum.cache == {}


@pytest.mark.skipif(torch.cuda.is_available(), reason="asks for a device that is not there")
def test_a_launcher_that_asks_for_the_device_is_answered():
    def step(x):
        with torch.cuda.device(x.device):
            programs = torch.cuda.get_device_properties(x.device).multi_processor_count
        return kernels.launch(kernels.copy_rows, x, x, x.new_empty(programs, 4))

    assert only(trace(step, floats(4)), "new_empty").meta["tensors"].shape == (132, 4)


def test_strict_mode_of_the_code_is_noted_for_a_launch():
    def step(x):
        torch.use_deterministic_algorithms(False)
        return kernels.launch(kernels.copy_rows, x, x, torch.empty_like(x))

    assert call(trace(step, floats(4)), "kernel").strict_forced is False


LIGER = {
    "rms_norm.LigerRMSNorm": ([], []),
    "layer_norm.LigerLayerNorm": ([], []),
    "experimental.embedding.LigerEmbedding": (["embedding_backward_kernel"], ["grad_weight_ptr"]),
    "group_norm.LigerGroupNorm": (["_group_norm_backward_kernel"], ["DB_ptr", "DW_ptr"]),
}


@pytest.mark.parametrize("path", LIGER)
def test_liger_kernel(path):
    pytest.importorskip("liger_kernel")
    module, _, name = path.rpartition(".")
    cls = getattr(__import__(f"liger_kernel.transformers.{module}", fromlist=[name]), name)
    arguments = {"LigerEmbedding": (100, 64), "LigerGroupNorm": (64, 8)}.get(name, (64,))
    given = {"LigerEmbedding": torch.zeros(4, dtype=torch.int64), "LigerGroupNorm": floats(4, 64, 8)}
    traced = trace_target(cls(*arguments), (given.get(name, floats(4, 8, 64)),), {}, input_grad=True)
    adding = [node for node in ops(traced, "kernel") if node.args[4]]
    assert ([node.target.__name__ for node in adding], [each for node in adding for each in node.args[4]]) == LIGER[
        path
    ]
    assert {call_of(node).phase for node in adding} <= {"backward"}
