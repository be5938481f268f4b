"""Further things a target may name: items of containers, partials, class methods, wrapped modules."""

from __future__ import annotations

import functools
import sys
import types
import warnings
from typing import Self

import pytest
import torch
from torch import nn

from opscan.errors import TargetError
from opscan.target.build import build_target, target_from_object
from opscan.target.spec import parse_target

HERE = __name__
MODELS = {"small": nn.Linear(3, 2), "many": [nn.Linear(4, 2), nn.Linear(5, 2)]}
make = functools.partial(nn.Linear, 6, 2)
compiled = torch.compile(nn.Linear(7, 2))
parallel = nn.DataParallel(nn.Linear(8, 2))
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    scripted = torch.jit.script(nn.Linear(3, 2))


class Net(nn.Linear):
    def __init__(self, spec):
        super().__init__(spec["width"], 2)

    @classmethod
    def small(cls):
        return cls({"width": 9})

    @classmethod
    def of(cls, width: int) -> Self:
        return cls({"width": width})


def make_parallel():
    return nn.DataParallel(nn.Linear(11, 2))


NAMED = {
    "a key": ("MODELS['small']", 3, 0),
    "a key, an index": ('MODELS["many"][-1]', 5, 0),
    "a partial": ("make", 6, 0),
    "a compiled module": ("compiled", 7, 1),
    "a parallel module": ("parallel", 8, 1),
    "what makes a parallel module": ("make_parallel", 11, 1),
    "a class method": ("Net.small", 9, 0),
    "a class method, its argument assumed": ("Net.of", 64, 1),
    "a class method, called": ("Net.of(10)", 10, 0),
}


@pytest.mark.parametrize(("name", "width", "lines"), NAMED.values(), ids=NAMED)
def test_names(name, width, lines):
    target = build_target(f"{HERE}:{name}")
    assert target.model.in_features == width
    assert len(target.assumptions) == lines
    assert target.home == HERE


def test_the_path_of_a_name():
    assert parse_target("mod:a.b['c d'][-1].e(1)").path == ("a", "b", ("c d",), (-1,), "e")


REFUSED = {
    "a container": ("MODELS", "MODELS is of type dict", f"{HERE}:MODELS['small']"),
    "no such key": ("MODELS['large']", "nothing at ['large']: KeyError", "It has 'small', 'many'."),
    "no container": ("make[0]", "nothing at [0]: TypeError", "Name a dict or a list"),
    "TorchScript": ("scripted", "TorchScript (Linear)", "before torch.jit.script"),
}


@pytest.mark.parametrize(("name", "what", "hint"), REFUSED.values(), ids=REFUSED)
def test_refuses(name, what, hint):
    with pytest.raises(TargetError) as caught:
        build_target(f"{HERE}:{name}")
    assert what in caught.value.what
    assert hint in caught.value.hint


def test_objects_are_unwrapped_as_well():
    target = target_from_object(nn.DataParallel(compiled))
    assert isinstance(target.model, nn.Linear)
    assert [line.partition(":")[0] for line in target.assumptions] == ["DataParallel", "OptimizedModule"]
    with pytest.raises(TargetError, match="TorchScript"):
        target_from_object(scripted)


def test_a_keras_model_on_another_backend_is_told_from_a_module(monkeypatch):
    class Layer:
        def __call__(self, x):
            return x

    layers, config = types.ModuleType("layer"), types.ModuleType("config")
    layers.Layer, config.backend = Layer, lambda: "jax"
    monkeypatch.setitem(sys.modules, "keras.src.layers.layer", layers)
    monkeypatch.setitem(sys.modules, "keras.src.backend.config", config)
    with pytest.raises(TargetError, match="on the jax backend") as caught:
        target_from_object(Layer())
    assert "KERAS_BACKEND=torch" in caught.value.hint
