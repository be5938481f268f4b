"""Judging a trace: a pure function of (trace, rules, environment)."""

from __future__ import annotations

import copy
import gc
import tomllib
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
from opscan.reporting import make_report
from opscan.rules.load import load_rules, make_ruleset, rules_of
from opscan.rules.schema import DefaultBehaviour, StrictBehaviour, verdict_of
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
    assert (assumed[op].bits, assumed[op].bits_why[:10]) == ("unknown", "Only where")
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


@pytest.mark.parametrize(
    ("places", "repeats"),
    [
        pytest.param(lambda x: x.argsort(), False, id="argsort is a permutation"),
        pytest.param(lambda x: x.topk(2).indices.view(-1), False, id="the places of the largest"),
        pytest.param(lambda x: torch.randperm(len(x)), False, id="randperm"),
        pytest.param(lambda x: x.view(2, -1).argsort().view(-1), True, id="sorted row by row, each row counts from 0"),
        pytest.param(lambda x: x.argsort() // 2, True, id="arithmetic may bring two together"),
        pytest.param(lambda x: x.argsort()[:3].fill_(0), True, id="written to through a view"),
        pytest.param(lambda x: x.sort().values.long(), True, id="values that were sorted"),
    ],
)
def test_an_index_from_sorting_never_repeats(places: Callable[[torch.Tensor], torch.Tensor], repeats: bool) -> None:
    def step(x: torch.Tensor) -> torch.Tensor:
        index = places(x)
        out = torch.zeros_like(x)
        out[index] = torch.arange(len(index), dtype=x.dtype)
        return out

    found = findings_of(trace_of(step, torch.rand(8)))
    assert found["aten.index_put_.default"].bits == ("vary" if repeats else "cannot vary")


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


def test_the_garbage_collector_does_not_walk_the_trace_while_it_is_matched() -> None:
    trace = trace_of(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReplicationPad2d(1)), IMAGES)
    rules, environment, thresholds = load_rules(), make_environment("cuda"), gc.get_threshold()
    collections: list[str] = []
    gc.callbacks.append(lambda phase, info: collections.append(phase))
    gc.set_threshold(1)
    try:
        match(trace, rules, environment)
    finally:
        gc.set_threshold(*thresholds)
        gc.callbacks.pop()
    assert gc.isenabled()
    assert collections.count("start") <= 5  # before and after; in between there are hundreds of allocations


def test_matching_is_pure() -> None:
    trace = trace_of(nn.Sequential(nn.ReplicationPad2d(1), nn.Conv2d(3, 3, 3)), IMAGES)
    environment = make_environment("cuda", "2.13")
    first = make_report("m", [trace], environment)
    make_report("m", [trace], make_environment("cpu", "1.8"))
    assert make_report("m", [trace], environment) == first


ERF = """
[[rule]]
id = "MINE001"
title = "made up"
ops = ["aten.erf"]
phase = "forward"
mechanism = "made up"
at_scale = ["numel(self) > 3"]
scale = "more than three"
history = [{ device = ["cuda"], torch = ">=2", default = "nondeterministic", strict = "deterministic", why = "so" }]
evidence = [{ kind = "test", ref = "this test" }]

[[rule.bits]]
when = ["size(self, 0) == 5"]
torch = "<2.5"
bits = "unknown"
why = "five in an old torch"

[[rule.bits]]
when = ["unique(self)"]
bits = "cannot vary"
why = "all different"

[[rule.bits]]
at_sizes = ["size(self, 0) % 2 == 0"]
bits = "cannot vary"
why = "An even number."
"""


ASSUMED = "At the sizes assumed here the bits cannot vary; with others they may."


