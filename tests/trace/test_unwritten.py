"""Parameters and buffers that a constructor leaves unwritten: found where they are, and nowhere else.

PyTorch tells the truth about it: under strict mode it fills new memory with NaN, and what is NaN throughout after the
constructor has run for real was never written.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, parametrize

from opscan.arguments import read_before_written
from opscan.trace.driver import constructing
from opscan.trace.hygiene import unchanged_process
from opscan.trace.unwritten import UNWRITTEN, unwritten_remembered
from tests.trace.tracing import Cell, floats, trace


class Holder(nn.Module):
    """Holds one weight, as its maker makes it."""

    def __init__(self, make: Callable[[], Any]) -> None:
        super().__init__()
        made = make()
        if isinstance(made, torch.Tensor):
            made = nn.Parameter(made, requires_grad=made.is_floating_point())
        self.weight = made


def _filled(tensor: torch.Tensor) -> torch.Tensor:
    nn.init.kaiming_uniform_(tensor)
    return tensor


def _data_set(tensor: torch.Tensor) -> torch.Tensor:
    holder = nn.Parameter(tensor)
    holder.data = torch.zeros(3, 4)
    return holder.data


def _by_numpy(tensor: torch.Tensor) -> torch.Tensor:
    tensor.numpy()[...] = 1
    return tensor


def _loaded(layer: nn.Module, assign: bool = False) -> nn.Module:
    layer.load_state_dict({"weight": torch.ones(3, 4), "bias": torch.ones(3)}, assign=assign)
    return layer


def _skipped() -> nn.Module:
    return nn.utils.skip_init(nn.Linear, 4, 3)


def _parametrized(layer: nn.Module) -> nn.Module:
    parametrize.register_parametrization(layer, "weight", nn.Identity())
    return layer


LEFT = {
    "torch.Tensor(n, m)": lambda: torch.Tensor(3, 4),
    "torch.FloatTensor(n, m)": lambda: torch.FloatTensor(3, 4),
    "torch.empty": lambda: torch.empty(3, 4),
    "empty_like": lambda: torch.empty_like(torch.ones(3, 4)),
    "new_empty": lambda: torch.ones(2).new_empty(3, 4),
    "empty_strided": lambda: torch.empty_strided((3, 4), (4, 1)),
    "grown from nothing": lambda: torch.Tensor().resize_(3, 4),
    "grown from nothing that was written": lambda: torch.zeros(0).resize_(3, 4),
    "scaled": lambda: torch.empty(3, 4) * 0.02,
    "scaled in place": lambda: torch.empty(3, 4).mul_(0.02),
    "another dtype": lambda: torch.empty(3, 4).to(torch.bfloat16),
    "transposed in place": lambda: torch.empty(3, 4).t_(),
    "a view": lambda: torch.empty(12).view(3, 4),
    "copied from what is unwritten": lambda: torch.empty(3, 4).copy_(torch.empty(3, 4)),
    "a deep copy": lambda: copy.deepcopy(nn.Parameter(torch.empty(3, 4))),
    "a layer with init skipped": _skipped,
    "such a layer in another dtype": lambda: _skipped().to(torch.float64),
    "such a layer parametrized": lambda: _parametrized(_skipped()),
}
WRITTEN = {
    "initialised": lambda: _filled(torch.empty(3, 4)),
    "one element": lambda: torch.empty(3, 4).index_fill_(0, torch.tensor([0]), 1.0),
    "a slice": lambda: (made := torch.empty(3, 4))[:1].fill_(0) is not None and made,
    "by item": lambda: (made := torch.empty(3, 4)).__setitem__((0, 0), 1.0) or made,
    "out=": lambda: torch.add(torch.ones(3, 4), 1, out=torch.empty(3, 4)),
    "data copied": lambda: torch.empty(3, 4).copy_(torch.ones(3, 4)),
    "data exchanged": lambda: _data_set(torch.empty(3, 4)),
    "from a list": lambda: torch.tensor([[1.0, 2.0]]),
    "from numpy": lambda: torch.from_numpy(numpy.ones((3, 4), dtype=numpy.float32)),
    "through numpy": lambda: _by_numpy(torch.empty(3, 4)),
    "grown from written": lambda: torch.zeros(2).resize_(3, 4),
    "only its sizes": lambda: torch.ones_like(torch.empty(3, 4)),
    "a list of tensors": lambda: (made := torch.empty(3, 4), torch._foreach_zero_([made]))[0],
    "no elements": lambda: torch.empty(0),
    "loaded": lambda: _loaded(_skipped()),
    "loaded by exchange": lambda: _loaded(_skipped(), assign=True),
    "initialised after all": lambda: _skipped().apply(lambda layer: layer.reset_parameters()),
    "weight_norm": lambda: parametrizations.weight_norm(nn.Linear(4, 3)),
    "the old weight_norm": lambda: nn.utils.weight_norm(nn.Linear(4, 3)),
    "spectral_norm": lambda: parametrizations.spectral_norm(nn.Linear(4, 3)),
    "the old spectral_norm": lambda: nn.utils.spectral_norm(nn.Linear(4, 3)),
    "orthogonal": lambda: parametrizations.orthogonal(nn.Linear(4, 3)),
    "a lazy layer": lambda: nn.LazyLinear(3),
    "a lazy layer with sizes": lambda: _run(nn.LazyLinear(3), torch.zeros(2, 4)),
    "deep copies of a layer": lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2), 2),
}


def _run(layer: nn.Module, x: torch.Tensor) -> nn.Module:
    layer(x)
    return layer


def names_left(model: nn.Module) -> set[str]:
    return {
        ".".join(part for part in (path, name) if part)
        for path, module in model.named_modules()
        for name in module.__dict__.get(UNWRITTEN, {})
    }


def names_of_nan(model: nn.Module) -> set[str]:
    tensors = (*model.named_parameters(), *model.named_buffers())
    sized = ((name, each) for name, each in tensors if not isinstance(each, nn.UninitializedParameter) and each.numel())
    return {name for name, tensor in sized if bool(tensor.isnan().all())}


def on_meta(build: Callable[[], nn.Module]) -> set[str]:
    with constructing():
        model = build()
    return names_left(model)


def for_real(build: Callable[[], nn.Module]) -> tuple[set[str], set[str]]:
    """What is remembered of a model that is built for real, and what is NaN in it under strict mode."""
    with unchanged_process(strict=True), unwritten_remembered():
        model = build()
    return names_left(model), names_of_nan(model)


@pytest.mark.parametrize("make", LEFT.values(), ids=LEFT)
def test_what_nothing_initialises(make: Callable[[], Any]) -> None:
    remembered, truth = for_real(lambda: Holder(make))
    assert len(truth) >= 1
    assert remembered == truth
    assert on_meta(lambda: Holder(make)) == truth


@pytest.mark.parametrize("make", WRITTEN.values(), ids=WRITTEN)
def test_what_is_written(make: Callable[[], Any]) -> None:
    assert for_real(lambda: Holder(make)) == (set(), set())


@pytest.mark.parametrize("name", sorted(set(WRITTEN) - {"through numpy"}))
def test_what_is_written_on_meta(name: str) -> None:
    assert on_meta(lambda: Holder(WRITTEN[name])) == set()


ARGUMENTS: dict[str, tuple[Any, ...]] = {
    **dict.fromkeys(("Linear", "RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell"), (4, 3)),
    **{f"{kind}{d}d": (4, 4, 3) for kind in ("Conv", "ConvTranspose") for d in (1, 2, 3)},
    **{f"BatchNorm{d}d": (4,) for d in (1, 2, 3)},
    **{f"InstanceNorm{d}d": (4, 1e-5, 0.1, True, True) for d in (1, 2, 3)},
    **dict.fromkeys(("SyncBatchNorm", "LayerNorm", "RMSNorm"), (4,)),
    **dict.fromkeys(("TransformerEncoderLayer", "TransformerDecoderLayer", "MultiheadAttention"), (8, 2)),
    "Transformer": (8, 2, 1, 1, 16),
    "Bilinear": (3, 4, 5),
    "AdaptiveLogSoftmaxWithLoss": (8, 20, [4]),
    "GroupNorm": (2, 4),
    "Embedding": (5, 4),
    "EmbeddingBag": (5, 4),
    "PReLU": (),
}


def test_every_layer_of_torch_with_weights_is_tried() -> None:
    layers = {name for name, each in vars(nn).items() if hasattr(each, "reset_parameters") and "Lazy" not in name}
    assert layers - {"RNNBase", "RNNCellBase"} <= set(ARGUMENTS)


@pytest.mark.parametrize("name", ARGUMENTS)
def test_no_layer_of_torch_leaves_anything(name: str) -> None:
    assert on_meta(lambda: getattr(nn, name)(*ARGUMENTS[name])) == set()


def test_code_that_asks_whether_it_is_on_meta_may_be_putting_it_off() -> None:
    def build() -> nn.Module:
        layer = Holder(lambda: torch.empty(3, 4))
        if not layer.weight.is_meta:
            nn.init.ones_(layer.weight)
        return layer

    assert on_meta(build) == set()
    assert for_real(build) == (set(), set())


def test_another_device_asked_for_makes_no_difference() -> None:
    assert on_meta(lambda: Holder(lambda: torch.empty(3, 4, device="meta"))) == {"weight"}


SOURCE = """
import torch
from torch import nn
import torch.nn.functional as F

