"""Inputs that a model, its module or the project offers: what counts before what, and what an offer that fails does."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import opscan
from opscan.config import InputRule, find_config
from opscan.environment import make_environment
from opscan.errors import ConfigError
from opscan.scan import scan_target
from opscan.target.build import target_from_object


class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(12, 3)

    def forward(self, x):
        return self.linear(x.reshape(-1, 12))


class Own(Plain):
    example_inputs = (torch.zeros(9, 12),)

    def opscan_inputs(self):
        return torch.zeros(5, self.linear.in_features)


class OwnWords(Plain):
    opscan_inputs = ["x=7x12"]


class OwnFails(Plain):
    def opscan_inputs(self):
        return (torch.zeros(5, 7),)


class OwnIsNone(Plain):
    def opscan_inputs(self):
        return None


class Example(Plain):
    example_input_array = torch.zeros(4, 12)
    dummy_inputs = {"x": torch.zeros(8, 12)}


class ExampleMethod(Plain):
    def example_inputs(self):
        return {"x": torch.zeros(6, 12)}


class ExampleFails(Plain):
    example_inputs = (torch.zeros(5, 7),)


class PreTrainedModel(Plain):
    """As in transformers: a base with inputs for no model in particular."""

    dummy_inputs = {"x": torch.zeros(5, 7)}


class Inherits(PreTrainedModel):
    pass


class Redefines(PreTrainedModel):
    dummy_inputs = {"x": torch.zeros(3, 12)}


OFFERED = {
    "nothing": (Plain, "x = float32 2x12 (input, assumed; --input 2x12)"),
    "the user's own comes first": (Own, "inputs from opscan_inputs of Own: float32 5x12"),
    "as words": (OwnWords, "inputs from opscan_inputs of OwnWords: x float32 7x12"),
    "none after all": (OwnIsNone, "x = float32 2x12"),
    "example_input_array before dummy_inputs": (Example, "inputs from example_input_array of Example: float32 4x12"),
    "a method": (ExampleMethod, "inputs from example_inputs of ExampleMethod: x float32 6x12"),
    "one that does not run": (ExampleFails, "example_inputs of ExampleFails does not run: RuntimeError"),
    "and what is solved for then": (ExampleFails, "x = float32 2x12"),
    "a generic one is none": (Inherits, "x = float32 2x12"),
    "dummy_inputs of the class": (Redefines, "inputs from dummy_inputs of Redefines: x float32 3x12"),
}


@pytest.mark.parametrize(("kind", "line"), OFFERED.values(), ids=OFFERED)
def test_offers(kind, line):
    assumptions = opscan.check(kind()).assumptions
    assert any(each.startswith(line) for each in assumptions), assumptions


def test_what_is_given_comes_before_what_is_offered():
    assert not any("opscan_inputs" in line for line in opscan.check(OwnFails(), (torch.zeros(5, 12),)).assumptions)


def test_an_offer_of_the_user_s_own_that_fails_is_an_error():
    with pytest.raises(opscan.OpscanError, match="opscan_inputs of OwnFails does not run"):
        opscan.check(OwnFails())


def test_what_an_offer_draws_leaves_random_numbers_as_they_were():
    class Draws(Plain):
        def opscan_inputs(self):
            return torch.randn(2, 12)

    model = Draws()
    state = torch.get_rng_state()
    opscan.check(model)
    assert torch.equal(state, torch.get_rng_state())


def test_a_function_beside_the_model_is_asked(workplace):
    (workplace / "beside.py").write_text(
        "import torch\nfrom torch import nn\n"
        "Net = nn.Identity\nclass Odd(nn.Linear):\n    def __init__(self): super().__init__(4, 2)\n"
        "def opscan_inputs(model): return torch.zeros(3, model.in_features)\n"
    )
    report = opscan.check("beside:Odd")
    assert any(line.startswith("inputs from opscan_inputs of beside: float32 3x4") for line in report.assumptions)


def assumed(label, *rules):
    target = target_from_object(Plain(), label)
    return scan_target(target, None, make_environment("cuda", None, None), configured=rules).assumptions


def test_the_project_s_table_says_inputs_by_target(tmp_path):
    (tmp_path / "pyproject.toml").write_text(
        '[tool.opscan.inputs]\n"mod:*" = ["3x12"]\n"mod:Net" = ["4x12"]\n"src/*.py:*" = ["6x12"]\n'
    )
    rules = find_config(tmp_path).inputs
    assert [rule.pattern for rule in rules] == ["mod:Net", "src/*.py:*", "mod:*"]
    assert any(
        "float32 4x12" in line and "[tool.opscan.inputs] 'mod:Net'" in line for line in assumed("mod:Net", *rules)
    )
    assert any("float32 3x12" in line for line in assumed("mod:Other(width=3)", *rules))
    assert any("float32 6x12" in line for line in assumed(f"{tmp_path}/src/net.py:Net", *rules))
    assert any("x = float32 2x12" in line for line in assumed("other:Net", *rules))


def test_a_function_may_be_configured(workplace):
    (workplace / "maker.py").write_text("import torch\ndef make(): return torch.zeros(11, 12)\n")
    assert any("float32 11x12" in line for line in assumed("mod:Net", InputRule("mod:Net", maker="maker:make")))


@pytest.mark.parametrize(
    ("table", "what"),
    [
        pytest.param('Net = ["2x3"]', "the key is no target", id="a key that is no target"),
        pytest.param('"mod:Net" = 3', "the inputs are 3", id="a value that is no input"),
        pytest.param('"mod:Net" = []', r"the inputs are \[\]", id="no input"),
    ],
)
def test_a_table_that_is_not_valid_is_refused(table, what, tmp_path):
    (tmp_path / "pyproject.toml").write_text(f"[tool.opscan.inputs]\n{table}\n")
    with pytest.raises(ConfigError, match=what):
        find_config(tmp_path)
