"""Layers of torch.nn, and small models of every kind, each with what it is called with."""

from __future__ import annotations

import functools
import random
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations, prune

_ON_VECTORS = """
Identity() Linear(4,3) Bilinear3 ReLU() ReLU(inplace=True) ReLU6() ELU() SELU() CELU() GELU() SiLU() Mish() Softplus()
Softshrink() Softsign() Tanh() Tanhshrink() Threshold(0.1,0) Hardtanh() Hardswish() Hardsigmoid() Hardshrink()
LeakyReLU()
LogSigmoid() Sigmoid() PReLU() PReLU(4) RReLU() GLU() Softmax(-1) LogSoftmax(-1) Softmin(-1) Dropout() AlphaDropout()
LayerNorm(4) RMSNorm(4) BatchNorm1d(4) BatchNorm1d(4,momentum=None) BatchNorm1d(4,track_running_stats=False)
LazyLinear(3) LazyBatchNorm1d() Unflatten(1,(2,2)) Linear(4,3,bias=False)
"""
_ON_SIGNALS = """
Conv1d(4,3,2) Conv1d(4,4,3,groups=2) ConvTranspose1d(4,3,2) LazyConv1d(3,2) MaxPool1d(2) AvgPool1d(2) LPPool1d(2,2)
AdaptiveAvgPool1d(3) AdaptiveMaxPool1d(3) FeatureAlphaDropout() Dropout1d() InstanceNorm1d(4)
InstanceNorm1d(4,affine=True)
GroupNorm(2,4) ReflectionPad1d(1) ReplicationPad1d(1) CircularPad1d(1) ZeroPad1d(1) ConstantPad1d(1,.5) BatchNorm1d(4)
ChannelShuffle(2) RNN(8,5) LSTM(8,5,2) GRU(8,5,bidirectional=True) LSTM(8,5,proj_size=2) TransformerEncoderLayer(8,2,16)
MultiheadSelf8 Upsample(scale_factor=2) Unfold1 Fold1 Flatten()
"""
_ON_IMAGES = """
Conv2d(4,3,2) Conv2d(4,3,3,padding=1,padding_mode='replicate') Conv2d(4,3,3,padding=1,padding_mode='reflect')
Conv2d(4,3,3,padding=1,padding_mode='circular') ConvTranspose2d(4,3,2) LazyConv2d(3,2) MaxPool2d(2) AvgPool2d(2)
FractionalMaxPool2d(2,output_size=3) LPPool2d(2,2) AdaptiveAvgPool2d(3) AdaptiveMaxPool2d(3) Dropout2d() BatchNorm2d(4)
InstanceNorm2d(4) LocalResponseNorm(2) CrossMapLRN2d(2) ReflectionPad2d(1) ReplicationPad2d(1) ZeroPad2d(1)
CircularPad2d(1)
PixelShuffle(2) PixelUnshuffle(2) Upsample(scale_factor=2,mode='bilinear') Upsample(scale_factor=2,mode='bicubic')
UpsamplingNearest2d(scale_factor=2) UpsamplingBilinear2d(scale_factor=2) Unfold(2) SyncBatchNorm(4) Softmax2d()
"""
_ON_VOLUMES = """
Conv3d(4,3,2) ConvTranspose3d(4,3,2) MaxPool3d(2) AvgPool3d(2) AdaptiveAvgPool3d(2) AdaptiveMaxPool3d(2) Dropout3d()
BatchNorm3d(4) InstanceNorm3d(4) ReplicationPad3d(1) ReflectionPad3d(1) FractionalMaxPool3d(2,output_size=2)
Upsample(scale_factor=2,mode='trilinear')
"""
_SIZES = ((_ON_VECTORS, (5, 4)), (_ON_SIGNALS, (2, 4, 8)), (_ON_IMAGES, (2, 4, 8, 8)), (_ON_VOLUMES, (2, 4, 4, 4, 4)))
_CPU_LACKS = {"SyncBatchNorm(4)"}

Model = Callable[..., Any]
MODELS: dict[str, tuple[Callable[[], Model], Callable[[], tuple[torch.Tensor, ...]]]] = {}
"""By name, how a model is made, and what it is called with."""


