"""make_deterministic: the same model, the same numbers, nothing left to find, and a way back."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import opscan
from opscan import replacements


class Padded(nn.Module):
    """A call in a forward of one's own."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(self.conv(x), (2, 2, 2, 2), mode="replicate")


class Own(nn.Conv2d):
    """A subclass that inherits its forward."""


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 3, 3, padding=1, padding_mode="replicate")
        self.again = nn.Sequential(self.stem, nn.ReLU())
        self.own = Own(3, 3, 3, padding=1, padding_mode="replicate")
        self.padded = Padded()
        self.up = nn.Upsample(scale_factor=2, mode="bilinear")

    def forward(self, x: Tensor) -> Tensor:
        return self.up(self.padded(self.own(self.again(self.stem(x)))))


INPUTS = (torch.randn(2, 3, 9, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(1)),)


@pytest.fixture
def net() -> Net:
    torch.manual_seed(0)
    return Net().double()


def numbers(model: nn.Module) -> list[Tensor]:
    """The output, and the gradient of every parameter."""
    model.zero_grad()
    output = model(*INPUTS)
    output.square().sum().backward()
    return [
        output.detach(),
        *(parameter.grad.clone() for parameter in model.parameters() if parameter.grad is not None),
    ]


def test_it_is_the_same_model_with_the_same_numbers_and_nothing_to_find(net: Net) -> None:
    before, keys, parameters = numbers(copy.deepcopy(net)), list(net.state_dict()), list(net.parameters())
    assert opscan.check(net, INPUTS).fails()
    assert opscan.make_deterministic(net, INPUTS) is net
    assert not opscan.check(net, INPUTS).fails()
    assert list(net.state_dict()) == keys
    assert all(one is other for one, other in zip(net.parameters(), parameters, strict=True))
    after = numbers(net)
    torch.testing.assert_close(after[0], before[0], rtol=0, atol=0)
    torch.testing.assert_close(after, before, rtol=1e-12, atol=1e-12)
    assert {(change.module, change.dropins) for change in opscan.changes_of(net).done} == {
        ("stem", ("Conv2d",)), ("own", ("Conv2d",)), ("padded", ("pad",)), ("up", ("Upsample",)),
    }  # fmt: skip
    assert opscan.changes_of(net).left == ()
    assert isinstance(net.stem, replacements.Conv2d)
    assert isinstance(net.own, Own)
    assert net.again[0] is net.stem


def test_a_second_call_changes_nothing(net: Net) -> None:
    done = opscan.changes_of(opscan.make_deterministic(net, INPUTS)).done
    types = [type(module) for module in net.modules()]
    assert opscan.changes_of(opscan.make_deterministic(net, INPUTS)).done == done
    assert [type(module) for module in net.modules()] == types


def test_it_is_undone(net: Net) -> None:
    types = [type(module) for module in net.modules()]
    opscan.make_deterministic(net, INPUTS)
    opscan.changes_of(net).undo()
    assert [type(module) for module in net.modules()] == types
    assert opscan.changes_of(net).done == ()
    assert opscan.check(net, INPUTS).fails()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_is_deterministic_too(net: Net, copied: object) -> None:
    again = copied(opscan.make_deterministic(net, INPUTS))  # type: ignore[operator]
    assert not opscan.check(again, INPUTS).fails()
    assert isinstance(again.own, Own)
    assert isinstance(again.padded, Padded)
    torch.testing.assert_close(numbers(again), numbers(net), rtol=0, atol=0)


def test_a_state_dict_loads_both_ways(net: Net) -> None:
    plain = copy.deepcopy(net)
    opscan.make_deterministic(net, INPUTS)
    plain.load_state_dict(net.state_dict())
    net.load_state_dict(plain.state_dict())


def test_hooks_stay(net: Net) -> None:
    seen: list[type] = []
    net.padded.register_forward_hook(lambda module, inputs, output: seen.append(type(module)))
    opscan.make_deterministic(net, INPUTS)
    seen.clear()
    net(*INPUTS)
    assert len(seen) == 1


def test_what_is_outside_the_model_is_left_and_said(net: Net) -> None:
    class Pixels(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x)

    model = Pixels()
    target = torch.zeros(2, 9, 9, dtype=torch.int64)
    inputs = {"x": torch.randn(2, 3, 9, 9), "target": target}
    opscan.make_deterministic(model, inputs, loss="cross_entropy")
    ((finding, why),) = opscan.changes_of(model).left
    assert finding.phase == "loss"
    assert "replacements.cross_entropy" in why
    assert "left: " in str(opscan.changes_of(model))


def test_a_model_without_findings_is_left_alone() -> None:
    model = nn.Linear(3, 3)
    assert type(opscan.make_deterministic(model, (torch.randn(2, 3),))) is nn.Linear
    assert str(opscan.changes_of(model)) == "nothing to change"


def test_what_is_no_module_is_refused() -> None:
    with pytest.raises(TypeError, match=r"takes an nn\.Module, not a function"):
        opscan.make_deterministic(lambda x: x)  # type: ignore[arg-type]


@pytest.mark.parametrize("wrap", [nn.DataParallel, torch.compile], ids=["DataParallel", "compiled"])
def test_a_model_in_a_wrapper_is_changed_inside(wrap: Callable[[nn.Module], nn.Module]) -> None:
    inner = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1, padding_mode="replicate"))
    model = wrap(inner)
    inputs = (torch.randn(2, 3, 9, 9),)
    assert opscan.make_deterministic(model, inputs) is model
    assert isinstance(inner[0], replacements.Conv2d)
    assert not opscan.check(model, inputs).fails()


def test_what_fails_afterwards_leaves_the_model_as_it_was(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    types = [type(module) for module in net.modules()]
    monkeypatch.setattr(replacements.Conv2d, "_conv_forward", lambda *args: 1 / 0)
    with pytest.raises(opscan.OpscanError, match="ZeroDivisionError"):
        opscan.make_deterministic(net, INPUTS)
    assert [type(module) for module in net.modules()] == types
    assert opscan.changes_of(net).done == ()
