"""Little models, each hard to find inputs for in its own way. Their docstrings say what fits."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn


class Cnn(nn.Module):
    """3x32x32 only: the classifier counts on it. The layers are registered twice. Case A."""

    def __init__(self, num_classes, padding=1, flat=4 * 4 * 128):
        super().__init__()
        sizes = [3, 32, 32, 64, 64, 128, 128]
        for n in range(6):
            setattr(self, f"conv{n + 1}", nn.Conv2d(sizes[n], sizes[n + 1], 3, padding=padding))
        self.relu, self.maxpool = nn.ReLU(inplace=True), nn.MaxPool2d(2)
        self.classifier1, self.classifier2 = nn.Linear(flat, 128), nn.Linear(128, num_classes)
        c, r, p = [getattr(self, f"conv{n}") for n in range(1, 7)], self.relu, self.maxpool
        last = [p] if padding else []
        self.features = nn.Sequential(c[0], r, c[1], r, p, c[2], r, c[3], r, p, c[4], r, c[5], r, *last)
        self.classifier = nn.Sequential(self.classifier1, self.relu, self.classifier2)

    def forward(self, x):
        return self.classifier(torch.flatten(self.features(x), 1))


class CnnNoPadding(Cnn):
    """3x32x32 or a little more: no padding, the last pool dropped."""

    def __init__(self, num_classes):
        super().__init__(num_classes, padding=0, flat=128)


class CnnViews(Cnn):
    """3x32x32; a larger image runs too, but `view(-1, ...)` makes several of it."""

    def forward(self, x):
        return self.classifier(self.features(x).view(-1, 4 * 4 * 128))


class LeNet(nn.Module):
    """1x28x28."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2 = nn.Linear(16 * 5 * 5, 120), nn.Linear(120, 10)

    def forward(self, x):
        x = F.max_pool2d(F.relu(self.conv1(x)), 2)
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return self.fc2(F.relu(self.fc1(torch.flatten(x, 1))))


class HeadFirst(nn.Module):
    """1x48x48: the layer registered first is executed last, and no common dataset has that size."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(8 * 22 * 22, 7)
        self.deep, self.stem = nn.Conv2d(4, 8, 3), nn.Conv2d(1, 4, 3)

    def forward(self, x):
        x = F.max_pool2d(self.deep(self.stem(x / 255)), 2)
        return self.head(x.flatten(1))


class Mlp(nn.Module):
    """784 values in any shape."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))

    def forward(self, x):
        return self.layers(x)


class MnistUnpacks(nn.Module):
    """1x28x28: takes the shape apart by hand, and begins with a Linear."""

    def __init__(self):
        super().__init__()
        self.layer_1 = nn.Linear(28 * 28, 64)

    def forward(self, x):
        batch, _channels, _height, _width = x.size()
        return self.layer_1(x.view(batch, -1))


class StepsMlp(nn.Module):
    """(batch, steps, 24): takes the mean over steps."""

    def __init__(self):
        super().__init__()
        self.project = nn.Linear(24, 8)

    def forward(self, x):
        batch, steps, _ = x.shape
        return self.project(x).reshape(batch, steps, 8).mean(1)


class Signal(nn.Module):
    """(batch, 1, 187): the length of a heartbeat."""

    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv1d(1, 8, 5), nn.Linear(8 * 91, 5)

    def forward(self, x):
        return self.fc(F.max_pool1d(self.conv(x), 2).flatten(1))


class Video(nn.Module):
    """(batch, 3, any, any, any)."""

    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv3d(3, 8, 3), nn.Linear(8, 5)

    def forward(self, x):
        return self.fc(self.conv(x).mean((2, 3, 4)))


class Generator(nn.Module):
    """(batch, 100, 1, 1): DCGAN."""

    def __init__(self):
        super().__init__()
        self.main = nn.Sequential(
            nn.ConvTranspose2d(100, 32, 4, 1, 0),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.ConvTranspose2d(32, 3, 4, 2, 1),
            nn.Tanh(),
        )

    def forward(self, noise):
        return self.main(noise)