class Mine(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.Tensor(3, 4))  #weight
        self.unused = nn.Parameter(torch.Tensor(3))
        self.register_buffer("cache", torch.empty(2, 3))
        self.register_buffer("scale", torch.empty(3))  #scale

    def forward(self, x):
        self.cache.copy_(F.linear(x, self.weight))
        return self.cache * self.scale

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = Mine()
        self.tied = self.fc

    def forward(self, x):
        return self.tied(x)
"""


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("how", [constructing, unwritten_remembered])
def test_a_trace_knows_their_names_lines_and_whether_they_are_read_first(how: Any, mode: str) -> None:
    cell = Cell(SOURCE)
    with how():
        model = cell["Net"]()
    unwritten = trace(model, floats(2, 4), mode=mode).unwritten()
    assert {site.path: read_before_written(node) for node, (_, site) in unwritten} == {
        "fc.weight": True,
        "fc.unused": False,
        "fc.cache": False,
        "fc.scale": True,
    }
    sites = {site.path: (site.type, cell.tag(site.constructed)) for _, (_, site) in unwritten}
    assert (sites["fc.weight"], sites["fc.scale"]) == (("Mine", "weight"), ("Mine", "scale"))


def test_of_a_model_that_was_handed_in_nothing_is_known() -> None:
    assert trace(_skipped(), floats(2, 4)).unwritten() == []
