"""What a name stands for, and how the constructor's arguments are filled."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn

from opscan.errors import TargetError
from opscan.target import wellknown
from opscan.target.build import build_target, target_from_object


class Net(nn.Module):
    def double(self, x):
        return 2 * x

    def __init__(self, num_classes, in_channels=3):
        super().__init__()
        self.sizes = (num_classes, in_channels)

    class Inner(nn.Module):
        pass


class Named(nn.Module):
    def __init__(self, *, numClasses, Dropout: float, depths: list[int], kernel: tuple[int, int], mid_ch: int | None):  # noqa: N803
        super().__init__()
        self.sizes = (numClasses, Dropout, depths, kernel, mid_ch)


class TakesAny(nn.Module):
    def __init__(self, width, **rest):
        super().__init__()
        self.sizes = (width, rest)


class Unknown(nn.Module):
    def __init__(self, num_classes, flux):
        super().__init__()


class Raises(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        nn.Conv2d(3, num_classes, 3, groups=2)


class Exits(nn.Module):
    def __init__(self):
        sys.exit(1)


@dataclass
class Config:
    width: int = 5


@dataclass
class Strict:
    width: int


class Configured(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        self.sizes = (config.width,)


class LikeTransformers(nn.Module):
    config_class = Config

    def __init__(self, config):
        super().__init__()
        self.sizes = (config.width,)


class StrictlyConfigured(nn.Module):
    def __init__(self, config: Strict):
        super().__init__()
        self.sizes = (config.width,)


class Vaguely(nn.Module):
    def __init__(self, config):
        super().__init__()


class OnlyPlain(nn.Module):
    """Cannot be made on the meta device."""

    def __init__(self):
        super().__init__()
        self.sizes = (torch.ones(2).sum().item(),)


class CallableStep:
    def __init__(self, lr):
        self.lr = lr

    def __call__(self):
        return self.lr


class Stepping(Net):
    def training_step(self, batch, batch_idx):
        return self.sizes, batch, batch_idx

    @staticmethod
    def make(num_classes):
        return Net(num_classes)


class NeedsModule(nn.Module):
    count = 0

    def __init__(self):
        NeedsModule.count += 1
        import not_installed_anywhere.sub  # noqa: F401


class NeedsName(nn.Module):
    def __init__(self):
        from os import not_there_at_all  # noqa: F401


class TooLarge(nn.Module):
    count = 0

    def __init__(self):
        TooLarge.count += 1
        raise RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes")


class Chatty(OnlyPlain):
    def __init__(self):
        print("hello")
        super().__init__()


class NotAModel:
    pass


class Untyped(nn.Module):
    def __init__(self, width: "NotImportedHere"):  # noqa: F821, UP037
        super().__init__()
        self.sizes = (width,)


def make():
    return Net(4)


def make_with(num_classes):
    return Net(num_classes)


def make_typed(flux) -> Net:
    return Net(flux)


def make_unused(flux) -> Net:
    return Net(4)


def make_any(num_classes) -> Any:
    return Net(num_classes)


def make_step():
    return lambda: 3


def train_step(model, batch):
    raise AssertionError("a step is not called here")


def typed_step() -> torch.Tensor:
    raise AssertionError("a step is not called here")


def on_features(features):
    raise AssertionError("the name of data is not the name of a constructor's argument")


def bare_step():
    return torch.zeros(2)


def make_number(num_classes) -> nn.Module:
    return 3  # type: ignore[return-value]


INSTANCE = Net(6)
NUMBER = 3
HERE = __name__


BUILT = {
    "a class, filled": ("Net", {}, (10, 3)),
    "a class, called": ("Net(2, in_channels=1)", {}, (2, 1)),
    "a class, from --init": ("Net", {"num_classes": 4, "in_channels": 2}, (4, 2)),
    "both": ("Net(2)", {"in_channels": 9}, (2, 9)),
    "any case, lists, tuples, Optional": ("Named", {}, (10, 0.1, [2, 2, 2, 2], (3, 3), 64)),
    "**kwargs take any --init": ("TakesAny", {"depth": 3}, (64, {"depth": 3})),
    "a configuration class": ("Configured", {}, (5,)),
    "a configuration class whose values are guessed": ("StrictlyConfigured", {}, (64,)),
    "a name that is passed on as one that is well known": ("make_typed", {}, (10, 3)),
    "config_class, as in transformers": ("LikeTransformers", {}, (5,)),
    "an annotation that does not resolve": ("Untyped", {}, (64,)),
    "a factory of nothing": ("make", {}, (4, 3)),
    "a factory, called": ("make_with(7)", {}, (7, 3)),
    "a factory, filled": ("make_with", {}, (10, 3)),
    "a factory, from --init": ("make_typed", {"flux": 8}, (8, 3)),
    "a factory that may return anything": ("make_any", {}, (10, 3)),
    "an instance": ("INSTANCE", {}, (6, 3)),
}


@pytest.mark.parametrize(("name", "init", "sizes"), BUILT.values(), ids=BUILT)
def test_builds_a_model(name, init, sizes):
    target = build_target(f"{HERE}:{name}", init)
    assert isinstance(target.model, nn.Module)
    assert target.call is target.model
    assert target.model.sizes == sizes
    assert target.label == f"{HERE}:{name}"


STEPS = {
    "parameters that are no constructor's": ("train_step", train_step),
    "annotated to return a tensor": ("typed_step", typed_step),
    "a parameter of data": ("on_features", on_features),
    "returned no model when called": ("bare_step", bare_step),
}


@pytest.mark.parametrize(("name", "function"), STEPS.values(), ids=STEPS)
def test_keeps_a_step(name, function):
    target = build_target(f"{HERE}:{name}")
    assert (target.call, target.model, target.assumptions) == (function, None, ())


def test_calls_what_a_factory_or_a_class_makes():
    assert build_target(f"{HERE}:make_step").call() == 3
    assert build_target(f"{HERE}:CallableStep").call() == 0.001


def test_a_method_is_a_step_on_its_model():
    target = build_target(f"{HERE}:INSTANCE.double")
    assert target.model is INSTANCE
    assert target_from_object(INSTANCE.double).model is INSTANCE


def test_a_method_of_a_class_is_a_step_on_an_instance():
    target = build_target(f"{HERE}:Stepping.training_step", {"in_channels": 2})
    assert isinstance(target.model, Stepping)
    assert target.call(3, 4) == ((10, 2), 3, 4)
    assert target.label == f"{HERE}:Stepping.training_step"
    assert target.assumptions == ("num_classes=10 (constructor argument, assumed; --init num_classes=...)",)
    assert build_target(f"{HERE}:Stepping.double").call(4) == 8
    assert build_target(f"{HERE}:Stepping.make(7)").model.sizes == (7, 3)


def test_a_target_knows_what_it_was_constructed_with():
    assert build_target(f"{HERE}:Net(4)").arguments == {"num_classes": 4, "in_channels": 3}
    assert build_target(f"{HERE}:make_with").arguments == {"num_classes": 10}


REFUSED = {
    "a required argument nobody knows": ("Unknown", {}, "needs a value for 'flux'", "--init flux=VALUE"),
    "a configuration nobody knows": ("Vaguely", {}, "needs a value for 'config'", "Write a factory"),
    "a factory's argument": ("make_unused", {}, "needs a value for 'flux'", "--init flux=VALUE"),
    "an unknown --init": ("Net", {"num_clases": 3}, "no parameter 'num_clases'", "Did you mean num_classes?"),
    "an unknown keyword": ("Net(zzz=1)", {}, "no parameter 'zzz'", "(num_classes, in_channels)"),
    "too many arguments": ("Net(1, 2, 3)", {}, "too many positional arguments", "(num_classes, in_channels)"),
    "given twice": ("Net(num_classes=1)", {"num_classes": 2}, "given twice", "--init"),
    "given twice, once by place": ("Net(1)", {"num_classes": 2}, "multiple values for argument 'num_classes'", ""),
    "an instance with arguments": ("INSTANCE(1)", {}, "a model already", "Leave the arguments out"),
    "an instance with --init": ("INSTANCE", {"num_classes": 2}, "a model already", "Leave the arguments out"),
    "a number": ("NUMBER", {}, "NUMBER is of type int: 3", "Name an nn.Module"),
    "another class": ("NotAModel", {}, "neither an nn.Module nor callable", "Name an nn.Module"),
    "a factory of no model": ("make_number", {}, "returned something of type int: 3", "Name an nn.Module"),
    "called, but no model": ("bare_step()", {}, "returned something of type Tensor", "Name an nn.Module"),
    "the constructor raises": ("Raises(3)", {}, "Raises(3) raised ValueError: in_channels must be", "--init"),
    "a module is not installed": (
        "NeedsModule",
        {},
        "ModuleNotFoundError: No module named 'not_inst",
        "Install not_installed_anywhere in",
    ),
    "an import fails": ("NeedsName", {}, "ImportError: cannot import", "python -c 'import tests.target.test_build; "),
    "out of memory": ("TooLarge", {}, "not enough memory", "Make it smaller"),
    "the constructor exits": ("Exits", {}, "Exits() raised SystemExit: 1", ""),
}


@pytest.mark.parametrize(("name", "init", "what", "hint"), REFUSED.values(), ids=REFUSED)
def test_refuses(name, init, what, hint):
    with pytest.raises(TargetError) as caught:
        build_target(f"{HERE}:{name}", init)
    assert what in caught.value.what
    assert hint in caught.value.hint


def test_a_failing_constructor_is_placed_at_the_users_line():
    line = Raises.__init__.__code__.co_firstlineno + 2
    with pytest.raises(TargetError) as caught:
        build_target(f"{HERE}:Raises")
    assert caught.value.where.endswith(f"test_build.py:{line}")


def test_assumptions_name_the_flag():
    assert build_target(f"{HERE}:Net").assumptions == (
        "num_classes=10 (constructor argument, assumed; --init num_classes=...)",
    )
    assert "write a factory" in build_target(f"{HERE}:Configured").assumptions[0]
    assert build_target(f"{HERE}:Net(3)").assumptions == ()


class Meta:
    """Counts how often it was entered, and makes tensors on the meta device."""

    entered = 0

    @contextmanager
    def __call__(self):
        self.entered += 1
        with torch.device("meta"):
            yield


@pytest.mark.parametrize("name", ["Net", "make", "OnlyPlain"], ids=["a class", "a factory", "fails in the context"])
def test_constructs_inside_the_context_and_falls_back(name):
    constructing = Meta()
    assert build_target(f"{HERE}:{name}", {}, constructing).model is not None
    assert constructing.entered == 1


@pytest.mark.parametrize("kind", [NeedsModule, TooLarge], ids=["what is missing", "what is too large"])
def test_is_not_constructed_twice(kind):
    kind.count = 0
    with pytest.raises(TargetError):
        build_target(f"{HERE}:{kind.__name__}")
    assert kind.count == 1


def test_what_a_constructor_prints_is_printed_once(capsys):
    build_target(f"{HERE}:Chatty", {}, Meta())
    assert capsys.readouterr().out == "hello\n"


def test_the_plain_attempts_error_counts():
    @contextmanager
    def failing():
        raise RuntimeError("the context's own")
        yield

    with pytest.raises(TargetError, match="must be divisible"):
        build_target(f"{HERE}:Raises(3)", {}, failing)


def test_keyboard_interrupt_passes(monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules[__name__], "make", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build_target(f"{HERE}:make")


def test_labels_of_objects():
    assert target_from_object(INSTANCE).label == "Net"
    assert target_from_object(train_step).label == "train_step"
    assert target_from_object(INSTANCE, "mine").label == "mine"


@pytest.mark.parametrize("value", [Net, 3, "mod:Net"], ids=["a class", "a number", "a text"])
def test_refuses_other_objects(value):
    with pytest.raises(TypeError, match="expected"):
        target_from_object(value)


def test_every_well_known_name_has_one_value():
    names = [name.replace("_", "") for _, names in wellknown._NAMES for name in names.split()]
    assert len(names) == len(set(names))


WELL_KNOWN = {
    "a word of the name hints, the annotation fits": ("mid_channels", int, 64),
    "camel case": ("numRounds", int, 4),
    "a flag": ("use_bn", bool, False),
    "no annotation": ("mid_channels_x", wellknown.UNKNOWN, wellknown.UNKNOWN),
    "an annotation, but no hint": ("flux", int, wellknown.UNKNOWN),
    "a float where the table has an int": ("expansion", float, 4.0),
    "int | None": ("hidden_dim", int | None, 64),
    "a plural": ("hidden_sizes", wellknown.UNKNOWN, [64, 64, 64, 64]),
    "a plural nobody knows": ("conv_dims", wellknown.UNKNOWN, [64, 64, 64, 64]),
    "a plural of kernels": ("kernel_sizes", wellknown.UNKNOWN, [3, 3, 3, 3]),
    "a plural that is a number": ("hidden_dims", int, 64),
    "a plural, a tuple": ("hidden_sizes", tuple, (64, 64, 64, 64)),
    "a number of several": ("spatial_dims", wellknown.UNKNOWN, 2),
    "a shape": ("img_shape", wellknown.UNKNOWN, (3, 32, 32)),
    "a shape as a list": ("img_shape", list[int], [3, 32, 32]),
    "an iterable": ("channels", Iterable[int], [64, 64, 64, 64]),
    "a bare tuple": ("mid_channels", tuple, (64, 64, 64, 64)),
    "of tutorials": ("oup", wellknown.UNKNOWN, 64),
    "a seed": ("seed", wellknown.UNKNOWN, 0),
    "tags": ("tagset_size", wellknown.UNKNOWN, 10),
    "a tuple of any length": ("depths", tuple[int, ...], (2, 2, 2, 2)),
}


@pytest.mark.parametrize(("name", "annotation", "value"), WELL_KNOWN.values(), ids=WELL_KNOWN)
def test_well_known(name, annotation, value):
    found = wellknown.well_known(name, annotation)
    assert found is value if value is wellknown.UNKNOWN else (found, type(found)) == (value, type(value))
