"""The grammar: layers, functional calls and idioms, as text with holes, each for tensors of some number of dimensions.

`{x}` is the tensor, `{m}` the module that `build` makes, `{n}` a new variable; C, L and F are sizes of the tensor's shape
(channels, the last one, and all without the batch), and `{1-3}` is a number out of a range. Whether a piece fits a
tensor is found out by running it.
"""

from __future__ import annotations

from typing import NamedTuple

HEADER = """\
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint


class Twice(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * 2

    @staticmethod
    def backward(ctx, grad):
        return grad.index_select(0, torch.arange(grad.shape[0], device=grad.device)) * 2


class Residual(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, x):
        return x + self.inner(x)


def cast(module, x):
    with torch.autocast("cuda", dtype=torch.bfloat16):
        y = module(x)
    return y.float()


def steps(x):
    return torch.stack([x.select(-1, at) * (at + 1) for at in range(min(x.shape[-1], 3))], -1)


def counted(x):
    if x.shape[-1] % 2:
        x = F.pad(x, (0, 1))
    while x.shape[-1] > 4:
        x = x[..., ::2] + x[..., 1::2]
    return x


def write(x):
    y = x.clone()
    y[..., 0] = y[..., -1] * 2
    y.add_(1).mul_(0.5)
    return y


def ids(count, below):
    return torch.arange(count) % below
"""


class Piece(NamedTuple):
    """One word of the grammar: for so many dimensions, what builds its module ("" for none), and the call."""

    dims: tuple[int, ...]
    build: str
    call: str = "{m}({x})"


_MODES = ("zeros", "reflect", "replicate", "circular")
_ANY = (2, 3, 4)
_IMAGE = (4,)
_LINE = (3,)
_VOLUME = (5,)
_FLAT = (2,)

