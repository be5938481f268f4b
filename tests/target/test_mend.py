"""Configurations that leave an entry open: what a constructor stumbles on is filled in, and said."""

from __future__ import annotations

import pytest
from torch import nn

import opscan
from opscan.errors import TargetError
from opscan.target.build import build_target
from opscan.target.mend import construct_mending

from .configured import SmallConfig


class Reads:
    """Fails on the entry it is made to read."""

    def __init__(self, read):
        self.read = read

    def __call__(self, config):
        return self.read(config)


class Renames(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.inner = config.moe_intermediate_size
        self.weight = 2 * self.inner


def needs_length(config):
    if config.prediction_length is None:
        raise ValueError("The `prediction_length` config needs to be specified.")
    return config.prediction_length


OPEN = {
    "None, derived from others": (
        {"head_dim": None, "hidden_size": 64, "num_attention_heads": 4},
        lambda config: config.head_dim**-0.5,
        {"head_dim": 16},
    ),
    "None, one for each layer": (
        {"layer_types": None, "num_hidden_layers": 2},
        lambda config: config.layer_types[0],
        {"layer_types": ["full_attention"] * 2},
    ),
    "not there, as many as others": (
        {"n_head": 4},
        lambda config: config.num_key_value_heads + 1,
        {"num_key_value_heads": 4},
    ),
    "named in the message": ({"prediction_length": None}, needs_length, {"prediction_length": 32}),
    "under another name": ({"moe_intermediate_size": None}, Renames, {"moe_intermediate_size": 64}),
    "there in another part": (
        {"depths": None, "vision_config": SmallConfig(depths=[3])},
        lambda config: config.depths[0],
        {"depths": [3]},
    ),
}


@pytest.mark.parametrize(("entries", "read", "filled"), OPEN.values(), ids=OPEN)
def test_fills_in(entries, read, filled):
    config = SmallConfig(**entries)
    _, lines = construct_mending(Reads(read), (config,), {})
    assert {name: getattr(config, name) for name in filled} == filled
    assert [line.partition("=")[0] for line in lines] == [f"SmallConfig.{name}" for name in filled]


HOPELESS = {
    "about no entry": (lambda config: {}["key"], KeyError),
    "a name about which nothing is known": (lambda config: config.zorgl + 1, AttributeError),
    "no configuration's": (lambda config: None + 1, TypeError),
}


@pytest.mark.parametrize(("read", "error"), HOPELESS.values(), ids=HOPELESS)
def test_raises_what_it_cannot_mend(read, error):
    with pytest.raises(error):
        construct_mending(Reads(read), (SmallConfig(size=3),), {})


class KnowsItsKind(nn.Module):
    config_class = SmallConfig

    def __init__(self, config=None):
        super().__init__()
        if config is None:
            raise ValueError("Either a configuration has to be provided, or its parts.")
        self.scale = config.head_dim**2


def test_makes_a_configuration_that_may_be_left_out_and_says_so():
    SmallConfig.head_dim = None
    try:
        with pytest.raises(TargetError):
            build_target(f"{__name__}:KnowsItsKind", {"config": None})
        assert (
            build_target(f"{__name__}:Tolerant").assumptions[0].startswith("config=SmallConfig() (constructor argument")
        )
    finally:
        del SmallConfig.head_dim


class Tolerant(KnowsItsKind):
    def __init__(self, config=None):
        nn.Module.__init__(self)
        self.made = config is not None


class RoutesConfig(SmallConfig):
    def __init__(self):
        super().__init__(hidden_size=64, num_experts_per_tok=None, use_cache=True)


class Routes(nn.Module):
    """Reads in forward what its configuration leaves open."""

    config_class = RoutesConfig

    def __init__(self, config: RoutesConfig):
        super().__init__()
        self.config = config
        self.router = nn.Linear(config.hidden_size, 8)
        self.top_k = config.num_experts_per_tok

    def forward(self, x):
        weights, _ = self.router(x).topk(self.top_k)
        return weights.softmax(-1)


def test_what_a_forward_finds_open_is_filled_in_and_the_model_made_once_more():
    report = opscan.check(f"{__name__}:Routes")
    assert report.backward_ops
    assert any("RoutesConfig.num_experts_per_tok=" in line for line in report.assumptions)
    assert any("RoutesConfig: use_cache=False" in line for line in report.assumptions)
