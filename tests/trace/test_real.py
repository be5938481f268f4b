"""`--trace-device cpu`: the same report from a step that runs for real, and nothing of the user's changed by it."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

import opscan
from opscan.errors import TraceError
from opscan.observe import plan as plan_module
from opscan.trace.autocast import Casting
from opscan.trace.driver import trace_target
from opscan.trace.real import trace_on_cpu
from tests.trace.tracing import floats, ops, packet


def on_cpu(call, *args, amp=None, **how):
    return trace_on_cpu(call, args, {}, watched=frozenset(), casting=Casting("cuda", amp), **how)


class Branching(nn.Module):
    """Which op runs hangs on the weights."""

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4, bias=False)
        nn.init.constant_(self.layer.weight, weight)
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        y = self.layer(x)
        return y.cumsum(0) if y.sum() > 0 else y.flip(0)


@pytest.mark.parametrize(("weight", "taken"), [(1.0, "cumsum"), (-1.0, "flip")])
def test_the_way_that_the_values_take_is_traced_and_no_other(weight, taken):
    report = opscan.check(Branching(weight), (torch.ones(2, 4),), trace_device="cpu")
    assert not any("both ways" in line for line in report.assumptions)
    trace = on_cpu(Branching(weight), torch.ones(2, 4))
    assert {packet(node) for node in ops(trace, None, "forward")} & {"cumsum", "flip"} == {taken}
    assert trace.inventions == ()


def test_the_ops_are_those_of_a_trace_on_meta():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 5))
    x = torch.randn(2, 3, 8, 8)
    real, meta = on_cpu(model, x), trace_target(model, (x,), {})
    assert [packet(node) for node in real.ops()] == [packet(node) for node in meta.ops()]


def test_devices_that_the_code_names_are_out_of_the_way():
    trace = on_cpu(lambda x: x.cuda() + torch.ones(3, device="cuda").to("cuda:0"), torch.ones(3))
    assert [packet(node) for node in ops(trace)] == ["ones", "add"]


def test_amp_is_that_of_the_target_device():
    """prod keeps its precision on CUDA and gives float32; on the CPU it is cast."""
    trace = on_cpu(lambda x: x.prod(), torch.ones(3, dtype=torch.float16), amp="fp16")
    assert [packet(node) for node in ops(trace)] == ["prod"]


def test_the_model_is_afterwards_as_it_was():
    torch.manual_seed(3)
    model, x = Branching(1.0), torch.ones(2, 4)
    before, draws = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    opscan.check(model, (x,), trace_device="cpu", run=False)
    assert all(torch.equal(value, model.state_dict()[name]) for name, value in before.items())
    assert model.layer.weight.grad is None
    assert x.grad is None
    assert torch.equal(draws, torch.get_rng_state())


def test_a_weight_in_a_closure_keeps_the_gradient_it_had():
    weight = torch.ones(3, requires_grad=True)
    weight.sum().backward()
    on_cpu(lambda x: (x * weight).sum(), torch.ones(3))
    assert torch.equal(weight.grad, torch.ones(3))


def test_inputs_and_a_target_that_nobody_gave_get_values():
    report = opscan.check(
        "opscan.examples.cnn:CNN_v4", (floats(2, 3, 32, 32),), loss="cross_entropy", trace_device="cpu"
    )
    assert report.backward_ops > 20
    report = opscan.check(nn.Linear(3, 2), (floats(4, 3),), loss="mse_loss", trace_device="cpu")
    assert report.backward_ops > 2
    assert report.assumptions[0].startswith("traced on the CPU for real")


def test_a_model_that_does_not_fit_is_not_tried(monkeypatch):
    monkeypatch.setattr(plan_module, "free_memory", lambda device: 10)
    with pytest.raises(TraceError, match=r"the model alone takes .* MiB.*\n.*--trace-device"):
        opscan.check(nn.Linear(3, 2), (floats(4, 3),), trace_device="cpu")


def test_a_trace_device_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="trace_device"):
        opscan.check(nn.Linear(3, 2), (floats(4, 3),), trace_device="cuda")