LAYERS = (
    *(Piece(_LINE, f"nn.Conv1d(C, {{2-4}}, 3, padding={{1-2}}, padding_mode='{mode}')") for mode in _MODES),
    *(Piece(_IMAGE, f"nn.Conv2d(C, {{2-4}}, 3, padding=1, padding_mode='{mode}')") for mode in _MODES),
    *(Piece(_VOLUME, f"nn.Conv3d(C, {{2-3}}, 2, padding=1, padding_mode='{mode}')") for mode in _MODES),
    Piece(_LINE, "nn.ConvTranspose1d(C, {2-4}, 3, stride=2)"),
    Piece(_IMAGE, "nn.ConvTranspose2d(C, {2-4}, 2, stride={1-2}, bias=False)"),
    Piece(_IMAGE, "nn.Conv2d(C, C, 3, groups=C, dilation={1-2})"),
    *(Piece(_LINE, f"nn.{name}") for name in (
        "MaxPool1d({2-3}, stride={1-2})", "AvgPool1d(2)", "AdaptiveAvgPool1d({1-4})", "AdaptiveMaxPool1d({1-4})",
        "LPPool1d(2, 2)", "ReflectionPad1d({1-2})", "ReplicationPad1d({1-2})", "CircularPad1d(1)", "ConstantPad1d(1, 0.5)",
        "BatchNorm1d(C)", "InstanceNorm1d(C, affine=True)", "GroupNorm(1, C)", "LayerNorm(L)", "Dropout1d(0.5)",
        "Upsample(scale_factor=2)", "Upsample(scale_factor=2, mode='linear')", "RMSNorm(L)",
    )),
    *(Piece(_IMAGE, f"nn.{name}") for name in (
        "MaxPool2d({2-3}, stride={1-2})", "MaxPool2d(2, ceil_mode=True)", "AvgPool2d({1-2}, count_include_pad=False)",
        "AdaptiveAvgPool2d({1-4})", "AdaptiveAvgPool2d(({1-3}, None))", "AdaptiveMaxPool2d({1-3})", "LPPool2d(2, 2)",
        "FractionalMaxPool2d(2, output_ratio=0.6)", "ReflectionPad2d({1-2})", "ReplicationPad2d({1-2})", "ZeroPad2d(1)",
        "CircularPad2d(1)", "BatchNorm2d(C)", "BatchNorm2d(C, track_running_stats=False)", "InstanceNorm2d(C)",
        "GroupNorm(1, C)", "LocalResponseNorm(2)", "Dropout2d(0.3)", "FeatureAlphaDropout(0.3)", "ChannelShuffle(2)",
        "Upsample(scale_factor=2)", "Upsample(scale_factor=2, mode='bilinear')", "UpsamplingBilinear2d(scale_factor=2)",
        "Upsample(scale_factor=1.5, mode='bicubic')", "Upsample(size=(5, 4), mode='nearest-exact')", "Unfold(2)",
        "PixelUnshuffle(2)", "PReLU(C)", "Flatten(1)", "Flatten(2)",
    )),
    *(Piece(_VOLUME, f"nn.{name}") for name in (
        "MaxPool3d(2)", "AvgPool3d(2)", "AdaptiveAvgPool3d({1-2})", "AdaptiveMaxPool3d({1-2})", "ReplicationPad3d(1)",
        "ReflectionPad3d(1)", "BatchNorm3d(C)", "Upsample(scale_factor=2, mode='trilinear')", "Flatten(2)", "Flatten(3)",
        "FractionalMaxPool3d(2, output_size=1)", "Dropout3d(0.5)",
    )),
    *(Piece(_ANY, f"nn.{name}") for name in (
        "Linear(L, {2-5})", "ReLU()", "GELU()", "SiLU()", "Dropout(0.2)", "AlphaDropout(0.1)", "RReLU()", "Softmax(-1)",
        "LogSoftmax(-1)", "Hardswish()", "Softplus()", "Softshrink()", "Mish()", "LayerNorm(L)", "Identity()",
    )),
    Piece(_FLAT, "nn.BatchNorm1d(F)"),
    Piece(_FLAT, "nn.Bilinear(F, F, {2-3})", "{m}({x}, {x})"),
    Piece(_FLAT, "nn.Unflatten(1, (1, F))"),
    *(Piece(_LINE, f"nn.{kind}(L, {{2-4}}, batch_first=True)", "{m}({x})[0]") for kind in ("RNN", "LSTM", "GRU")),
    Piece(_LINE, "nn.LSTM(L, 3, num_layers=2, bidirectional=True, dropout=0.1)", "{m}({x})[0]"),
    Piece(_LINE, "nn.GRUCell(L, 3)", "{m}({x}[:, 0]).unsqueeze(1)"),
    Piece(_LINE, "nn.MultiheadAttention(L, 1, batch_first=True, dropout=0.1)", "{m}({x}, {x}, {x}, need_weights=False)[0]"),
    Piece(_LINE, "nn.TransformerEncoderLayer(L, 1, 8, batch_first=True)"),
    Piece(_LINE, "nn.TransformerDecoderLayer(L, 1, 8, batch_first=True)", "{m}({x}, {x})"),
    Piece(_LINE, "nn.MaxPool1d(2, return_indices=True)", "F.max_unpool1d(*{m}({x}), 2)"),
    Piece(_IMAGE, "nn.MaxPool2d(2, return_indices=True)", "F.max_unpool2d(*{m}({x}), 2)"),
    Piece(_VOLUME, "nn.MaxPool3d(2, return_indices=True)", "F.max_unpool3d(*{m}({x}), 2)"),
    Piece(_ANY, "nn.Linear(L, L)", "checkpoint({m}, {x}, use_reentrant=False)"),
    Piece(_IMAGE, "nn.Conv2d(C, 2, 3, padding=1, padding_mode='reflect')", "checkpoint({m}, {x}, use_reentrant=False)"),
    Piece(_ANY, "nn.Linear(L, L)", "cast({m}, {x})"),
    Piece(_IMAGE, "nn.Sequential(nn.ReplicationPad2d(1), nn.Conv2d(C, 2, 3))", "cast({m}, {x})"),
    Piece(_ANY, "Residual(nn.Linear(L, L))"),
    Piece(_IMAGE, "Residual(nn.Sequential(nn.ReflectionPad2d(1), nn.AvgPool2d(3, stride=1)))"),
    Piece(_ANY, "nn.ModuleDict({'a': nn.Linear(L, 2), 'b': nn.Linear(L, 2)})", "{m}['a']({x}) + {m}['b']({x})"),
    Piece(_FLAT, "nn.Embedding(7, F)", "{x} + {m}(ids({x}.shape[0], 5))"),
    Piece(_FLAT, "nn.Embedding(7, F, padding_idx=0, scale_grad_by_freq=True)", "{x} * {m}(ids({x}.shape[0], 3))"),
    Piece(_FLAT, "nn.EmbeddingBag(7, F, mode='sum')", "{x} + {m}(ids({x}.shape[0] * 3, 7).view(-1, 3))"),
    Piece(_FLAT, "nn.EmbeddingBag(7, F, mode='max')", "{x} + {m}(ids({x}.shape[0] * 3, 7).view(-1, 3))"),
)  # fmt: skip

