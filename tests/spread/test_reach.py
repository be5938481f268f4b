"""What findings reach, worked out by hand for each model."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from opscan.environment import make_environment
from opscan.examples.cnn import CNN_v2
from opscan.finding import Finding, Spread
from opscan.match import match, merged
from opscan.rules.load import load_rules
from opscan.spread.flow import flow_of
from opscan.spread.reach import reach
from opscan.trace.driver import trace_target
from opscan.trace.graph import Trace
from tests.trace.tracing import floats

RULES = load_rules()


def traced(call: Any, *args: Any, **options: Any) -> Trace:
    return trace_target(call, args, {}, watched=frozenset(RULES.by_call), **options)


def findings(call: Any, *args: Any, torch_version: str = "2.13", **options: Any) -> tuple[Finding, ...]:
    trace = traced(call, *args, **options)
    return reach(trace, match(trace, RULES, make_environment("cuda", torch_version))).matched.findings


def spread(op: str, call: Any, *args: Any, **options: Any) -> Spread:
    (finding,) = (each for each in findings(call, *args, **options) if op in (each.op, each.rule))
    assert finding.spread is not None
    return finding.spread


@pytest.mark.parametrize("torch_version", ["1.8.1", "2.13"])
def test_case_a_reaches_the_gradients_before_each_padding(torch_version: str) -> None:
    """Replication padding varies only in backward, where it adds up the gradient of what was padded.

    The backward of conv6's padding gives the gradient of conv6's *input*, the output of conv5's ReLU. Conv6's own
    weight and bias get their gradients before that, from the gradient of conv6's output and the padded input, and so do
    the classifiers: they repeat. Everything before hangs on it: the gradients of conv5 (weight and bias), and through
    conv5's input those of conv4, and so on to conv1. Conv1's padding reaches only the gradient of the image, which is
    computed where the image needs one. Forward, output and loss do not hang on any gradient.
    """
    pad = "aten.replication_pad2d_backward.default"
    expected = {f"conv{n}.{name}" for n in range(1, 6) for name in ("weight", "bias")}
    found = spread(pad, CNN_v2(10), floats(2, 3, 32, 32), input_grad=True, torch_version=torch_version)
    assert set(found.gradients) == expected
    assert len(found.gradients) == 10
    assert found.of_gradients == 16
    assert found.gradients[0].startswith("conv5.")  # backward comes to conv5 first
    assert found.gradients[-1].startswith("conv1.")
    assert (found.output, found.loss, found.inputs, found.read) == (False, False, True, ())

    found = spread(pad, CNN_v2(10), floats(2, 3, 32, 32), torch_version=torch_version)  # images need no gradient
    assert set(found.gradients) == expected
    assert not found.inputs


class Summed(nn.Module):
    """An index_add forward: its result varies, with all that comes after."""

    def __init__(self) -> None:
        super().__init__()
        self.before, self.after = nn.Linear(4, 4), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        x = self.before(x)
        return self.after(torch.zeros_like(x).index_add(0, ids, x))


IDS = torch.tensor([0, 0, 1, 1, 2])
BAG = "OPS452"  # the backward of EmbeddingBag(mode="max")
ADD = "aten.index_add.default"
ALL = {"before.weight", "before.bias", "after.weight", "after.bias"}


def test_a_forward_op_reaches_the_output_and_through_any_loss_all_gradients() -> None:
    found = spread(ADD, Summed(), floats(5, 4), IDS)
    assert (found.output, found.loss) == (True, False)
    assert set(found.gradients) == ALL


def test_with_a_loss_it_reaches_that_too() -> None:
    found = spread(ADD, Summed(), floats(5, 4), IDS, loss=lambda output: output.square().mean())
    assert (found.output, found.loss) == (True, True)
    assert set(found.gradients) == ALL


def test_a_linear_loss_gives_gradients_that_do_not_hang_on_the_forward() -> None:
    """d(sum of W y + b): dW = sum of y, which varies; db and dy do not hang on y, and so nothing before does."""
    found = spread(ADD, Summed(), floats(5, 4), IDS, loss=torch.sum)
    assert (found.output, found.loss) == (True, True)
    assert set(found.gradients) == {"after.weight"}


def test_without_backward_there_are_no_gradients() -> None:
    found = spread(ADD, Summed(), floats(5, 4), IDS, mode="eval")
    assert found == Spread(True, False, False, (), 0)


class Embedded(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.EmbeddingBag(10, 4, mode="max"), nn.Linear(4, 2)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.embedding(ids))


def test_an_embedding_reaches_its_own_gradient_alone() -> None:
    found = spread(BAG, Embedded(), torch.ones(3, 5, dtype=torch.long))
    assert found == Spread(False, False, False, ("embedding.weight",), 3)


class Detached(Summed):
    def forward(self, x: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        x = self.before(x)
        self.seen = torch.zeros_like(x).index_add(0, ids, x.detach())
        return self.after(x)


def test_what_nothing_uses_reaches_nothing() -> None:
    found = spread(ADD, Detached(), floats(5, 4), IDS)
    assert found == Spread(False, False, False, (), 4)


class Sizes(Summed):
    def forward(self, x: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        x = self.before(x)
        summed = torch.zeros_like(x).index_add(0, ids, x)
        return self.after(torch.ones_like(summed) + x)


def test_sizes_do_not_vary() -> None:
    assert spread(ADD, Sizes(), floats(5, 4), IDS) == Spread(False, False, False, (), 4)


class InPlace(Summed):
    """A view made before its memory is written to, used after."""

    def forward(self, x: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        x = self.before(x)
        memory = torch.zeros_like(x)
        view = memory[1:]
        memory.index_add_(0, ids, x.detach())
        return self.after(view)


def test_memory_written_to_varies_in_views_made_before() -> None:
    assert spread("aten.index_add_.default", InPlace(), floats(5, 4), IDS).output


class Reads(Summed):
    def forward(self, x: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        x = self.before(x)
        scale = torch.zeros_like(x).index_add(0, ids, x).sum().item()
        return self.after(x) * scale


def test_what_python_reads_is_said_and_not_followed() -> None:
    found = spread(ADD, Reads(), floats(5, 4), IDS)
    assert not found.output
    (line,) = found.read
    assert line.file == __file__


class Shared(nn.Module):
    """A tied weight: one gradient, added up from both uses."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding, self.head = nn.EmbeddingBag(10, 4, mode="max"), nn.Linear(4, 10, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(self.embedding(ids))


