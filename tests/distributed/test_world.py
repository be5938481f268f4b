"""A step of many ranks, traced in one process: its collectives are there, and nothing of the world is left behind."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from queue import SimpleQueue

import pytest
import torch
import torch.distributed as dist
from torch import nn

import opscan
from opscan.distributed.collectives import Collective, collectives_of
from opscan.distributed.world import world
from opscan.errors import EnvironmentSpecError, TraceError
from opscan.report.report import Report
from opscan.trace.driver import trace_target
from opscan.trace.graph import Trace
from tests.distributed import steps

pytestmark = pytest.mark.skipif(not dist.is_available(), reason="a torch without torch.distributed")


def traced(step: Callable[[], object], size: int) -> Trace:
    with world(size):
        return trace_target(step, (), {})


def called(step: Callable[[], object], size: int) -> list[Collective]:
    return collectives_of(traced(step, size).graph)


def names(collectives: list[Collective]) -> list[str]:
    return [each.op.split(".")[1] for each in collectives]


@pytest.mark.parametrize("size", [1, 8, 64])
def test_ddp_sends_its_weights_once_and_a_bucket_of_all_gradients(size: int) -> None:
    found = called(steps.ddp, size)
    weights = sum(each.numel() for each in steps.Net().parameters())
    assert names(found) == ["broadcast_", "allreduce_"]
    assert [each.number for each in found] == [0, 1]
    assert {(each.size, each.numel, each.dtype) for each in found} == {(size, weights, torch.float32)}
    assert found[1].reduces == "sum"


def test_fsdp_gathers_each_layer_twice_and_scatters_its_gradients() -> None:
    found = called(steps.fsdp, 8)
    assert names(found).count("_allgather_base_") == 5  # the root is not gathered again
    assert names(found).count("_reduce_scatter_base_") == 3
    assert {each.reduces for each in found if "reduce_scatter" in each.op} == {"avg"}
    assert {each.size for each in found} == {8}


def test_a_row_parallel_layer_is_reduced_over_its_own_dimension_of_the_mesh() -> None:
    found = [each for each in called(steps.tensor_parallel, 8) if "all_reduce" in each.op]
    assert len(found) == 4  # forward of each down, backward of each up
    assert {each.size for each in found} == {2}


def test_sequence_parallelism_gathers_before_a_layer_and_scatters_after_it() -> None:
    found = called(steps.sequence_parallel, 4)
    assert {"all_gather_into_tensor", "reduce_scatter_tensor"} <= set(names(found))
    assert all(each.size == 4 for each in found)


def test_experts_are_reached_by_all_to_all_forward_and_backward() -> None:
    assert names(called(steps.expert_parallel, 4)) == ["all_to_all_single"] * 4


def test_the_first_stage_of_a_pipeline_sends_what_it_made_and_receives_gradients() -> None:
    found = [each for each in called(steps.pipelined, 2) if each.dtype == torch.float32]
    assert sorted(names(found)) == ["recv_", "recv_", "send", "send"]
    assert {each.numel for each in found} == {16}


def test_an_object_that_another_rank_is_to_send_is_said_with_what_to_do() -> None:
    def step() -> None:
        dist.init_process_group("gloo")
        dist.recv_object_list([None], 1)

    with pytest.raises(EnvironmentSpecError, match=r"recv_object_list.*\n.*input_args=") as told:
        traced(step, 2)
    assert "test_world.py" in told.value.where


def test_what_is_received_is_what_was_sent() -> None:
    assert names(called(steps.own_messages, 2)) == ["send", "recv_"]


ASYNCHRONOUS = [steps.ddp, steps.fsdp, steps.tensor_parallel, steps.sequence_parallel, steps.expert_parallel]


@pytest.mark.parametrize("step", [*ASYNCHRONOUS, steps.pipelined], ids=lambda each: each.__name__)
def test_what_torch_overlaps_it_waits_for(step: Callable[[], object]) -> None:
    report = opscan.check(step, world_size=4)
    assert report.world is not None
    assert report.world.messages
    assert "OPS865" not in {finding.rule for finding in report.findings}


def test_memory_that_a_collective_fills_is_not_taken_for_unwritten() -> None:
    for step in (steps.fsdp, steps.tensor_parallel):
        assert "uninitialized" not in opscan.check(step, world_size=8).counts()


def test_what_a_reduction_is_comes_from_the_call() -> None:
    def step() -> None:
        dist.init_process_group("gloo")
        dist.all_reduce(torch.ones(4), dist.ReduceOp.MAX)
        dist.reduce_scatter_tensor(torch.empty(1), torch.ones(4), dist.ReduceOp.AVG)
        dist.all_reduce(torch.ones(4))

    assert [each.reduces for each in called(step, 4)] == ["max", "avg", "sum"]


def test_known_values_are_gathered_as_if_every_rank_had_the_same() -> None:
    seen: SimpleQueue[object] = SimpleQueue()  # a list would be put back

    def step() -> None:
        dist.init_process_group("nccl")
        everyone: list[object] = [None] * dist.get_world_size()
        dist.all_gather_object(everyone, {"rank": dist.get_rank()})
        seen.put(everyone)

    traced(step, 3)
    assert seen.get() == [{"rank": 0}] * 3


def report_on(step: Callable[..., object], size: int) -> Report:
    return opscan.check(step, world_size=size)


def test_a_sum_of_two_ranks_is_no_finding_and_of_eight_is_one() -> None:
    rules = {finding.rule for finding in report_on(steps.ddp, 2).findings}
    assert "OPS864" not in rules
    assert "OPS864" in {finding.rule for finding in report_on(steps.ddp, 8).findings}


def test_a_bare_module_is_put_into_ddp_and_says_so() -> None:
    net = steps.Net()
    report = opscan.check(net, (torch.randint(0, 50, (2, 8)),), world_size=8)
    assert any(line.startswith("DistributedDataParallel(model)") for line in report.assumptions)
    assert report.world is not None
    assert [each.op for each in report.world.messages] == ["c10d.broadcast_.default", "c10d.allreduce_.default"]
    assert [each.depends_on_size for each in report.world.messages] == [False, True]
    assert not any(finding.modules == ("module",) for finding in report.findings)


def test_a_module_in_ddp_is_put_there_anew_and_its_path_is_the_models_own() -> None:
    with world(4):
        dist.init_process_group("gloo")
        net = nn.parallel.DistributedDataParallel(
            nn.Sequential(nn.Conv2d(3, 3, 3, padding=1, padding_mode="replicate"))
        )
        report = opscan.check(net, (torch.rand(1, 3, 8, 8),))
    assert any("anew" in line for line in report.assumptions)
    assert [finding.modules for finding in report.findings if finding.verdict == "switches"] == [("0",)]


def test_models_wrapped_outside_the_step_are_traced_and_stay_as_they_were() -> None:
    with world(8):
        dist.init_process_group("gloo")
        copied = nn.parallel.DistributedDataParallel(steps.Net())
        split = steps.sharded(steps.Net())
        reducer, weights = copied.reducer, dict(split.named_parameters())
        both = trace_target(lambda: (steps.train(copied), steps.train(split)), (), {})
        assert copied.reducer is reducer
        assert all(each is weights[name] for name, each in split.named_parameters())
        assert all(each.grad is None for each in (*copied.parameters(), *split.parameters()))
    found = names(collectives_of(both.graph))
    assert found.count("allreduce_") == 1
    assert found.count("_reduce_scatter_base_") == 3


def test_sharded_weights_are_weights_also_when_inputs_need_a_gradient() -> None:
    class Padded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(3, 4, 3, padding=1)
            self.second = nn.Conv2d(4, 4, 3, padding=1, padding_mode="replicate")

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.second(self.first(x))

    with world(4):
        dist.init_process_group("nccl")
        from torch.distributed.fsdp import fully_shard

        report = opscan.check(fully_shard(Padded()), (torch.rand(2, 3, 8, 8),))
    (finding,) = [each for each in report.findings if each.verdict in ("raises", "switches")]
    assert not any(place.for_inputs for place in finding.places)


# -- what is left behind


def state() -> list[object]:
    doors = torch.distributed.init_process_group, torch.distributed.distributed_c10d.rendezvous, torch.cuda.set_device
    return [dict(os.environ), sys.excepthook, list(sys.meta_path), dist.is_initialized(), *doors]


@pytest.mark.parametrize(
    "step", [steps.ddp, steps.fsdp, steps.tensor_parallel, steps.fails], ids=lambda each: each.__name__
)
def test_the_process_is_afterwards_as_it_was(step: Callable[[], object]) -> None:
    before = state()
    if step is steps.fails:
        with pytest.raises(TraceError, match="no such batch"):
            traced(step, 4)
    else:
        traced(step, 4)
    assert state() == before


def test_dtensor_remembers_no_mesh_of_the_world() -> None:
    from torch.distributed.tensor import DTensor

    traced(steps.tensor_parallel, 4)
    propagator = DTensor._op_dispatcher.sharding_propagator
    assert propagator.propagate_op_sharding.cache_info().currsize == 0


@pytest.mark.parametrize("size", [0, -1])
def test_a_world_has_at_least_one_rank(size: int) -> None:
    with pytest.raises(EnvironmentSpecError, match="at least one rank"):
        opscan.check(steps.ddp, world_size=size)


def test_a_group_that_is_there_already_is_not_taken_over() -> None:
    with world(2):
        dist.init_process_group("gloo")
        with pytest.raises(EnvironmentSpecError, match="already"), world(4):
            pass
        assert dist.get_world_size() == 2