class Bilinear3(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Bilinear(4, 4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x, x)


class MultiheadSelf8(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.MultiheadAttention(8, 2, dropout=0.1, batch_first=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(x, x, x)[0]


class Unfold1(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.unfold(-1, 2, 1)


class Fold1(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.fold(x, (3, 3), (2, 2)) if x.shape[-1] == 4 else F.fold(x[..., :4], (3, 3), (2, 2))


def _layer(text: str) -> Callable[[], Model]:
    own = {"Bilinear3": Bilinear3, "MultiheadSelf8": MultiheadSelf8, "Unfold1": Unfold1, "Fold1": Fold1}
    if text in own:
        return own[text]
    return lambda: eval(f"nn.{text}", {"nn": nn})


def _floats(*sizes: int) -> Callable[[], tuple[torch.Tensor, ...]]:
    return lambda: (torch.randn(sizes),)


for _table, _sizes in _SIZES:
    for _text in _table.split():
        if _text not in _CPU_LACKS:
            MODELS[f"{_text} on {len(_sizes)} dimensions"] = _layer(_text), _floats(*_sizes)

_IDS = lambda: (torch.randint(5, (2, 3)),)  # noqa: E731
MODELS |= {
    "Embedding": (lambda: nn.Embedding(5, 4, padding_idx=0), _IDS),
    "Embedding, max_norm writes to it": (lambda: nn.Embedding(5, 4, max_norm=1.0), _IDS),
    "EmbeddingBag": (lambda: nn.EmbeddingBag(5, 4), _IDS),
    "Embedding, sparse": (lambda: nn.Embedding(5, 4, sparse=True), _IDS),
    "GRUCell": (lambda: nn.GRUCell(4, 3), _floats(2, 4)),
    "Transformer": (
        lambda: nn.Transformer(8, 2, 1, 1, 16, batch_first=True),
        lambda: (torch.randn(2, 3, 8), torch.randn(2, 3, 8)),
    ),
    "encoder of three layers": (
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 3),
        _floats(2, 3, 8),
    ),
}
_X = lambda: torch.randn(2, 4)  # noqa: E731
_Y = lambda: torch.randn(2, 4)  # noqa: E731
for _loss in (
    "L1Loss",
    "MSELoss",
    "SmoothL1Loss",
    "HuberLoss",
    "SoftMarginLoss",
    "KLDivLoss",
    "MultiLabelSoftMarginLoss",
):
    MODELS[_loss] = getattr(nn, _loss), lambda: (_X(), _Y().sigmoid())
MODELS |= {
    "CrossEntropyLoss": (nn.CrossEntropyLoss, lambda: (_X(), torch.tensor([0, 1]))),
    "NLLLoss": (nn.NLLLoss, lambda: (_X().log_softmax(1), torch.tensor([0, 1]))),
    "BCEWithLogitsLoss": (nn.BCEWithLogitsLoss, lambda: (_X(), _Y().sigmoid())),
    "TripletMarginLoss": (nn.TripletMarginLoss, lambda: (_X(), _Y(), _Y())),
    "CosineEmbeddingLoss": (nn.CosineEmbeddingLoss, lambda: (_X(), _Y(), torch.tensor([1, -1]))),
    "CTCLoss": (
        nn.CTCLoss,
        lambda: (
            torch.randn(6, 2, 5).log_softmax(2),
            torch.tensor([[1, 2], [3, 4]]),
            torch.tensor([6, 6]),
            torch.tensor([2, 2]),
        ),
    ),
}


class Own(nn.Module):
    """A linear layer; what a model below does beside it stands there."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> Any:
        return self.linear(x)


def own(**extra: Any) -> Callable[[Callable[..., Any]], type[Own]]:
    """A model with this forward, and as attributes what these functions make."""

    def make(forward: Callable[..., Any]) -> type[Own]:
        class Made(Own):
            def __init__(self) -> None:
                super().__init__()
                for name, value in extra.items():
                    made = value()
                    self.register_buffer(name, made) if isinstance(made, torch.Tensor) else setattr(self, name, made)

        Made.forward = forward  # type: ignore[method-assign]
        Made.__name__ = forward.__name__
        MODELS[(forward.__doc__ or "").rstrip(".")] = Made, _floats(2, 4)
        return Made

    return make


_CALLS = 0
_CACHED: Any = None
_TABLE: dict[str, Any] = {}


@own()
def _counts(self: Any, x: torch.Tensor) -> Any:
    """Counts in a global, on its class, and on a function."""
    global _CALLS, _CACHED
    _CALLS += 1
    _CACHED = x if _CACHED is None else _CACHED
    type(self).calls = getattr(type(self), "calls", 0) + 1
    _helper.calls = getattr(_helper, "calls", 0) + 1
    return _helper(self.linear(x))


def _helper(x: torch.Tensor) -> torch.Tensor:
    global _CALLS
    _CALLS += 1
    _TABLE["x"] = x
    return x


@own(
    torch_rng=lambda: torch.Generator().manual_seed(1),
    numpy_rng=lambda: np.random.default_rng(1),
    old_rng=lambda: np.random.RandomState(1),
    python_rng=lambda: random.Random(1),
)
def _draws(self: Any, x: torch.Tensor) -> Any:
    """Draws from every generator there is, and seeds them."""
    scale = (
        self.numpy_rng.random() + self.old_rng.rand() + self.python_rng.random() + np.random.rand() + random.random()
    )
    x = x[torch.randperm(2, generator=self.torch_rng)] + torch.rand(4) + torch.bernoulli(torch.full((4,), 0.5))
    torch.manual_seed(3)
    torch.cuda.manual_seed_all(3)
    np.random.seed(3)
    random.seed(3)
    return self.linear(x) * scale


@own(
    real=lambda: torch.zeros(4),
    whole=lambda: torch.zeros(4, dtype=torch.long),
    turned=lambda: torch.zeros(4, dtype=torch.complex64),
    sparse=lambda: torch.eye(4).to_sparse(),
    rows=lambda: torch.eye(4).to_sparse_csr(),
    quantized=lambda: torch.quantize_per_tensor(torch.ones(4), 0.1, 0, torch.quint8),
)
def _buffers(self: Any, x: torch.Tensor) -> Any:
    """Writes to its buffers: real, integer and complex ones, and replaces a sparse one."""
    self.real.add_(1)
    self.whole += 1
    self.turned.mul_(2).add_(1)
    self.sparse = self.sparse * 2
    self.real = self.real * 2
    return self.linear(x) + self.real


@own()
def _edits(self: Any, x: torch.Tensor) -> Any:
    """Edits its input, its parameters, their data, gradients and hooks."""
    with torch.no_grad():
        self.linear.weight.clamp_(-1, 1)
        self.linear.weight.data = self.linear.weight.data * 2
    self.linear.weight.grad = torch.ones_like(self.linear.weight)
    self.linear.weight.register_hook(lambda grad: grad * 2)
    self.linear.bias = nn.Parameter(torch.ones(4))
    self.double().float().eval()
    return self.linear(x.mul_(2))


@own()
def _modes(self: Any, x: torch.Tensor) -> Any:
    """Casts, and switches gradients and modes as it goes."""
    with torch.no_grad():
        self.linear(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = self.linear(x)
    with torch.autograd.graph.saved_tensors_hooks(lambda each: each, lambda each: each), torch.enable_grad():
        return y.float() + self.linear(x)


@own()
def _functional(self: Any, x: torch.Tensor) -> Any:
    """Goes through torch.func."""
    called = torch.func.functional_call(self.linear, dict(self.linear.named_parameters()), (x,))
    return called + torch.func.vmap(lambda row: row * 2)(x)


@own()
def _checkpoints(self: Any, x: torch.Tensor) -> Any:
    """Recomputes in backward."""
    return torch.utils.checkpoint.checkpoint(self.linear, x, use_reentrant=False)


@own()
def _warns(self: Any, x: torch.Tensor) -> Any:
    """Warns, and prints nothing."""
    warnings.warn("look out", stacklevel=1)
    return self.linear(x)


class Scaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return x * 2

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> Any:
        return grads[0] * 2


@own()
def _function(self: Any, x: torch.Tensor) -> Any:
    """Has a torch.autograd.Function of its own."""
    return Scaled.apply(self.linear(x))


def _hooked() -> nn.Module:
    model, seen = Own(), []  # type: ignore[var-annotated]
    model.register_forward_pre_hook(lambda module, args: seen.append(args))
    model.linear.register_forward_hook(lambda module, args, out: seen.append(out))
    model.linear.register_full_backward_hook(lambda module, grads, outs: seen.append(grads))
    model.register_full_backward_pre_hook(lambda module, grads: seen.append(grads))
    model.register_state_dict_post_hook(lambda *args: None)
    model.linear.weight.register_hook(lambda grad: seen.append(grad))
    model.linear.weight.register_post_accumulate_grad_hook(lambda parameter: seen.append(parameter.grad))
    return model


def _tied() -> nn.Module:
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 4))
    model[2].weight = model[0].weight
    model[0].weight.grad = torch.ones(4, 4)
    model[1].eval()
    model[0].bias.requires_grad_(False)
    return model


def _old_weight_norm() -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return nn.utils.weight_norm(nn.Linear(4, 4))


def _compiled() -> Any:
    return torch.compile(Own(), backend="eager")


MODELS |= {
    "hooks of every sort": (_hooked, _floats(2, 4)),
    "tied, frozen, with a gradient": (_tied, _floats(2, 4)),
    "spectral_norm": (lambda: parametrizations.spectral_norm(nn.Linear(4, 4)), _floats(2, 4)),
    "weight_norm": (lambda: parametrizations.weight_norm(nn.Linear(4, 4)), _floats(2, 4)),
    "weight_norm as a hook": (_old_weight_norm, _floats(2, 4)),
    "orthogonal": (lambda: parametrizations.orthogonal(nn.Linear(4, 4)), _floats(2, 4)),
    "pruned": (lambda: prune.l1_unstructured(nn.Linear(4, 4), "weight", 0.5), _floats(2, 4)),
    "compiled": (_compiled, _floats(2, 4)),
    "scripted": (
        lambda: torch.jit.script(nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout())),
        _floats(2, 4),
    ),
    "lazy": (lambda: nn.Sequential(nn.LazyLinear(3), nn.LazyBatchNorm1d(), nn.LazyLinear(2)), _floats(2, 4)),
    "a function": (lambda: functools.partial(F.softmax, dim=-1), _floats(2, 4)),
    "complex": (lambda: nn.Linear(4, 4, dtype=torch.complex64), lambda: (torch.randn(2, 4, dtype=torch.complex64),)),
    "averaged weights": (lambda: torch.optim.swa_utils.AveragedModel(nn.Linear(4, 4)), _floats(2, 4)),
}