class LstmTagger(nn.Module):
    """Ids below 50, (batch, steps)."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(50, 16)
        self.lstm, self.fc = nn.LSTM(16, 8, batch_first=True), nn.Linear(8, 4)

    def forward(self, x):
        out, _ = self.lstm(self.embed(x))
        return self.fc(out[:, -1])


class Gpt(nn.Module):
    """Ids below 65, at most 8 steps."""

    def __init__(self):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(65, 16), nn.Embedding(8, 16)
        self.block = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
        self.head = nn.Linear(16, 65)

    def forward(self, idx, targets=None):
        _, steps = idx.shape
        assert steps <= 8, f"a sequence of {steps}, the block size is 8"
        x = self.wte(idx) + self.wpe(torch.arange(steps, device=idx.device))
        logits = self.head(self.block(x))
        return logits if targets is None else F.cross_entropy(logits.flatten(0, 1), targets.flatten())


class Bag(nn.Module):
    """1-D ids below 100 and offsets."""

    def __init__(self):
        super().__init__()
        self.embedding, self.fc = nn.EmbeddingBag(100, 8), nn.Linear(8, 4)

    def forward(self, text, offsets):
        return self.fc(self.embedding(text, offsets))


class Bag2d(nn.Module):
    """2-D ids below 100."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.EmbeddingBag(100, 8)

    def forward(self, text):
        return self.embedding(text)


class RowsGru(nn.Module):
    """(steps, batch, 28): not batch first."""

    def __init__(self):
        super().__init__()
        self.gru, self.fc = nn.GRU(28, 8), nn.Linear(8, 10)

    def forward(self, rows):
        return self.fc(self.gru(rows)[0][-1])


class FlatRnn(nn.Module):
    """(batch, 12, 6): all steps go to the classifier."""

    def __init__(self):
        super().__init__()
        self.rnn, self.fc = nn.RNN(6, 8, batch_first=True), nn.Linear(12 * 8, 2)

    def forward(self, x):
        return self.fc(self.rnn(x)[0].flatten(1))


class Attention(nn.Module):
    """q, k, v of (batch, steps, 32)."""

    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(32, 4, batch_first=True)

    def forward(self, q, k, v):
        return self.attention(q, k, v)[0]


class Series(nn.Module):
    """(batch, steps, 7): a projection, then an encoder."""

    def __init__(self):
        super().__init__()
        self.project = nn.Linear(7, 16)
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(16, 2, 32, batch_first=True), 2)
        self.out = nn.Linear(16, 1)

    def forward(self, x):
        return self.out(self.encoder(self.project(x)).mean(1))


class Translator(nn.Module):
    """src ids below 40, tgt ids below 30."""

    def __init__(self):
        super().__init__()
        self.src_embed, self.tgt_embed = nn.Embedding(40, 16), nn.Embedding(30, 16)
        self.transformer = nn.Transformer(16, 2, 1, 1, 32, batch_first=True)

    def forward(self, src, tgt):
        return self.transformer(self.src_embed(src), self.tgt_embed(tgt))


class MaskedEncoder(nn.Module):
    """x (batch, steps, 16) and a mask of its steps."""

    def __init__(self):
        super().__init__()
        self.q, self.k = nn.Linear(16, 16), nn.Linear(16, 16)

    def forward(self, x, mask):
        scores = self.q(x) @ self.k(x).transpose(1, 2)
        return scores.masked_fill(mask.unsqueeze(1) == 0, -1e9).softmax(-1) @ x


class Bert(nn.Module):
    """input_ids below 90, and an attention_mask of integers."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(90, 16)
        self.layer = nn.Linear(16, 16)

    def forward(self, input_ids, attention_mask):
        hidden = self.layer(self.embed(input_ids))
        return hidden * (1.0 - attention_mask[:, :, None].float())


class Hugging(nn.Module):
    """All parameters are optional, but one of them has to be given."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(90, 16)

    def forward(self, past=None, input_ids=None, pixel_values=None):
        if input_ids is None:
            raise ValueError("You have to specify input_ids")
        return self.embed(input_ids)


