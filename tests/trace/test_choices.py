"""Ways that hang on values a trace does not have: which are taken, in which combinations, and where it ends."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from opscan.errors import TraceError
from opscan.scan import check
from opscan.trace import ways
from opscan.trace.choices import PATIENCE
from tests.trace.tracing import floats, ops, packet, trace


def found(report):
    return {finding.op.split(".")[1] for finding in report.findings}


def a_and_not_b(x):
    a, b = x.sum() > 0, x.prod() > 0
    if a and not b:
        return x.put(torch.tensor([0, 0]), x[:2])
    return x * 2


def b_and_not_a(x):
    if not x.sum() > 0 and x.prod() > 0:
        return x.put(torch.tensor([0, 0]), x[:2])
    return x * 2


def always(x):
    return x.put(torch.tensor([0, 0]), x[:2])


def neither(x):
    if not (x.sum() > 0 or x.prod() > 0):
        return x.put(torch.tensor([0, 0]), x[:2])
    return x * 2


HIDDEN = {
    "behind the one and not the other": a_and_not_b,
    "behind the other, on one line": b_and_not_a,
    "behind neither": neither,
}


@pytest.mark.parametrize("step", HIDDEN.values(), ids=HIDDEN)
def test_an_op_behind_any_combination_of_two_is_found(step):
    report = check(step, (floats(3),))
    assert "put" in found(check(always, (floats(3),)))
    assert "put" in found(report)
    assert any("both ways were traced, in 4 combinations" in line for line in report.assumptions)


def test_one_place_takes_two_traces():
    report = check(lambda x: x * 2 if x.sum() > 0 else x, (floats(3),))
    (said,) = [line for line in report.assumptions if "test_choices.py" in line]
    assert said.endswith("both ways were traced")


def test_where_only_one_way_goes_through_the_report_says_which():
    def step(x):
        assert x.sum() > 0
        return x * 2

    (said,) = [line for line in check(step, (floats(3),)).assumptions if "only one way" in line]
    assert said.endswith("only one way was traced, as if true")


# -- loops


def until_small(x):
    while x.norm() > 1e-3:
        x = x * 0.5
    return x


def until_large(x):
    while not x.norm() > 1e3:
        x = x * 2
    return x


def until_all_done(x):
    done = torch.zeros(3, dtype=torch.bool)
    while not done.all():
        x = x * 0.9
        done = done | (x.sum(-1) < 1)
    return x


LOOPS = {"until small": until_small, "until large": until_large, "until all are done": until_all_done}


@pytest.mark.parametrize("step", LOOPS.values(), ids=LOOPS)
def test_a_loop_that_waits_for_a_value_ends_both_ways(step):
    report = check(step, (floats(3, 2),))
    assert report.forward_ops < PATIENCE * 8
    assert any("both ways" in line for line in report.assumptions)


def test_many_layers_that_ask_once_each_are_no_loop():
    class Checks(torch.nn.Module):
        def forward(self, x):
            assert x.isnan().sum() == 0, "NaN detected"
            return x * 2

    report = check(torch.nn.Sequential(*[Checks() for _ in range(PATIENCE * 3)]), (floats(3),))
    assert report.forward_ops > PATIENCE * 3


def test_a_loop_that_no_value_ends_is_given_up_with_a_word_on_what_to_do():
    def step(x):
        while x.sum().item() != 3:
            x = x + 1
        return x

    with pytest.raises(TraceError, match=r"asked 2048 times in one place.*\n.*--trace-device cpu") as error:
        check(step, (floats(3),))
    assert "test_choices.py" in error.value.where


def test_a_count_of_rounds_that_is_the_codes_own_is_kept():
    def step(x):
        losses = []
        for _ in range(PATIENCE * 2 + 1):
            x = x * 2
            losses.append(x.sum().item())
        return x

    assert len(ops(trace(step, floats(3)), "mul", "forward")) == PATIENCE * 2 + 1


# -- models whose way hangs on values


class Routed(nn.Module):
    """A mixture of experts as models write it: topk, where, index_add_."""

    def __init__(self):
        super().__init__()
        self.router = nn.Linear(4, 3)
        self.experts = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))

    def forward(self, x):
        weights, chosen = self.router(x).softmax(-1).topk(2, -1)
        out = torch.zeros_like(x)
        mask = nn.functional.one_hot(chosen, 3).permute(2, 1, 0)
        for number, expert in enumerate(self.experts):
            rank, token = torch.where(mask[number])
            out.index_add_(0, token, expert(x[token]) * weights[token, rank, None])
        return out


def suppressed(boxes, scores):
    keep, order = [], scores.argsort(descending=True)
    while order.numel() > 0:
        first = order[0]
        keep.append(first)
        apart = (boxes[order[1:]] - boxes[first]).abs().sum(-1) > 0.5
        order = order[1:][apart]
    return boxes[torch.stack(keep)]


def beams(x):
    ids = torch.zeros(2, 1, dtype=torch.long)
    for _ in range(3):
        ids = torch.cat([ids, (x + ids[:, -1:].float()).argmax(-1, keepdim=True)], 1)
        if (ids[:, -1] == 2).all():
            break
    return x * ids.shape[1]


MODELS = {
    "mixture of experts": (Routed(), (floats(5, 4),), "index_add_"),
    "suppression of boxes": (suppressed, (floats(5, 4), floats(5)), "index"),
    "a search by beams": (beams, (floats(2, 4),), "cat"),
    "a list of an argmax": (lambda x: torch.stack([x[i] for i in x.argmax(0).tolist()]), (floats(3, 3),), "stack"),
    "unique classes": (lambda x: x[x.argmax(1).unique()].sum(), (floats(5, 4),), "index"),
}


@pytest.mark.parametrize(("model", "args", "name"), MODELS.values(), ids=MODELS)
def test_a_model_whose_way_hangs_on_values_is_traced(model, args, name):
    traced = trace(model, *args, input_grad=True)
    assert name in {packet(node) for node in ops(traced)}
    assert traced.inventions
    assert ops(traced, None, "backward")


def long_step(x, other):
    """Enough ops to be long, and a value that decides about one more."""
    for _ in range(40):
        x = x * 2
    return x + 1 if x.sum() > 0 else other(x)


@pytest.mark.parametrize(
    ("other", "ending"),
    [
        (lambda x: x, "one way was traced, as if true; the other runs no op from a line that this one does not"),
        (lambda x: x.cumsum(0), "both ways were traced"),
    ],
    ids=["nothing new", "another op"],
)
def test_a_long_step_goes_the_other_way_only_where_there_is_something_new(other, ending, monkeypatch):
    monkeypatch.setattr(ways, "_MOST_OPS", 30)
    report = check(lambda x: long_step(x, other), (floats(3),), mode="eval")
    (said,) = (line for line in report.assumptions if "depends on values" in line)
    assert said.endswith(ending)


def test_an_other_way_that_fails_at_a_glance_is_traced(monkeypatch):
    monkeypatch.setattr(ways, "_MOST_OPS", 30)

    def fails(x):
        raise ValueError("not this way")

    report = check(lambda x: long_step(x, fails), (floats(3),), mode="eval")
    (said,) = (line for line in report.assumptions if "depends on values" in line)
    assert said.endswith("only one way was traced, as if true")
