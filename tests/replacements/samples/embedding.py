"""Samples for embedding tables."""

from __future__ import annotations

from typing import Any

import torch
from hypothesis import strategies as st

from tests.replacements.samples import Sample
from tests.replacements.samples.values import Draw, floats, named, smooth, usual

CPU = torch.device("cpu")


def _embedded(draw: Draw, dtype: torch.dtype) -> Sample:
    weight = floats(draw, dtype, [9, draw(st.integers(1, 4))])
    input = named(CPU, 9, *draw(st.sampled_from([[], [7], [2, 5]])))
    return Sample((input, weight), {"padding_idx": draw(st.sampled_from([None, 0, 3, -1]))})


def _module(draw: Draw, dtype: torch.dtype) -> Sample:
    options = {"padding_idx": draw(st.sampled_from([None, 0, 3])), "scale_grad_by_freq": draw(st.booleans())}
    return Sample((named(CPU, 9, 2, 5),), init=((9, 3), options))


def _bagged(draw: Draw, dtype: torch.dtype) -> Sample:
    weight = floats(draw, dtype, [9, 3])
    options = {"mode": draw(st.sampled_from(["max", "max", "sum"])), "padding_idx": draw(st.sampled_from([None, 2]))}
    if draw(st.booleans()):
        return Sample((named(CPU, 9, 4, 3), weight), options)
    last = draw(st.booleans())
    offsets = torch.tensor([0, 2, 2, 5, 9] if last else [0, 2, 2, 5])
    return Sample((named(CPU, 9, 9), weight, offsets), options | {"include_last_offset": last})


def _bag_module(draw: Draw, dtype: torch.dtype) -> Sample:
    return Sample((named(CPU, 9, 4, 3),), init=((9, 3), {"mode": draw(st.sampled_from(["max", "mean"]))}))


DRAWN: dict[str, Any] = {
    "embedding": _embedded,
    "Embedding": _module,
    "embedding_bag": _bagged,
    "EmbeddingBag": _bag_module,
}

SMOOTH: dict[str, Any] = {
    "embedding": lambda: Sample((torch.tensor([0, 2, 0, 0]), smooth(3, 2))),
    "Embedding": lambda: Sample((torch.tensor([0, 2, 0, 0]),), init=((3, 2), {})),
    "embedding_bag": lambda: Sample((torch.tensor([[0, 2], [2, 1]]), smooth(3, 2)), {"mode": "max"}),
    "EmbeddingBag": lambda: Sample((torch.tensor([[0, 2], [2, 1]]),), init=((3, 2), {"mode": "max"})),
}

TYPICAL: dict[str, Any] = {
    "embedding": lambda dtype, device: Sample((named(device, 100, 16, 512), usual(dtype, device, 100, 64))),
    "Embedding": lambda dtype, device: Sample((named(device, 100, 16, 512),), init=((100, 64), {"device": device})),
    "embedding_bag": lambda dtype, device: Sample(
        (named(device, 1000, 256, 16), usual(dtype, device, 1000, 64)), {"mode": "max"}
    ),
    "EmbeddingBag": lambda dtype, device: Sample(
        (named(device, 1000, 256, 16),), init=((1000, 64), {"mode": "max", "device": device})
    ),
}

SCALED: dict[str, Any] = {
    "embedding": lambda n: Sample((named(CPU, 9, n), smooth(9, 3))),
    "Embedding": lambda n: Sample((named(CPU, 9, n),), init=((9, 3), {})),
    "embedding_bag": lambda n: Sample((named(CPU, 9, n, 4), smooth(9, 3)), {"mode": "max"}),
    "EmbeddingBag": lambda n: Sample((named(CPU, 9, n, 4),), init=((9, 3), {"mode": "max"})),
}