def test_a_tied_weight_has_one_gradient() -> None:
    found = spread(BAG, Shared(), torch.ones(3, 5, dtype=torch.long))
    assert found == Spread(False, False, False, ("embedding.weight",), 1)


def test_in_a_step_the_loss_is_what_it_differentiates() -> None:
    model = Summed()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def step(x: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
        optimizer.zero_grad()
        loss = F.mse_loss(model(x, ids), torch.zeros(5, 3))
        loss.backward()
        optimizer.step()
        return loss

    found = spread(ADD, step, floats(5, 4), IDS)
    assert (found.output, found.loss) == (False, True)
    assert set(found.gradients) == {f"model.{name}" for name in ALL}


def test_findings_of_one_verdict_are_in_the_order_of_what_they_reach() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.conv = nn.Embedding(10, 4), nn.Conv2d(4, 4, 1)

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            x = self.embedding(ids).permute(0, 3, 1, 2)
            x = F.interpolate(self.conv(x), scale_factor=2, mode="bilinear")
            return F.interpolate(self.conv(x), scale_factor=2, mode="bicubic")

    trace = traced(Two(), torch.ones(2, 5, 5, dtype=torch.long))
    outcome = reach(trace, match(trace, RULES, make_environment("cuda", "2.13"))).matched
    varying = [each for each in merged([outcome]).findings if each.verdict in ("raises", "switches")]
    reached = [(each.verdict, len(each.spread.gradients)) for each in varying if each.spread]
    assert len(reached) > 1
    assert reached == sorted(reached, key=lambda each: (each[0], -each[1]))


def test_what_cannot_vary_reaches_nothing() -> None:
    found = findings(nn.AvgPool3d(2), floats(1, 1, 4, 4, 4), input_grad=True)
    assert found
    assert all((each.spread is None) == (each.bits == "cannot vary") for each in found)


def test_flow_has_only_values_that_came_before() -> None:
    flow = flow_of(traced(CNN_v2(10), floats(2, 3, 32, 32)))
    assert all(parent < position for position, parents in enumerate(flow.parents) for parent in parents)


def test_a_gradient_added_in_place_hangs_on_both_passes() -> None:
    """Two backward passes into one gradient: the second is added to the first, in its memory."""
    model = nn.Linear(4, 4)

    def step(x: torch.Tensor, ids: torch.Tensor) -> None:
        torch.zeros(5, 4).index_add(0, ids, model(x)).square().sum().backward()
        model(x).sum().backward()

    assert set(spread(ADD, step, floats(5, 4), IDS).gradients) == {"model.weight", "model.bias"}


def test_a_gradient_has_the_name_of_its_parameter() -> None:
    trace = traced(nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3)), floats(2, 3), input_grad=True)
    names = [node.meta["gradient_of"] for node in trace.ops() if "gradient_of" in node.meta]
    assert sorted(set(names)) == ["", "0.bias", "0.weight", "1.bias", "1.weight"]