CALLS = tuple(Piece(dims, "", call) for dims, call in (
    *((_ANY, each) for each in (
        "F.relu({x})", "F.gelu({x}).tanh()", "torch.cumsum({x}, 1)", "{x}.cumsum(-1) / 4", "torch.sort({x}, -1)[0]",
        "torch.median({x}, -1, keepdim=True)[0] + {x}", "{x} - torch.kthvalue({x}, 1, -1)[0].unsqueeze(-1)",
        "torch.logcumsumexp({x}, -1)", "torch.cumprod({x}.sigmoid(), 1)", "torch.cummax({x}, -1)[0]", "{x}.flip(-1)",
        "torch.mode({x}, -1)[0].unsqueeze(-1) + {x}", "torch.topk({x}, 1, -1)[0] * {x}", "{x}.roll(1, -1)", "Twice.apply({x})",
        "steps({x})", "counted({x})", "write({x})", "{x} if {x}.shape[-1] > 2 else {x} * 2", "{x}.unfold(-1, 2, 1).sum(-1)",
        "{x}.index_select(-1, ids({1-5}, 2))", "{x}[..., ids({1-5}, 2)]", "{x}[ids({x}.shape[0], 2)]", "{x}[..., ::2]",
        "{x}.gather(-1, torch.zeros_like({x}, dtype=torch.int64))", "torch.where({x} > 0, {x}, {x} * 0.1)",
        "torch.zeros_like({x}).index_add(0, ids({x}.shape[0], 2), {x})", "{x}.masked_fill({x} > 1, 0.5)",
        "torch.zeros_like({x}).scatter_add(0, torch.zeros_like({x}, dtype=torch.int64), {x})",
        "torch.zeros_like({x}).scatter(0, torch.zeros_like({x}, dtype=torch.int64), {x})",
        "torch.zeros_like({x}).scatter_reduce(0, torch.zeros_like({x}, dtype=torch.int64), {x}, 'amax')",
        "{x}.clone().index_put_((ids({x}.shape[0], 2),), {x}, accumulate=True)",
        "{x}.clone().index_put((ids({x}.shape[0], 9),), {x})", "{x}.clone().put_(ids(3, 3), {x}.flatten()[:3])",
        "{x}.clone().put_(ids(4, 2), {x}.flatten()[:4], accumulate=True)", "{x}.index_copy(0, ids(2, 2), {x}[:2])",
        "{x}.index_fill(0, ids(1, 1), 0.5)", "torch.take({x}, ids({x}.numel(), 3)).view_as({x})",
        "{x}.repeat_interleave(2, -1)", "{x}.repeat_interleave(1 + ids({x}.shape[-1], 2), -1)", "{x} + torch.rand_like({x})",
        "{x} + torch.histc({x}.detach(), 4, 0.0, 1.0).sum()", "{x} + torch.bincount(ids(9, 4)).sum()", "F.dropout({x}, 0.1)",
        "{x}.transpose(-1, -2).contiguous()", "{x}.reshape({x}.shape[0], -1)", "{x}.flatten(1).unsqueeze(1)", "{x}.clamp(-1, 1)",
        "torch.cat([{x}, {x} * 2], -1)", "torch.stack(torch.unbind({x}, -1), -1)", "torch.cdist({x}, {x})", "{x}.clone().relu_()",
        "torch.einsum('...i,...j->...ij', {x}, {x}).sum(-1)", "F.normalize({x}, dim=-1)", "{x}.renorm(2, 0, 1.0)", "{x}.std(-1, keepdim=True) + {x}",
        "{x} @ {x}.transpose(-1, -2)", "torch.diff({x}, dim=-1)", "{x}.nanmedian(-1, keepdim=True)[0] * {x}", "{x}.detach() * {x}",
        "torch.empty_like({x}).copy_({x})", "{x} + torch.empty({x}.shape[-1]).fill_(0.5)", "{x}.quantile(0.5, -1, keepdim=True) + {x}",
        "F.gumbel_softmax({x}, dim=-1)", "torch.bernoulli({x}.sigmoid().detach()) * {x}", "{x}.view({x}.shape).expand_as({x})",
    )),
    *((_LINE, each) for each in (
        "F.interpolate({x}, scale_factor=2, mode='nearest')", "F.interpolate({x}, size=5, mode='linear')",
        "F.pad({x}, (1, 1), mode='replicate')", "F.pad({x}, (1, 1), mode='reflect')", "torch.bmm({x}, {x}.transpose(1, 2))",
        "F.scaled_dot_product_attention({x}, {x}, {x})", "F.adaptive_avg_pool1d({x}, 3)", "F.max_pool1d({x}, 2)",
        "F.fold({x}.new_ones({x}.shape[0], 4, 9), 4, 2).flatten(2) + {x}.sum()", "torch.stft({x}[:, 0], 4, 2, window=torch.ones(4), return_complex=True).abs()",
    )),
    *((_IMAGE, each) for each in (
        "F.interpolate({x}, scale_factor=2, mode='bilinear', align_corners=True)", "F.interpolate({x}, size=(4, 5), mode='bicubic')",
        "F.interpolate({x}, size=(3, 3), mode='area')", "F.interpolate({x}, scale_factor=0.5, mode='bilinear', antialias=True)",
        "F.pad({x}, (1, 1, 1, 1), mode='replicate')", "F.pad({x}, (1, 0, 0, 1), mode='circular')", "F.max_pool2d({x}, 2)",
        "F.grid_sample({x}, torch.zeros({x}.shape[0], 3, 3, 2), align_corners=False)",
        "F.grid_sample({x}, F.affine_grid(torch.eye(2, 3).repeat({x}.shape[0], 1, 1), [{x}.shape[0], 1, 3, 3]), padding_mode='border')",
        "F.scaled_dot_product_attention({x}, {x}, {x}, is_causal=True)", "F.adaptive_max_pool2d({x}, 2)", "F.unfold({x}, 2)",
        "{x}.mean((2, 3))", "{x}.amax((2, 3))", "{x}.to(memory_format=torch.channels_last)", "F.pixel_shuffle({x}.repeat(1, 4, 1, 1), 2)",
    )),
    *((_VOLUME, each) for each in (
        "F.interpolate({x}, scale_factor=2, mode='trilinear')", "{x}.mean((2, 3, 4))", "F.max_pool3d({x}, 2, 1)",
        "{x}.flatten(2)", "{x}[:, :, 0]", "F.pad({x}, (1, 1, 1, 1, 1, 1), mode='replicate')",
    )),
))  # fmt: skip

