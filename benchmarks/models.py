"""The models that scans are measured on, all on the meta device: no weights, and no download."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Built = tuple[nn.Module, tuple[Tensor, ...]]


class Bottleneck(nn.Module):
    """The block of ResNet-50: 1x1, 3x3 and 1x1 convolutions beside a shortcut."""

    def __init__(self, inside: int, width: int, stride: int) -> None:
        super().__init__()
        out = 4 * width
        self.one = nn.Sequential(nn.Conv2d(inside, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(True))
        self.two = nn.Sequential(
            nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(True)
        )
        self.three = nn.Sequential(nn.Conv2d(width, out, 1, bias=False), nn.BatchNorm2d(out))
        self.short = nn.Identity()
        if stride != 1 or inside != out:
            self.short = nn.Sequential(nn.Conv2d(inside, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.three(self.two(self.one(x))) + self.short(x))


class ResNet50(nn.Module):
    """3, 4, 6 and 3 blocks; 25.6 million parameters."""

    def __init__(self) -> None:
        super().__init__()
        blocks, inside = list[nn.Module](), 64
        for width, count in ((64, 3), (128, 4), (256, 6), (512, 3)):
            for number in range(count):
                blocks.append(Bottleneck(inside, width, 2 if number == 0 and width > 64 else 1))
                inside = 4 * width
        stem = nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(True))
        self.body = nn.Sequential(stem, nn.MaxPool2d(3, 2, 1), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(inside, 1000)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.body(x))
        return y


class SparseExperts(nn.Module):
    """A layer that sends each token to its two best experts: sorted by expert, in equal parts, and added up again."""

    def __init__(self, width: int, experts: int) -> None:
        super().__init__()
        self.norm, self.router = nn.LayerNorm(width), nn.Linear(width, experts)
        self.up = nn.Parameter(torch.randn(experts, width, 4 * width))
        self.down = nn.Parameter(torch.randn(experts, 4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.norm(x)
        weights, chosen = self.router(tokens).softmax(-1).topk(2)
        order = chosen.flatten().argsort(stable=True)
        sent = tokens.index_select(0, order // 2).view(self.up.shape[0], -1, tokens.shape[-1])
        done = torch.bmm(F.silu(torch.bmm(sent, self.up)), self.down).flatten(0, 1)
        scaled = done * weights.flatten().index_select(0, order)[:, None]
        return x + torch.zeros_like(tokens).index_add(0, order // 2, scaled)


class GraphLayer(nn.Module):
    """Message passing: each node adds up what its neighbours send along the edges."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.message, self.update = nn.Linear(2 * width, width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor, sources: Tensor, targets: Tensor) -> Tensor:
        sent = torch.relu(self.message(torch.cat([x.index_select(0, sources), x.index_select(0, targets)], -1)))
        received = torch.zeros_like(x).index_add(0, targets, sent)
        return x + torch.relu(self.update(torch.cat([x, received], -1)))


class GraphNet(nn.Module):
    def __init__(self, width: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(GraphLayer(width) for _ in range(layers))

    def forward(self, x: Tensor, sources: Tensor, targets: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x, sources, targets)
        return x


class DecoderLayer(nn.Module):
    """Attention with grouped keys and a gated feed-forward part, as large language models have it."""

    def __init__(self, width: int, heads: int, shared: int, hidden: int) -> None:
        super().__init__()
        self.heads, self.shared, self.size = heads, shared, width // heads
        self.before, self.between = nn.RMSNorm(width), nn.RMSNorm(width)
        self.query = nn.Linear(width, width, bias=False)
        self.key, self.value = (nn.Linear(width, shared * self.size, bias=False) for _ in range(2))
        self.out = nn.Linear(width, width, bias=False)
        self.gate, self.up = (nn.Linear(width, hidden, bias=False) for _ in range(2))
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.before(x)
        q, k, v = (
            each(y).unflatten(-1, (count, self.size)).transpose(1, 2)
            for each, count in ((self.query, self.heads), (self.key, self.shared), (self.value, self.shared))
        )
        k, v = (each.repeat_interleave(self.heads // self.shared, 1) for each in (k, v))
        x = x + self.out(F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).flatten(2))
        y = self.between(x)
        return x + self.down(F.silu(self.gate(y)) * self.up(y))


class Decoder(nn.Module):
    """A language model of 80 layers and 69 billion parameters, in the proportions of Llama 2 70B."""

    def __init__(self, layers: int = 80, width: int = 8192, vocabulary: int = 32000) -> None:
        super().__init__()
        self.embed = nn.Embedding(vocabulary, width)
        self.layers = nn.Sequential(*(DecoderLayer(width, 64, 8, 28672) for _ in range(layers)))
        self.norm, self.head = nn.RMSNorm(width), nn.Linear(width, vocabulary, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        y: Tensor = self.head(self.norm(self.layers(self.embed(tokens))))
        return y

    def opscan_inputs(self) -> tuple[Tensor, ...]:
        return (torch.zeros(1, 128, dtype=torch.int64),)


def cnn() -> Built:
    from opscan.examples.cnn import CNN_v2

    with torch.device("meta"):
        return CNN_v2(10), (torch.empty(8, 3, 32, 32),)


def resnet() -> Built:
    with torch.device("meta"):
        return ResNet50(), (torch.empty(2, 3, 224, 224),)


def encoder(layers: int) -> Built:
    with torch.device("meta"):
        layer = nn.TransformerEncoderLayer(512, 8, batch_first=True)
        return nn.TransformerEncoder(layer, layers), (torch.empty(2, 64, 512),)


def experts() -> Built:
    with torch.device("meta"):
        return nn.Sequential(*(SparseExperts(256, 8) for _ in range(24))), (torch.empty(128, 256),)


def graph() -> Built:
    with torch.device("meta"):
        ends = torch.empty(2, 4096, dtype=torch.int64)
        return GraphNet(64, 24), (torch.empty(512, 64), ends[0], ends[1])


def padded_convolutions(count: int) -> Built:
    """A net in which every layer has findings: padding that switches, convolutions whose cuDNN engine is a setting."""
    with torch.device("meta"):
        layers = [
            layer
            for _ in range(count)
            for layer in (nn.Conv2d(8, 8, 3, padding=1, padding_mode="replicate"), nn.BatchNorm2d(8), nn.ReLU())
        ]
        return nn.Sequential(*layers), (torch.empty(2, 8, 16, 16),)