class BatchNormFirst(nn.Module):
    """(batch, 12)."""

    def __init__(self):
        super().__init__()
        self.norm, self.fc = nn.BatchNorm1d(12), nn.Linear(12, 3)

    def forward(self, x):
        return self.fc(self.norm(x))


class LayerNormFirst(nn.Module):
    """(batch, steps, 20)."""

    def __init__(self):
        super().__init__()
        self.norm, self.fc = nn.LayerNorm(20), nn.Linear(20, 3)

    def forward(self, x):
        return self.fc(self.norm(x))[:, 0, :]


class UNet(nn.Module):
    """One channel, sizes divisible by 16."""

    def __init__(self):
        super().__init__()
        widths = [1, 4, 4, 4, 4, 4]
        self.down = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(widths))
        self.up = nn.ModuleList(nn.ConvTranspose2d(4, 4, 2, 2) for _ in range(4))
        self.merge = nn.ModuleList(nn.Conv2d(8, 4, 3, padding=1) for _ in range(4))
        self.out = nn.Conv2d(4, 1, 1)

    def forward(self, image):
        x, kept = image, []
        for n, layer in enumerate(self.down):
            x = F.relu(layer(x if n == 0 else F.max_pool2d(x, 2)))
            kept.append(x)
        for up, merge, skip in zip(self.up, self.merge, reversed(kept[:-1]), strict=True):
            x = F.relu(merge(torch.cat([up(x), skip], 1)))
        return self.out(x)


class Autoencoder(nn.Module):
    """784 values; the decoder ends where the encoder began."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(784, 32), nn.ReLU())
        self.decoder = nn.Sequential(nn.Linear(32, 784), nn.Sigmoid())

    def forward(self, x):
        return self.decoder(self.encoder(x)) - x


class Siamese(nn.Module):
    """Two images 1x105x105."""

    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(1, 8, 10), nn.Linear(8 * 48 * 48, 16)

    def embed(self, x):
        return self.fc(F.max_pool2d(self.conv(x), 2).flatten(1))

    def forward(self, x1, x2):
        return (self.embed(x1) - self.embed(x2)).abs()


class Recommender(nn.Module):
    """User ids below 30, item ids below 20."""

    def __init__(self):
        super().__init__()
        self.item_embedding, self.user_embedding = nn.Embedding(20, 8), nn.Embedding(30, 8)

    def forward(self, user, item):
        return (self.user_embedding(user) * self.item_embedding(item)).sum(-1)


class Captioner(nn.Module):
    """Images 3x64x64 and caption ids below 70."""

    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(70, 8)
        self.cnn, self.project = nn.Conv2d(3, 4, 4, 4), nn.Linear(4 * 16 * 16, 8)
        self.lstm = nn.LSTM(8, 8, batch_first=True)

    def forward(self, images, captions):
        start = self.project(self.cnn(images).flatten(1)).unsqueeze(1)
        return self.lstm(torch.cat([start, self.words(captions)], 1))[0]


class Lazy(nn.Module):
    """Anything with three dimensions per image."""

    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.LazyConv2d(8, 3), nn.LazyLinear(10)

    def forward(self, x):
        return self.fc(self.conv(x).flatten(1))


class Variadic(nn.Module):
    """Two vectors, through *args."""

    def __init__(self):
        super().__init__()
        self.left, self.right = nn.Linear(6, 4), nn.Linear(6, 4)

    def forward(self, *inputs):
        x, y = inputs
        return self.left(x) + self.right(y)


class OwnWeight(nn.Module):
    """(batch, 11): a hand-written linear layer comes before the first one of torch.nn."""

    def __init__(self):
        super().__init__()
        self.first = OwnLinear(11, 5)
        self.second = nn.Linear(5, 2)

    def forward(self, x):
        return self.second(self.first(x))


class OwnLinear(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_features, in_features))

    def forward(self, x):
        return F.linear(x, self.weight)


class Vit(nn.Module):
    """3x48x48: one position for each of 9 patches of 16, and one for the class."""

    def __init__(self):
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, 32))
        self.pos_embed = nn.Parameter(torch.zeros(1, 10, 32))
        self.patch_embed = nn.Conv2d(3, 32, 16, 16)
        self.encoder = nn.TransformerEncoderLayer(32, 2, 64, batch_first=True)

    def forward(self, x):
        x = self.patch_embed(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1) + self.pos_embed
        return self.encoder(x)[:, 0]


class FixedSize(nn.Module):
    """3x336x336, and it says so."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 14, 14)

    def forward(self, x):
        assert x.shape[2] == 336, f"Input height ({x.shape[2]}) doesn't match model (336)."
        return self.conv(x).mean((2, 3))