@pytest.mark.parametrize(
    ("size", "assumed", "version", "bits", "why"),
    [
        (4, False, "2.13", "cannot vary", "An even number."),
        (4, True, "2.13", "unknown", f"{ASSUMED} An even number."),
        (7, False, "2.13", "vary", "made up"),
        (7, True, "2.13", "unknown", "Only where more than three."),
        (5, False, "2.13", "vary", "made up"),
        (5, False, "2.4", "unknown", "five in an old torch"),
    ],
)
def test_bits_are_never_judged_better_than_is_known(
    size: int, assumed: bool, version: str, bits: str, why: str
) -> None:
    rules = make_ruleset(rules_of(tomllib.loads(ERF), "erf.toml"))
    floats = torch.empty(size, device="meta")
    trace = trace_target(torch.erf, (floats,), {}, input_grad=False, assumed_sizes=assumed)
    (found,) = match(trace, rules, make_environment("cuda", version)).findings
    assert (found.bits, found.bits_why) == (bits, why)
    assert found.harmless is (bits == "cannot vary")
    assert make_report("erf", [trace], make_environment("cuda", version), rules=rules).fails() is not found.harmless


def test_what_a_newer_torch_solves_is_read_from_the_history() -> None:
    trace = trace_of(nn.ReplicationPad2d(1), IMAGES)
    op = "aten.replication_pad2d_backward.default"
    newer = {version: findings_of(trace, version)[op].newer_torch for version in ("1.13", "2.1.2", "2.2", "2.15")}
    assert newer["1.13"] == newer["2.1.2"] == ("2.2", "nondeterministic", "deterministic")
    assert newer["2.2"] is newer["2.15"] is None
    products = findings_of(trace_of(nn.Linear(4, 4), torch.empty(2, 4, device="meta")), "2.9")
    assert products["aten.addmm.default"].newer_torch == ("2.10", "deterministic", "deterministic")


def test_a_newer_torch_is_named_only_if_it_solves_the_very_call() -> None:
    def directly(x: torch.Tensor) -> torch.Tensor:
        return torch.ops.aten.replication_pad2d(x, [1, 1, 1, 1])

    trace = trace_target(directly, (IMAGES,), {}, input_grad=True, assumed_sizes=False)
    assert findings_of(trace, "1.13")["aten.replication_pad2d_backward.default"].newer_torch is None


def test_warn_only_is_strict_mode_without_the_error() -> None:
    found = findings_of(trace_of(nn.AdaptiveAvgPool2d(3), IMAGES))["aten._adaptive_avg_pool2d_backward.default"]
    assert (found.strict, found.warn_only) == ("raises", "nondeterministic")
    padded = findings_of(trace_of(nn.ReplicationPad2d(1), IMAGES))["aten.replication_pad2d_backward.default"]
    assert (padded.strict, padded.warn_only) == ("deterministic", "deterministic")


class Sometimes(nn.Module):
    """Turns strict mode off or on around one call, as code does that knows of an op strict mode stops at."""

    def __init__(self, layer: nn.Module, strict: bool) -> None:
        super().__init__()
        self.layer = layer
        self.strict = strict

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        before = torch.are_deterministic_algorithms_enabled()
        torch.use_deterministic_algorithms(self.strict)
        try:
            return self.layer(x)
        finally:
            torch.use_deterministic_algorithms(before)


class Count(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.histc(x, 4) + x.detach().cumsum(0).sum()


def test_where_the_code_turns_strict_mode_off_it_says_nothing() -> None:
    line = torch.empty(4000, device="meta")
    plain = findings_of(trace_of(Count(), line), "2.15")
    off = findings_of(trace_of(Sometimes(Count(), False), line), "2.15")
    on = findings_of(trace_of(Sometimes(Count(), True), line), "2.15")
    verdicts = [{op: found.verdict for op, found in each.items() if "." in op} for each in (plain, off, on)]
    histc, cumsum = "aten.histc.default", "aten.cumsum.default"
    assert [each.get(histc) for each in verdicts] == ["raises", "silent", "raises"]
    assert [each.get(cumsum) for each in verdicts] == ["switches", "silent", None]
    assert "turns strict mode off here" in off[histc].message
    assert off[histc].alert is None


def test_a_reroute_in_forward_needs_strict_mode_there() -> None:
    op = "aten.replication_pad2d_backward.default"
    assert findings_of(trace_of(nn.ReplicationPad2d(1), IMAGES))[op].verdict == "switches"
    assert findings_of(trace_of(Sometimes(nn.ReplicationPad2d(1), False), IMAGES))[op].verdict == "raises"
