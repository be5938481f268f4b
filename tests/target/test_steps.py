"""What is called for a target, and the batch that is found for it."""

from __future__ import annotations

import inspect

import pytest
import torch
from torch import nn

import opscan
from opscan.environment import make_environment
from opscan.errors import InputError
from opscan.scan import scan_target
from opscan.steps.beside import model_named_by
from opscan.steps.find import find_inputs
from opscan.steps.settle import settle
from opscan.target.build import build_target, make_model
from opscan.trace.driver import attempt, constructing, trace_target
from tests.target import steps

HERE = steps.__name__
FOUND = {
    "a tuple, its targets class indices": ("train_step", ["x = float32 2x16", "y = int64 2, values below 7"]),
    "a mapping, and an optimizer": (
        "with_optimizer",
        ["optimizer = SGD(model.parameters())", "inputs = float32 2x16", "labels = int64 2, values below 7"],
    ),
    "targets shaped like the output": ("regression", ["inputs = float32 2x16", "targets = float32 2x7"]),
    "a loader, a criterion, a device": (
        "epoch",
        ["images = float32 2x16", "labels = int64 2", "criterion = CrossEntropyLoss()", "loader = [(images, labels)]"],
    ),
    "tensors as they are": ("of_tensors", ["x = float32 2x16", "y = int64 2, values below 7"]),
    "a training_step alone": ("StepOnly", ["x = float32 2x20", "unused = ", "batch = (x, unused)"]),
    "a training_step and a forward": ("Both", ["image = float32 2x16", "label = int64 2, values below 7"]),
    "a LightningModule": ("Automatic", ["x = float32 2x6", "y = int64 2, values below 3"]),
    "its method": ("Automatic.training_step", ["x = float32 2x6", "y = int64 2, values below 3"]),
    "manual optimization": ("Manual", ["batch = (batch0, batch1)"]),
    "tokens, a target for each": ("OfTokens", ["tokens = int64 2x16", "targets = int64 2x16, values below 30"]),
}


@pytest.mark.parametrize(("name", "lines"), FOUND.values(), ids=FOUND)
def test_a_batch_is_found(name, lines):
    report = check(name)
    assert report.backward_ops > 0
    for line in lines:
        assert any(each.startswith(line) for each in report.assumptions), (line, report.assumptions)


def check(name, init=None):
    return scan_target(build_target(f"{HERE}:{name}", init, constructing), None, make_environment("cuda", None, None))


@pytest.mark.parametrize(
    ("name", "op"),
    [
        pytest.param("with_optimizer", "aten.add_.Tensor", id="a function's own"),
        pytest.param("StepOnly", "aten.addcdiv_.default", id="what configure_optimizers makes"),
        pytest.param("Automatic", "aten.addcdiv_.default", id="with a scheduler"),
    ],
)
def test_the_optimizer_s_ops_are_traced(name, op):
    settled = settle(build_target(f"{HERE}:{name}"), None, make_model, training=True, has_loss=False)
    inputs = find_inputs(settled, None, attempt)
    trace = trace_target(settled.target.call, inputs.args, inputs.kwargs)
    assert op in {str(node.target) for node in trace.ops()}


def beside(home, *classes):
    """A step in a module of its own, with classes beside it that are defined in the module `home`."""
    namespace = {"__name__": "a_module"}
    exec("def train_step(model, batch): return model(batch)", namespace)
    for kind in classes:
        namespace[kind.__name__] = type(kind.__name__, (kind,), {**vars(kind), "__module__": home})
    step = namespace["train_step"]
    return step, next(iter(inspect.signature(step).parameters.values()))


@pytest.mark.parametrize("home", ["a_module", "elsewhere"], ids=["defined there", "imported"])
def test_the_only_model_beside_a_step_is_taken(home):
    assert model_named_by(*beside(home, steps.Net))[1] == "Net"


def test_of_models_defined_beside_a_step_the_one_that_no_other_is_built_of_is_taken():
    assert model_named_by(*beside("a_module", steps.Block, steps.Net))[1] == "Net"


def test_where_several_models_may_be_meant_they_are_named():
    with pytest.raises(InputError, match="there are Block, Net") as caught:
        model_named_by(*beside("elsewhere", steps.Block, steps.Net))
    assert "--init model=Block" in caught.value.hint


def test_a_model_may_be_named():
    report = check("train_step", {"model": "Net(3)"})
    assert any(line.startswith("y = int64 2, values below 3") for line in report.assumptions)


def test_the_trainer_s_stand_in_is_gone_afterwards():
    model = steps.Automatic()
    before = dict(model.__dict__)
    weights = [each.detach().clone() for each in model.parameters()]
    report = opscan.check(model)
    assert report.forward_ops > 20
    assert model.__dict__ == before
    assert model.seen == []
    assert all(torch.equal(*pair) for pair in zip(weights, model.parameters(), strict=True))
    assert all(each.grad is None for each in model.parameters())


GIVEN = {
    "the batch": ((torch.zeros(4, 6), torch.tensor([0, 1, 2, 0])),),
    "the batch and its index": (((torch.zeros(4, 6), torch.tensor([0, 1, 2, 0])), 0),),
    "by the step's parameters": ({"batch": (torch.zeros(4, 6), torch.tensor([0, 1, 2, 0])), "batch_idx": 3},),
}


@pytest.mark.parametrize("inputs", [each[0] for each in GIVEN.values()], ids=GIVEN)
def test_a_batch_may_be_given(inputs):
    report = opscan.check(steps.Automatic(), inputs)
    assert not any("assumed" in line and " = " in line for line in report.assumptions)
    assert report.backward_ops > 0


def test_parts_of_a_batch_may_be_given():
    report = opscan.check(steps.Automatic(), {"x": torch.zeros(5, 6)})
    assert any(line.startswith("y = int64 5, values below 3") for line in report.assumptions)
    assert not any(line.startswith("x = ") for line in report.assumptions)


def test_with_a_loss_or_in_eval_mode_the_forward_is_scanned():
    assert opscan.check(steps.Automatic(), loss="cross_entropy").forward_ops < 8
    assert opscan.check(steps.Automatic(), mode="eval").forward_ops < 5


REFUSED = {
    "what a parameter is": ("unclear", {"model": "Net"}, "no batch found", "--inputs mod:make_batch"),
    "what the stand-in does not know": ("AsksTooMuch", {}, "no batch found", "no 'unheard_of'"),
}


@pytest.mark.parametrize(("name", "init", "what", "hint"), REFUSED.values(), ids=REFUSED)
def test_says_what_it_cannot_find(name, init, what, hint):
    with pytest.raises(opscan.OpscanError, match=what) as caught:
        check(name, init)
    assert hint in caught.value.hint


def test_an_unknown_part_names_the_parts_there_are():
    with pytest.raises(opscan.OpscanError, match="reads no 'z'") as caught:
        opscan.check(steps.Automatic(), {"z": torch.zeros(5, 6)})
    assert "x, y" in caught.value.hint


class TakesApart(nn.Module):
    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(3, 4)
        self.table = nn.Embedding(11, 4)

    def forward(self, batch):
        return self.dense(batch["dense"]) + self.table(batch["ids"]).mean(1)


def test_a_forward_that_takes_its_argument_apart_is_given_it_whole():
    report = opscan.check(TakesApart())
    assert "batch = {'dense': dense, 'ids': ids} (as the step reads it; --inputs mod:make_batch)" in report.assumptions
    report = opscan.check(TakesApart(), {"ids": torch.zeros(2, 5, dtype=torch.int64)})
    assert any(line.startswith("dense = float32 2x3") for line in report.assumptions)