class Waveform(nn.Module):
    """(batch, samples), at least 400 of them; the channel is added inside."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(1, 4, 400, 160)

    def forward(self, input_values):
        return self.conv(input_values[:, None])


class Clips(nn.Module):
    """(batch, frames, 3, height, width), though the first layer is a Conv2d."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 16, 16)

    def forward(self, x):
        batch, frames, channels, height, width = x.shape
        x = self.conv(x.reshape(batch * frames, channels, height, width))
        return x.mean((2, 3)).view(batch, frames, -1).mean(1)


class Diffusion(nn.Module):
    """An image and a time step."""

    def __init__(self):
        super().__init__()
        self.time = nn.Embedding(1000, 8)
        self.conv = nn.Conv2d(3, 8, 3, padding=1)

    def forward(self, x, t):
        return self.conv(x) + self.time(t)[:, :, None, None]


class Conditional(nn.Module):
    """(batch, 10) noise and integer labels: a conditional GAN."""

    def __init__(self):
        super().__init__()
        self.label_emb = nn.Embedding(10, 10)
        self.fc = nn.Linear(20, 784)

    def forward(self, z, labels):
        return self.fc(torch.cat([z, self.label_emb(labels)], -1))


class KeywordOnly(nn.Module):
    """A keyword-only input."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(6, 2)

    def forward(self, *, features):
        return self.fc(features)


class NothingNeeded(nn.Module):
    """No input at all."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3))

    def forward(self):
        return self.weight.sum()


class Graph(nn.Module):
    """Node features (nodes, 9) and edges (2, edges)."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(9, 4)

    def forward(self, x, edge_index):
        source, target = edge_index
        x = self.fc(x)
        return torch.zeros_like(x).index_add(0, target, x[source])


class Packed(nn.Module):
    """Ids below 60, and the lengths of their sequences, at least 1."""

    def __init__(self):
        super().__init__()
        self.embed, self.rnn = nn.Embedding(60, 8), nn.GRU(8, 8, batch_first=True)

    def forward(self, src, src_len):
        assert src_len.ndim == 1, "lengths should be 1-D"
        assert len(src) == len(src_len), "expected as many lengths as sequences"
        return self.rnn(self.embed(src))[0]


class Nerf(nn.Module):
    """(batch, 90): 63 values for the position, 27 for the direction; the first layer sees the position only."""

    def __init__(self):
        super().__init__()
        self.points, self.views = nn.Linear(63, 16), nn.Linear(16 + 27, 4)

    def forward(self, x):
        points, views = torch.split(x, [63, 27], dim=-1)
        return self.views(torch.cat([self.points(points), views], -1))


class RnnByHand(nn.Module):
    """(batch, 12) and (batch, 20): one layer for both."""

    def __init__(self):
        super().__init__()
        self.input_size, self.hidden_size = 12, 20
        self.i2h = nn.Linear(12 + 20, 20)

    def forward(self, input, hidden):
        return self.i2h(torch.cat((input, hidden), 1))


class NoiseAndLabels(nn.Module):
    """(batch, 100) noise and labels below 10, joined for the first layer."""

    def __init__(self):
        super().__init__()
        self.embed, self.fc = nn.Embedding(10, 10), nn.Linear(110, 784)

    def forward(self, noise, labels):
        return self.fc(torch.cat([self.embed(labels), noise], -1))


class Segmenter(nn.Module):
    """Images and a mask of integers, one for each pixel."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3, padding=1)

    def forward(self, x, mask):
        assert mask.dtype == torch.int64, "expected integers"
        return F.cross_entropy(self.conv(x), mask)


