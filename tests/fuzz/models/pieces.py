"""The grammar: layers, functional calls and idioms, as text with holes, each for tensors of some number of dimensions.

`{x}` is the tensor, `{m}` the module that is built; C, L and F are sizes of the tensor: of its channels, its last one,
and of all but the batch of one with two; `{1-3}` is a number out of a range. Whether a piece fits a tensor is found out
by running it. In a table a line is what builds a module, a bar, and the call; without the bar one of the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

HEADER = Path(__file__).with_name("helpers.py").read_text(encoding="utf-8")


class Piece(NamedTuple):
    """One word of the grammar: for so many dimensions, what builds its module ("" for none), and the call."""

    dims: tuple[int, ...]
    build: str
    call: str = "{m}({x})"


def _table(dims: tuple[int, ...], text: str) -> Iterator[Piece]:
    for line in filter(None, map(str.strip, text.splitlines())):
        build, bar, call = line.partition(" | ")
        yield Piece(dims, build, call) if bar else Piece(dims, "", line) if "{x}" in line else Piece(dims, line)


_ANY = (2, 3, 4)
_IMAGE = (4,)
_LINE = (3,)
_VOLUME = (5,)
_FLAT = (2,)
_EVERY = (2, 3, 4, 5)

LAYERS = (
    *_table(_LINE, """
        nn.Conv1d(C, {2-4}, 3, padding={1-2}, padding_mode='zeros')
        nn.Conv1d(C, {2-4}, 3, padding={1-2}, padding_mode='reflect')
        nn.Conv1d(C, {2-4}, 3, padding={1-2}, padding_mode='replicate')
        nn.Conv1d(C, {2-4}, 3, padding={1-2}, padding_mode='circular')
        nn.ConvTranspose1d(C, {2-4}, 3, stride=2)
        nn.MaxPool1d({2-3}, stride={1-2})
        nn.AvgPool1d(2)
        nn.AdaptiveAvgPool1d({1-4})
        nn.AdaptiveMaxPool1d({1-4})
        nn.LPPool1d(2, 2)
        nn.ReflectionPad1d({1-2})
        nn.ReplicationPad1d({1-2})
        nn.CircularPad1d(1)
        nn.ConstantPad1d(1, 0.5)
        nn.BatchNorm1d(C)
        nn.InstanceNorm1d(C, affine=True)
        nn.GroupNorm(1, C)
        nn.LayerNorm(L)
        nn.Dropout1d(0.5)
        nn.Upsample(scale_factor=2)
        nn.Upsample(scale_factor=2, mode='linear')
        nn.RMSNorm(L)
        nn.RNN(L, {2-4}, batch_first=True) | {m}({x})[0]
        nn.LSTM(L, {2-4}, batch_first=True) | {m}({x})[0]
        nn.GRU(L, {2-4}, batch_first=True) | {m}({x})[0]
        nn.LSTM(L, 3, num_layers=2, bidirectional=True, dropout=0.1) | {m}({x})[0]
        nn.GRUCell(L, 3) | {m}({x}[:, 0]).unsqueeze(1)
        nn.MultiheadAttention(L, 1, batch_first=True, dropout=0.1) | {m}({x}, {x}, {x}, need_weights=False)[0]
        nn.TransformerEncoderLayer(L, 1, 8, batch_first=True)
        nn.TransformerDecoderLayer(L, 1, 8, batch_first=True) | {m}({x}, {x})
        nn.MaxPool1d(2, return_indices=True) | F.max_unpool1d(*{m}({x}), 2)
    """),
    *_table(_IMAGE, """
        nn.Conv2d(C, {2-4}, 3, padding=1, padding_mode='zeros')
        nn.Conv2d(C, {2-4}, 3, padding=1, padding_mode='reflect')
        nn.Conv2d(C, {2-4}, 3, padding=1, padding_mode='replicate')
        nn.Conv2d(C, {2-4}, 3, padding=1, padding_mode='circular')
        nn.ConvTranspose2d(C, {2-4}, 2, stride={1-2}, bias=False)
        nn.Conv2d(C, C, 3, groups=C, dilation={1-2})
        nn.MaxPool2d({2-3}, stride={1-2})
        nn.MaxPool2d(2, ceil_mode=True)
        nn.AvgPool2d({1-2}, count_include_pad=False)
        nn.AdaptiveAvgPool2d({1-4})
        nn.AdaptiveAvgPool2d(({1-3}, None))
        nn.AdaptiveMaxPool2d({1-3})
        nn.LPPool2d(2, 2)
        nn.FractionalMaxPool2d(2, output_ratio=0.6)
        nn.ReflectionPad2d({1-2})
        nn.ReplicationPad2d({1-2})
        nn.ZeroPad2d(1)
        nn.CircularPad2d(1)
        nn.BatchNorm2d(C)
        nn.BatchNorm2d(C, track_running_stats=False)
        nn.InstanceNorm2d(C)
        nn.GroupNorm(1, C)
        nn.LocalResponseNorm(2)
        nn.Dropout2d(0.3)
        nn.FeatureAlphaDropout(0.3)
        nn.ChannelShuffle(2)
        nn.Upsample(scale_factor=2)
        nn.Upsample(scale_factor=2, mode='bilinear')
        nn.UpsamplingBilinear2d(scale_factor=2)
        nn.Upsample(scale_factor=1.5, mode='bicubic')
        nn.Upsample(size=(5, 4), mode='nearest-exact')
        nn.Unfold(2)
        nn.PixelUnshuffle(2)
        nn.PReLU(C)
        nn.Flatten(1)
        nn.Flatten(2)
        nn.MaxPool2d(2, return_indices=True) | F.max_unpool2d(*{m}({x}), 2)
        nn.Conv2d(C, 2, 3, padding=1, padding_mode='reflect') | checkpoint({m}, {x}, use_reentrant=False)
        nn.Sequential(nn.ReplicationPad2d(1), nn.Conv2d(C, 2, 3)) | cast({m}, {x})
        Residual(nn.Sequential(nn.ReflectionPad2d(1), nn.AvgPool2d(3, stride=1)))
    """),
    *_table(_VOLUME, """
        nn.Conv3d(C, {2-3}, 2, padding=1, padding_mode='zeros')
        nn.Conv3d(C, {2-3}, 2, padding=1, padding_mode='reflect')
        nn.Conv3d(C, {2-3}, 2, padding=1, padding_mode='replicate')
        nn.Conv3d(C, {2-3}, 2, padding=1, padding_mode='circular')
        nn.MaxPool3d(2)
        nn.AvgPool3d(2)
        nn.AdaptiveAvgPool3d({1-2})
        nn.AdaptiveMaxPool3d({1-2})
        nn.ReplicationPad3d(1)
        nn.ReflectionPad3d(1)
        nn.BatchNorm3d(C)
        nn.Upsample(scale_factor=2, mode='trilinear')
        nn.Flatten(2)
        nn.Flatten(3)
        nn.FractionalMaxPool3d(2, output_size=1)
        nn.Dropout3d(0.5)
        nn.MaxPool3d(2, return_indices=True) | F.max_unpool3d(*{m}({x}), 2)
    """),
    *_table(_ANY, """
        nn.Linear(L, {2-5})
        nn.ReLU()
        nn.GELU()
        nn.SiLU()
        nn.Dropout(0.2)
        nn.AlphaDropout(0.1)
        nn.RReLU()
        nn.Softmax(-1)
        nn.LogSoftmax(-1)
        nn.Hardswish()
        nn.Softplus()
        nn.Softshrink()
        nn.Mish()
        nn.LayerNorm(L)
        nn.Identity()
        nn.Linear(L, L) | checkpoint({m}, {x}, use_reentrant=False)
        nn.Linear(L, L) | cast({m}, {x})
        Residual(nn.Linear(L, L))
        nn.ModuleDict({'a': nn.Linear(L, 2), 'b': nn.Linear(L, 2)}) | {m}['a']({x}) + {m}['b']({x})
    """),
    *_table(_FLAT, """
        nn.BatchNorm1d(F)
        nn.Bilinear(F, F, {2-3}) | {m}({x}, {x})
        nn.Unflatten(1, (1, F))
        nn.Embedding(7, F) | {x} + {m}(ids({x}.shape[0], 5))
        nn.Embedding(7, F, padding_idx=0, scale_grad_by_freq=True) | {x} * {m}(ids({x}.shape[0], 3))
        nn.EmbeddingBag(7, F, mode='sum') | {x} + {m}(ids({x}.shape[0] * 3, 7).view(-1, 3))
        nn.EmbeddingBag(7, F, mode='max') | {x} + {m}(ids({x}.shape[0] * 3, 7).view(-1, 3))
    """),
)  # fmt: skip

CALLS = (
    *_table(_ANY, """
        F.relu({x})
        F.gelu({x}).tanh()
        torch.cumsum({x}, 1)
        {x}.cumsum(-1) / 4
        torch.sort({x}, -1)[0]
        torch.median({x}, -1, keepdim=True)[0] + {x}
        {x} - torch.kthvalue({x}, 1, -1)[0].unsqueeze(-1)
        torch.logcumsumexp({x}, -1)
        torch.cumprod({x}.sigmoid(), 1)
        torch.cummax({x}, -1)[0]
        {x}.flip(-1)
        torch.mode({x}, -1)[0].unsqueeze(-1) + {x}
        torch.topk({x}, 1, -1)[0] * {x}
        {x}.roll(1, -1)
        Twice.apply({x})
        steps({x})
        counted({x})
        write({x})
        {x} if {x}.shape[-1] > 2 else {x} * 2
        {x}.unfold(-1, 2, 1).sum(-1)
        {x}.index_select(-1, ids({1-5}, 2))
        {x}[..., ids({1-5}, 2)]
        {x}[ids({x}.shape[0], 2)]
        {x}[..., ::2]
        {x}.gather(-1, zeros({x}))
        torch.where({x} > 0, {x}, {x} * 0.1)
        torch.zeros_like({x}).index_add(0, ids({x}.shape[0], 2), {x})
        {x}.masked_fill({x} > 1, 0.5)
        torch.zeros_like({x}).scatter_add(0, zeros({x}), {x})
        torch.zeros_like({x}).scatter(0, zeros({x}), {x})
        torch.zeros_like({x}).scatter_reduce(0, zeros({x}), {x}, 'amax')
        {x}.clone().index_put_((ids({x}.shape[0], 2),), {x}, accumulate=True)
        {x}.clone().index_put((ids({x}.shape[0], 9),), {x})
        {x}.clone().put_(ids(3, 3), {x}.flatten()[:3])
        {x}.clone().put_(ids(4, 2), {x}.flatten()[:4], accumulate=True)
        {x}.index_copy(0, ids(2, 2), {x}[:2])
        {x}.index_fill(0, ids(1, 1), 0.5)
        torch.take({x}, ids({x}.numel(), 3)).view_as({x})
        {x}.repeat_interleave(2, -1)
        {x}.repeat_interleave(1 + ids({x}.shape[-1], 2), -1)
        {x} + torch.rand_like({x})
        {x} + torch.histc({x}.detach(), 4, 0.0, 1.0).sum()
        {x} + torch.bincount(ids(9, 4)).sum()
        F.dropout({x}, 0.1)
        {x}.transpose(-1, -2).contiguous()
        {x}.reshape({x}.shape[0], -1)
        {x}.flatten(1).unsqueeze(1)
        {x}.clamp(-1, 1)
        torch.cat([{x}, {x} * 2], -1)
        torch.stack(torch.unbind({x}, -1), -1)
        torch.cdist({x}, {x})
        {x}.clone().relu_()
        torch.einsum('...i,...j->...ij', {x}, {x}).sum(-1)
        F.normalize({x}, dim=-1)
        {x}.renorm(2, 0, 1.0)
        {x}.std(-1, keepdim=True) + {x}
        {x} @ {x}.transpose(-1, -2)
        torch.diff({x}, dim=-1)
        {x}.nanmedian(-1, keepdim=True)[0] * {x}
        {x}.detach() * {x}
        torch.empty_like({x}).copy_({x})
        {x} + torch.empty({x}.shape[-1]).fill_(0.5)
        {x}.quantile(0.5, -1, keepdim=True) + {x}
        F.gumbel_softmax({x}, dim=-1)
        torch.bernoulli({x}.sigmoid().detach()) * {x}
        {x}.view({x}.shape).expand_as({x})
    """),
    *_table(_LINE, """
        F.interpolate({x}, scale_factor=2, mode='nearest')
        F.interpolate({x}, size=5, mode='linear')
        F.pad({x}, (1, 1), mode='replicate')
        F.pad({x}, (1, 1), mode='reflect')
        torch.bmm({x}, {x}.transpose(1, 2))
        F.scaled_dot_product_attention({x}, {x}, {x})
        F.adaptive_avg_pool1d({x}, 3)
        F.max_pool1d({x}, 2)
        F.fold({x}.new_ones({x}.shape[0], 4, 9), 4, 2).flatten(2) + {x}.sum()
        torch.stft({x}[:, 0], 4, 2, window=torch.ones(4), return_complex=True).abs()
    """),
    *_table(_IMAGE, """
        F.interpolate({x}, scale_factor=2, mode='bilinear', align_corners=True)
        F.interpolate({x}, size=(4, 5), mode='bicubic')
        F.interpolate({x}, size=(3, 3), mode='area')
        F.interpolate({x}, scale_factor=0.5, mode='bilinear', antialias=True)
        F.pad({x}, (1, 1, 1, 1), mode='replicate')
        F.pad({x}, (1, 0, 0, 1), mode='circular')
        F.max_pool2d({x}, 2)
        F.grid_sample({x}, torch.zeros({x}.shape[0], 3, 3, 2), align_corners=False)
        sampled({x}, padding_mode='border')
        F.scaled_dot_product_attention({x}, {x}, {x}, is_causal=True)
        F.adaptive_max_pool2d({x}, 2)
        F.unfold({x}, 2)
        {x}.mean((2, 3))
        {x}.amax((2, 3))
        {x}.to(memory_format=torch.channels_last)
        F.pixel_shuffle({x}.repeat(1, 4, 1, 1), 2)
    """),
    *_table(_VOLUME, """
        F.interpolate({x}, scale_factor=2, mode='trilinear')
        {x}.mean((2, 3, 4))
        F.max_pool3d({x}, 2, 1)
        {x}.flatten(2)
        {x}[:, :, 0]
        F.pad({x}, (1, 1, 1, 1, 1, 1), mode='replicate')
    """),
)  # fmt: skip

LOSSES = (
    *_table(_EVERY, """
        F.cross_entropy({x}.flatten(1), ids({x}.shape[0], 2))
        F.nll_loss({x}.log_softmax(1), ids({x}[:, 0].numel(), 1).view_as({x}[:, 0]))
        F.mse_loss({x}, torch.zeros_like({x}))
        F.smooth_l1_loss({x}, torch.ones_like({x}))
        F.binary_cross_entropy_with_logits({x}, torch.ones_like({x}))
        {x}.pow(2).sum()
        {x}.logsumexp(0).mean()
        F.kl_div({x}.log_softmax(-1), torch.full_like({x}, 0.5), reduction='batchmean')
        {x}.norm()
        nn.CrossEntropyLoss(label_smoothing=0.1) | {m}({x}.flatten(1), ids({x}.shape[0], 2))
        nn.L1Loss() | {m}({x}, {x}.detach() + 1)
        nn.MultiMarginLoss() | {m}({x}.flatten(1), ids({x}.shape[0], 2))
        nn.HuberLoss() | {m}({x}, {x}.detach() + 1)
        nn.MultiLabelMarginLoss() | {m}({x}.flatten(1), zeros({x}.flatten(1)))
        nn.TripletMarginLoss() | {m}({x}.flatten(1), {x}.flatten(1) * 2, {x}.flatten(1).flip(0))
        nn.SoftMarginLoss() | {m}({x}, torch.ones_like({x}))
        nn.CTCLoss() | ctc({m}, {x})
        nn.NLLLoss() | {m}({x}.flatten(1).log_softmax(1), ids({x}.shape[0], 1))
    """),
)  # fmt: skip

STARTS: tuple[tuple[tuple[int, ...], str], ...] = (
    ((2, 3, 6, 6), ""), ((3, 2, 5, 7), ""), ((2, 3, 8), ""), ((4, 5, 4), ""), ((4, 6), ""), ((2, 2, 4, 4, 4), ""),
    ((3, 6), "nn.Embedding(11, {3-6})"), ((2, 5), "nn.Embedding(11, 4, padding_idx=1)"),
    ((2, 4), "nn.EmbeddingBag(11, {3-5}, mode='mean')"), ((2, 4), "nn.Embedding(11, 4, max_norm=1.0)"),
)  # fmt: skip
"""Sizes of the input; with an embedding it holds integers."""