LOSSES = tuple(Piece((2, 3, 4, 5), build, call) for build, call in (
    ("", "F.cross_entropy({x}.flatten(1), ids({x}.shape[0], 2))"),
    ("", "F.nll_loss({x}.log_softmax(1), ids({x}[:, 0].numel(), 1).view_as({x}[:, 0]))"),
    ("", "F.mse_loss({x}, torch.zeros_like({x}))"), ("", "F.smooth_l1_loss({x}, torch.ones_like({x}))"),
    ("", "F.binary_cross_entropy_with_logits({x}, torch.ones_like({x}))"), ("", "{x}.pow(2).sum()"), ("", "{x}.logsumexp(0).mean()"),
    ("", "F.kl_div({x}.log_softmax(-1), torch.full_like({x}, 0.5), reduction='batchmean')"), ("", "{x}.norm()"),
    ("nn.CrossEntropyLoss(label_smoothing=0.1)", "{m}({x}.flatten(1), ids({x}.shape[0], 2))"), ("nn.L1Loss()", "{m}({x}, {x}.detach() + 1)"),
    ("nn.MultiMarginLoss()", "{m}({x}.flatten(1), ids({x}.shape[0], 2))"), ("nn.HuberLoss()", "{m}({x}, {x}.detach() + 1)"),
    ("nn.MultiLabelMarginLoss()", "{m}({x}.flatten(1), torch.zeros_like({x}.flatten(1), dtype=torch.int64))"),
    ("nn.TripletMarginLoss()", "{m}({x}.flatten(1), {x}.flatten(1) * 2, {x}.flatten(1).flip(0))"), ("nn.SoftMarginLoss()", "{m}({x}, torch.ones_like({x}))"),
    ("nn.CTCLoss()", "{m}({x}.flatten(1).unsqueeze(0).log_softmax(-1), torch.ones({x}.shape[0], 1, dtype=torch.int64), torch.ones({x}.shape[0], dtype=torch.int64), torch.ones({x}.shape[0], dtype=torch.int64))"),
    ("nn.NLLLoss2d() if False else nn.NLLLoss()", "{m}({x}.flatten(2).log_softmax(1) if {x}.ndim > 2 else {x}.log_softmax(1), ids({x}[:, 0].numel(), 1).view({x}.shape[0], -1).squeeze(1) if {x}.ndim > 2 else ids({x}.shape[0], 1))"),
))  # fmt: skip

STARTS: tuple[tuple[tuple[int, ...], str], ...] = (
    ((2, 3, 6, 6), ""), ((3, 2, 5, 7), ""), ((2, 3, 8), ""), ((4, 5, 4), ""), ((4, 6), ""), ((2, 2, 4, 4, 4), ""),
    ((3, 6), "nn.Embedding(11, {3-6})"), ((2, 5), "nn.Embedding(11, 4, padding_idx=1)"),
    ((2, 4), "nn.EmbeddingBag(11, {3-5}, mode='mean')"), ((2, 4), "nn.Embedding(11, 4, max_norm=1.0)"),
)  # fmt: skip
"""Sizes of the input; with an embedding it holds integers."""
