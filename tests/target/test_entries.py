"""Which entry of a configuration an error is about, and the value that may mend it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import opscan
from opscan.target.configs import configs_in
from opscan.target.entries import mendings

from .configured import SmallConfig


def first_for(call, config):
    """(entry, value) of the first mending of what the call raises."""
    try:
        call()
    except Exception as error:
        found = next(mendings(error, configs_in(config)), None)
        return None if found is None else (found.name, found.value)
    raise AssertionError("it did not fail")


class Part(nn.Module):
    """Has `extra` only if its configuration says so."""

    def __init__(self, config):
        super().__init__()
        if config.use_extra and config.hidden_size:
            self.extra = nn.Linear(4, 4)

    def forward(self):
        return self.extra.weight


class Rotary(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.section = config.rope_parameters.get("mrope_section", [8, 12, 12])
        self.config = config

    def forward(self, x):
        return x.split(self.section, dim=-1)


class Finds(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config

    def forward(self, ids):
        mask = ids == self.config.image_token_id
        return mask.unsqueeze(-1)


class TypedConfig(SmallConfig):
    clip: float | None = None
    groups: int | None = None
    flag: bool | None = None
    table: dict | None = None
    word: str | None = None


def test_a_value_the_message_offers():
    config = SmallConfig(out_indices=[0, 1])

    def call():
        raise ValueError("needs config.out_indices to be 4 of them. One can use [3, 5, 7, 11] in most cases.")

    assert first_for(call, config) == ("out_indices", [3, 5, 7, 11])
    config.out_indices = [3, 5, 7, 11]
    assert first_for(call, config) is None  # it has been tried


def test_a_number_of_heads_that_divides():
    config = SmallConfig(hidden_size=1152, num_attention_heads=14, num_hidden_layers=14)

    def call():
        raise ValueError("embed_dim must be divisible by num_heads (got embed_dim: 1152 and num_heads: 14).")

    assert first_for(call, config) == ("num_attention_heads", 12)


def test_what_switches_an_attribute_on():
    config = SmallConfig(use_extra=False, hidden_size=4)
    assert first_for(Part(config), config) == ("use_extra", True)
    config.use_extra = True
    assert Part(config)().shape == (4, 4)


def test_a_list_with_the_sum_that_is_wanted():
    config = SmallConfig(rope_parameters={"rope_theta": 1.0})
    assert first_for(lambda: Rotary(config)(torch.zeros(2, 64)), config) == ("mrope_section", [16, 24, 24])
    assert first_for(lambda: Rotary(config)(torch.zeros(2, 11)), config) == ("mrope_section", [3, 4, 4])


def test_a_token_that_stands_for_an_image():
    config = SmallConfig(image_token_id=None, text_config=SmallConfig(vocab_size=100))
    assert first_for(lambda: Finds(config)(torch.zeros(2, 3).long()), config) == ("image_token_id", 99)


@pytest.mark.parametrize(("name", "value"), [("clip", 1.0), ("groups", 1), ("flag", True), ("table", {})])
def test_of_what_kind_an_entry_is_says_its_class(name, value):
    config = TypedConfig(**{name: None})
    found = first_for(lambda: 1 + getattr(config, name), config)
    assert found is None  # the line does not name it

    def call():
        raise TypeError(f"{name} is None")

    assert first_for(call, config) == (name, value)


def test_nothing_for_an_entry_of_which_nothing_is_known():
    def call():
        raise TypeError("word is None")

    assert first_for(call, TypedConfig(word=None)) is None


class MmConfig(SmallConfig):
    def __init__(self):
        super().__init__(vocab_size=50, hidden_size=64, num_attention_heads=1, rope_parameters={"rope_theta": 1.0})


class Multimodal(nn.Module):
    config_class = MmConfig

    def __init__(self, config: MmConfig):
        super().__init__()
        self.config = config
        self.embed = nn.Embedding(50, 64)
        self.rotary = Rotary(config)

    def forward(self, input_ids=None):
        return torch.cat(self.rotary(self.embed(input_ids)), -1).sum()


def test_an_entry_of_a_mapping_is_filled_in_and_said_by_its_path():
    report = opscan.check(f"{__name__}:Multimodal")
    assert any(line.startswith("rope_parameters.mrope_section=[16, 24, 24] (") for line in report.assumptions)


class LateConfig(SmallConfig):
    def __init__(self):
        super().__init__(vocab_size=50, num_experts_per_tok=None)


class LateTrouble(nn.Module):
    """Once its configuration is mended, the next line fails, whatever the input."""

    config_class = LateConfig

    def __init__(self, config: LateConfig):
        super().__init__()
        self.config = config
        self.embed = nn.Embedding(50, 8)

    def forward(self, input_ids=None):
        x = self.embed(input_ids)
        x.topk(self.config.num_experts_per_tok)
        raise RuntimeError("this weather does not suit me")


def test_the_error_that_no_mending_helps_is_the_one_that_is_said():
    with pytest.raises(opscan.OpscanError, match="this weather does not suit me"):
        opscan.check(f"{__name__}:LateTrouble")