class GraphPool(nn.Module):
    """Nodes (nodes, 9), edges, and the graph each node belongs to."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(9, 4)

    def forward(self, x, edge_index, batch):
        h = self.fc(x) + self.fc(x)[edge_index[0]].sum(0)
        return torch.zeros(2, 4).index_add(0, batch, h)


class PatchVit(nn.Module):
    """3x64x64: 64 patches of 8, cut by hand; nothing but the name says that it takes images."""

    def __init__(self):
        super().__init__()
        self.to_patch_embedding = nn.Sequential(nn.LayerNorm(192), nn.Linear(192, 32))
        self.pos_embedding = nn.Parameter(torch.zeros(1, 64, 32))

    def forward(self, img):
        batch, channels, height, width = img.shape
        x = img.reshape(batch, channels, height // 8, 8, width // 8, 8).permute(0, 2, 4, 3, 5, 1).flatten(3)
        return self.to_patch_embedding(x.flatten(1, 2)) + self.pos_embedding


class SaysItsSize(nn.Module):
    """3x88x88, as its configuration says; any other size would run as well."""

    def __init__(self):
        super().__init__()
        self.config = {"image_size": 88, "num_channels": 3}
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, pixel_values):
        return self.conv(pixel_values).mean((2, 3))


class Oblong(nn.Module):
    """3x40x72, as a pair of its says."""

    def __init__(self):
        super().__init__()
        self.img_size = (40, 72)
        self.conv = nn.Conv2d(3, 4, 8, 8)

    def forward(self, image):
        return self.conv(image).reshape(-1, 4, 45)


class StepsFirst(nn.Module):
    """Ids (steps, batch) and a mask (steps, steps): the transformer of the tutorials."""

    def __init__(self):
        super().__init__()
        self.embed, self.layer = nn.Embedding(70, 16), nn.TransformerEncoderLayer(16, 2, 32)

    def forward(self, src, src_mask):
        assert src_mask.shape == (len(src), len(src)), "mask has the wrong shape"
        return self.layer(self.embed(src), src_mask)


class Speech(nn.Module):
    """(batch, samples), a lot of them."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(1, 4, 400, 320)

    def forward(self, input_values):
        x = self.conv(input_values[:, None])
        if x.shape[2] < 10:
            raise ValueError(f"sequence length {x.shape[2]} is too short")
        return x


class Broken(nn.Module):
    """Fails with every input."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(6, 2)

    def forward(self, x):
        return self.fc(x) + not_defined_anywhere  # noqa: F821


class Impossible(nn.Module):
    """No shape fits: 17 never meets 13."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(17, 17), nn.Linear(13, 13)

    def forward(self, x):
        return self.b(self.a(x))


class PictureAndCode(nn.Module):
    """4x28x28 and 3x224x224: a picture, eight times as large as what it is encoded to."""

    def __init__(self):
        super().__init__()
        self.conv_in = nn.Conv2d(4, 8, 3, padding=1)
        self.encode_picture = nn.Conv2d(3, 8, 8, stride=8)

    def forward(self, sample, picture):
        return self.conv_in(sample) + self.encode_picture(picture)


class ClassesInside(nn.Module):
    """Needs the labels that it would compute a loss from."""

    def __init__(self):
        super().__init__()
        self.embed_labels = nn.Embedding(10, 8)
        self.linear = nn.Linear(8, 4)

    def forward(self, x, class_labels=None):
        if class_labels is None:
            raise ValueError("class_labels is required")
        return {"logits": self.linear(x) * self.embed_labels(class_labels).sum()}


class OneOfSeveralHeads(nn.Module):
    """2x8, and the number of a head: the first one is not for this."""

    def __init__(self):
        super().__init__()
        self.embed_in = nn.Linear(8, 8)
        self.heads = nn.ModuleList(nn.Linear(8, 4) for _ in range(3))

    def forward(self, which: int, x):
        if which == 0:
            raise ValueError("the first one is made by another model")
        return self.heads[which](self.embed_in(x))
