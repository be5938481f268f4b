"""Judging a trace: a pure function of (trace, rules, environment)."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils.checkpoint import checkpoint

import opscan
from opscan.environment import make_environment
from opscan.finding import Finding
from opscan.match import match
from opscan.rules.load import load_rules
from opscan.rules.schema import DefaultBehaviour, StrictBehaviour, verdict_of
from opscan.scan import make_report
from opscan.trace.driver import trace_target
from opscan.trace.graph import Trace

IMAGES = torch.empty(2, 3, 16, 16, device="meta")


def trace_of(model: nn.Module, *inputs: torch.Tensor, assumed: bool = False) -> Trace:
    watched = frozenset(load_rules().by_call)
    return trace_target(model, inputs, {}, input_grad=True, watched=watched, assumed_sizes=assumed)


def findings_of(trace: Trace, version: str = "2.13", device: str = "cuda") -> dict[str, Finding]:
    matched = match(trace, load_rules(), make_environment(device, version))
    return {finding.op: finding for finding in matched.findings}


@pytest.mark.parametrize(
    ("default", "strict", "verdict"),
    [
        ("nondeterministic", "raises", "raises"),
        ("deterministic", "raises", "raises"),
        ("nondeterministic", "deterministic", "switches"),
        ("nondeterministic", "nondeterministic", "silent"),
        ("setting", "raises", "config"),
        ("seeded", "seeded", "random"),
        ("uninitialized", "filled", "uninitialized"),
        ("deterministic", "deterministic", None),
    ],
)
def test_the_verdict_follows_from_the_two_modes(
    default: DefaultBehaviour, strict: StrictBehaviour, verdict: str | None
) -> None:
    assert verdict_of(default, strict) == verdict


@pytest.mark.parametrize(
    ("version", "verdict", "alert"),
    [
        ("1.7.1", "raises", "replication_pad2d_backward_cuda"),
        ("1.8.1", "raises", "replication_pad2d_backward_cuda"),
        ("2.1.2", "raises", "replication_pad2d_backward_cuda"),
        ("2.2.0", "switches", None),
        ("2.15.0", "switches", None),
    ],
)
def test_one_trace_is_judged_for_any_version(version: str, verdict: str, alert: str | None) -> None:
    trace = trace_of(nn.Sequential(nn.ReplicationPad2d(1)), IMAGES)
    finding = findings_of(trace, version)["aten.replication_pad2d_backward.default"]
    assert (finding.verdict, finding.alert, finding.predicted, finding.observed) == (verdict, alert, verdict, None)


def test_the_way_round_counts_only_for_ops_that_come_through_it() -> None:
    class Direct(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            padded: torch.Tensor = torch.ops.aten.replication_pad2d(x, [1, 1, 1, 1])
            return padded

    both = nn.Sequential(nn.ReplicationPad2d(1), Direct())
    matched = match(trace_of(both, IMAGES), load_rules(), make_environment("cuda", "2.13"))
    assert {(finding.verdict, finding.modules) for finding in matched.findings} == {
        ("switches", ("0",)),
        ("raises", ("1",)),
    }


def test_thresholds_on_sizes_are_judged_only_when_the_sizes_were_given() -> None:
    few, many = nn.Embedding(16, 8), torch.zeros(64, 512, dtype=torch.int64)
    op = "aten.embedding_dense_backward.default"
    assumed = findings_of(trace_of(few, many[:1, :4], assumed=True))
    assert "Only where" in assumed[op].message
    assert op not in findings_of(trace_of(few, many[:1, :4]))
    assert "Only where" not in findings_of(trace_of(few, many))[op].message


@pytest.mark.parametrize(
    ("positions", "repeats"),
    [
        pytest.param(lambda ids: torch.arange(ids.shape[1]), False, id="arange repeats for no batch"),
        pytest.param(lambda ids: torch.arange(ids.shape[1]).expand_as(ids), True, id="one arange per row"),
        pytest.param(lambda ids: ids[0], True, id="ids of a batch may repeat in another"),
        pytest.param(lambda ids: torch.randint(16, (ids.shape[1],)), True, id="random numbers too"),
    ],
)
def test_an_index_repeats_unless_the_model_itself_makes_it_distinct(
    positions: Callable[[torch.Tensor], torch.Tensor], repeats: bool
) -> None:
    class Positions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(16, 8)

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            embedded: torch.Tensor = self.table(positions(ids))
            return embedded

    found = findings_of(trace_of(Positions(), torch.arange(16).view(2, 8), assumed=True))
    assert ("aten.embedding_dense_backward.default" in found) is repeats


def test_both_ways_are_found_where_the_way_hangs_on_values() -> None:
    class Depth(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = F.pad(x, (1, 1), mode="replicate") if torch.rand(1).item() > 0.5 else x
            return F.pad(x, (1, 1), mode="reflect") if x.mean() < 0 else x

    report = opscan.check(Depth(), (torch.zeros(2, 3, 8),))
    assert {finding.op: finding.count for finding in report.findings if finding.verdict != "random"} == {
        "aten.replication_pad1d_backward.default": 1,
        "aten.reflection_pad1d_backward.default": 1,
    }
    assert sum("both ways" in line for line in report.assumptions) == 2


def test_ops_under_a_composite_call_are_not_findings_of_their_own() -> None:
    class Attention(nn.Module):
        def forward(self, q: torch.Tensor) -> torch.Tensor:
            return F.scaled_dot_product_attention(q, q, q)

    found = findings_of(trace_of(Attention(), torch.empty(2, 4, 16, 32, device="meta")))
    assert set(found) == {"torch.nn.functional.scaled_dot_product_attention"}


def test_a_composite_inside_another_torch_function_is_seen() -> None:
    encoder = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
    found = findings_of(trace_of(encoder, torch.empty(2, 5, 32, device="meta")))
    assert found["torch.nn.functional.scaled_dot_product_attention"].modules == ("self_attn",)


@pytest.mark.parametrize("reentrant", [True, False])
def test_a_composite_under_a_checkpoint_is_found_once(reentrant: bool) -> None:
    class Checkpointed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
            self.linear = nn.Linear(32, 32)

        def inner(self, x: torch.Tensor) -> torch.Tensor:
            q = self.linear(self.layer(x)).view(2, 5, 4, 8).transpose(1, 2).cuda()
            return F.scaled_dot_product_attention(q, q, q)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            attended: torch.Tensor = checkpoint(self.inner, x, use_reentrant=reentrant)
            return attended

    trace = trace_of(Checkpointed(), torch.empty(2, 5, 32, device="meta"))
    matched = match(trace, load_rules(), make_environment("cuda", "2.13"))
    counts = [finding.count for finding in matched.findings if finding.verdict == "switches"]
    assert counts == [1, 1]


def test_places_come_in_the_order_of_the_forward_pass() -> None:
    layers = OrderedDict((name, nn.ReflectionPad2d(1)) for name in ("zebra", "apple", "mango"))
    finding = findings_of(trace_of(nn.Sequential(layers), IMAGES))["aten.reflection_pad2d_backward.default"]
    assert finding.modules == ("zebra", "apple", "mango")


def test_a_shared_module_called_twice_is_one_place_counted_twice() -> None:
    pad = nn.ReflectionPad2d(1)
    finding = findings_of(trace_of(nn.Sequential(pad, nn.Tanh(), pad), IMAGES))[
        "aten.reflection_pad2d_backward.default"
    ]
    assert (finding.count, finding.modules) == (2, ("0",))


BLOCKS = {
    "pad": lambda: nn.ReplicationPad2d(1),
    "mirror": lambda: nn.ReflectionPad2d(1),
    "pool": lambda: nn.AdaptiveAvgPool2d(3),
    "up": lambda: nn.Upsample(scale_factor=2, mode="bilinear"),
    "conv": lambda: nn.Conv2d(3, 3, 3, padding=1),
    "norm": lambda: nn.BatchNorm2d(3),
    "relu": lambda: nn.ReLU(),
}


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from(sorted(BLOCKS)), min_size=1, max_size=5), st.data())
def test_renaming_and_nesting_modules_never_changes_a_verdict(names: list[str], data: st.DataObject) -> None:
    layers = [BLOCKS[name]() for name in names]
    flat = nn.Sequential(*layers)
    split = data.draw(st.integers(0, len(layers)))
    nested = nn.Sequential(OrderedDict(first=nn.Sequential(*layers[:split]), rest=nn.Sequential(*layers[split:])))

    def judged(model: nn.Module) -> list[tuple[str, str, str, int]]:
        report = opscan.check(copy.deepcopy(model), (IMAGES,))
        return [(each.rule, each.verdict, each.op, each.count) for each in report.findings]

    assert judged(flat) == judged(nested)


def test_matching_is_pure() -> None:
    trace = trace_of(nn.Sequential(nn.ReplicationPad2d(1), nn.Conv2d(3, 3, 3)), IMAGES)
    environment = make_environment("cuda", "2.13")
    first = make_report("m", [trace], environment)
    make_report("m", [trace], make_environment("cpu", "1.8"))
    assert make_report("m", [trace], environment) == first
