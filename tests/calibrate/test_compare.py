"""Whether what was seen agrees with what is predicted: each way in which it can fail to, and the ways it does not."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from opscan.calibrate.compare import compare, judge
from opscan.calibrate.rows import Predicted
from opscan.environment import make_environment
from opscan.finding import Replay
from opscan.match import match
from opscan.observe.join import Seen
from opscan.rules.load import load_rules
from opscan.trace.driver import trace_target

SAME, DIFFERS = Replay(20), Replay(20, 5, 3, 1, 4)


def said(verdict: str, bits: str = "vary", warn_only: str = "deterministic", alert: str | None = None) -> Predicted:
    return Predicted("OPS1", verdict, bits, warn_only, alert)


RAISES = said("raises", warn_only="nondeterministic", alert="a_cuda")


@pytest.mark.parametrize(
    ("predicted", "alert", "strict", "default", "outcome"),
    [
        pytest.param([], None, SAME, SAME, "agrees", id="nothing said, nothing seen"),
        pytest.param([], "a_cuda", SAME, SAME, "raised, not predicted", id="an alert out of nowhere"),
        pytest.param([], None, SAME, DIFFERS, "varied, not predicted", id="a difference out of nowhere"),
        pytest.param([], "a_cuda", SAME, DIFFERS, "raised, not predicted", id="the alert is the worse of the two"),
        pytest.param([RAISES], "a_cuda", DIFFERS, DIFFERS, "agrees", id="raises and varies as said"),
        pytest.param([RAISES], "a_cuda", SAME, SAME, "not shown", id="raises, and too little to vary"),
        pytest.param([RAISES], "b_cuda", SAME, SAME, "raised another alert", id="another literal"),
        pytest.param([RAISES], None, SAME, SAME, "did not raise", id="it was to raise"),
        pytest.param([RAISES, said("switches")], "a_cuda", SAME, DIFFERS, "agrees", id="two rules, one of them raises"),
        pytest.param([said("switches")], None, SAME, DIFFERS, "agrees", id="strict mode repairs it"),
        pytest.param([said("switches")], None, DIFFERS, DIFFERS, "varied in strict mode", id="strict mode does not"),
        pytest.param([said("silent", warn_only="nondeterministic")], None, DIFFERS, DIFFERS, "agrees", id="silent"),
        pytest.param([said("switches", "cannot vary")], None, SAME, DIFFERS, "varied though it cannot", id="it can"),
        pytest.param([said("switches", "cannot vary")], None, SAME, SAME, "agrees", id="it cannot, and does not"),
        pytest.param(
            [said("raises", "cannot vary", alert="a_cuda")], "b_cuda", SAME, DIFFERS, "varied though it cannot",
            id="a broken proof is the worst",
        ),
        pytest.param(
            [said("switches", "cannot vary"), said("silent", warn_only="nondeterministic")], None, DIFFERS, DIFFERS,
            "agrees", id="one of two rules lets it vary",
        ),
        pytest.param([said("switches", "unknown")], None, SAME, SAME, "agrees", id="nothing was claimed of the bits"),
        pytest.param([said("random")], None, SAME, DIFFERS, "varied, not predicted", id="equal random numbers"),
        pytest.param([said("random")], None, SAME, SAME, "agrees", id="random, and repeats when seeded"),
        pytest.param([said("config", "unknown", "setting")], "x", DIFFERS, DIFFERS, "agrees", id="by a setting"),
        pytest.param([said("uninitialized", warn_only="filled")], None, None, None, "agrees", id="not replayed"),
    ],
)  # fmt: skip
def test_judgement(
    predicted: list[Predicted], alert: str | None, strict: Replay | None, default: Replay | None, outcome: str
) -> None:
    assert judge(predicted, alert, strict, default) == outcome


def test_nothing_is_held_against_an_op_that_did_not_run() -> None:
    assert judge([RAISES], None, None, None, ran=False) == "not shown"


def seen(op: str, phase: str = "forward", alert: str | None = None, replay: Replay = SAME, inside: str = "") -> Seen:
    return Seen(op, inside or None, phase, "", "", None, None, alert, replay)


def test_all_calls_of_an_op_make_one_row_and_the_one_that_differed_most_counts() -> None:
    default = [seen("mylib.f.default", replay=each) for each in (SAME, DIFFERS, Replay(20, 1, 2, 1, 9))]
    found = compare([], [seen("mylib.f.default")] * 3, default)
    (row,) = found.ops
    assert (row.op, row.default, row.outcome, row.inside) == ("mylib.f.default", DIFFERS, "varied, not predicted", None)


def test_phases_are_kept_apart_and_quiet_ops_are_named() -> None:
    strict = [seen("mylib.f.default"), seen("mylib.f.default", "backward", "f_cuda"), seen("mylib.g.default")]
    found = compare([], strict, [])
    assert [(row.op, row.phase, row.alert) for row in found.ops] == [("mylib.f.default", "backward", "f_cuda")]
    assert found.quiet == ("mylib.g.default",)


def test_what_runs_inside_a_composite_stands_under_it() -> None:
    name = "torch.nn.functional.scaled_dot_product_attention"
    x = torch.empty(2, 4, 16, 8, dtype=torch.float16, device="meta")
    trace = trace_target(
        lambda x: F.scaled_dot_product_attention(x, x, x), (x,), {}, input_grad=True, watched=frozenset({name})
    )
    findings = [
        each for each in match(trace, load_rules(), make_environment("cuda", "2.13")).findings if each.op == name
    ]
    assert findings
    kernel = "aten._some_attention_backward.default"
    strict = [seen(kernel, "backward", alert=findings[0].alert, inside=name), seen("aten.add.Tensor")]
    default = [seen(kernel, "backward", replay=DIFFERS, inside=name), seen("aten.add.Tensor")]
    found = compare(findings, strict, default)
    assert {(row.op, row.inside, row.default) for row in found.ops} == {(name, kernel, DIFFERS)}
    assert found.quiet == ("aten.add.Tensor",)
