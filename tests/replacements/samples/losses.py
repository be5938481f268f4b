from __future__ import annotations

from typing import Any

import torch
from hypothesis import strategies as st

from tests.replacements.samples import Drawn, Sample, leaf

_LAYOUTS = {
    "contiguous": lambda t: t,
    "channels_last": lambda t: t.contiguous(memory_format=torch.channels_last) if t.dim() == 4 else t,
    "permuted": lambda t: t.transpose(1, -1).contiguous().transpose(1, -1),
    "expanded": lambda t: t[..., :1].expand(t.shape),
}


def _drawn(module: bool, smoothing: bool) -> Drawn:
    def sample(draw: Any, dtype: torch.dtype) -> Sample:
        inner = draw(st.sampled_from([(7,), (3, 5), (4, 1), (2, 3, 4), (0, 3), (300, 40), ()]))
        classes, batch = draw(st.integers(1, 9)), draw(st.sampled_from([1, 2, 5, 0]))
        ignore_index = draw(st.sampled_from([-100, 0, 300]))
        kwargs: dict[str, Any] = {
            "reduction": draw(st.sampled_from(["mean", "sum", "none"])),
            "ignore_index": ignore_index,
        }
        scores = torch.randn(batch, classes, *inner)
        layout = _LAYOUTS[draw(st.sampled_from(sorted(_LAYOUTS)))] if inner else _LAYOUTS["contiguous"]
        if smoothing:
            kwargs["label_smoothing"] = draw(st.sampled_from([0.0, 0.1, 1.0]))
        else:
            scores = scores.log_softmax(1)
        target = torch.randint(classes, (batch, *inner))
        if draw(st.booleans()):
            target = target.masked_fill(torch.rand(target.shape) < 0.3, ignore_index)
        if smoothing and draw(st.integers(0, 5)) == 0:
            target, kwargs["ignore_index"] = torch.rand(batch, classes, *inner).to(dtype), -100
        if draw(st.booleans()):
            kwargs["weight"] = torch.rand(classes).to(dtype)
        if draw(st.booleans()) and not module:
            kwargs |= {"size_average": draw(st.booleans()), "reduce": draw(st.booleans())}
        args = (leaf(layout(scores.to(dtype))), target)
        return Sample(args, {}, ((), kwargs)) if module else Sample(args, kwargs)

    return sample


def _extreme(*, ignored: bool = False, values: float = 0.0, size: int = 4) -> Any:
    def sample(dtype: torch.dtype) -> Sample:
        scores = torch.full((2, 3, size), values, dtype=dtype)
        target = torch.full((2, size), -100 if ignored else 1)
        return Sample((leaf(scores), target))

    return sample


_EXTREME = (
    _extreme(ignored=True),
    _extreme(size=0),
    _extreme(values=float("-inf")),
    _extreme(values=float("nan")),
    _extreme(values=-3e3),
    lambda dtype: Sample((leaf(torch.zeros(1, 2, 3, dtype=dtype)), torch.full((1, 3), 7))),  # no such class
    lambda dtype: Sample((leaf(torch.zeros(1, 2, 3, dtype=dtype)), torch.zeros(1, 4, dtype=torch.int64))),
)


def _smooth() -> Sample:
    return Sample((leaf(torch.randn(2, 4, 3, dtype=torch.float64)), torch.randint(4, (2, 3))))


def _typical(dtype: torch.dtype, device: torch.device) -> Sample:
    return Sample(
        (
            leaf(torch.randn(4, 21, 128, 128, dtype=dtype, device=device)),
            torch.randint(21, (4, 128, 128)).to(device),
        )
    )


def _scaled(n: int) -> Sample:
    return Sample((leaf(torch.randn(2, 5, n)), torch.randint(5, (2, n))))


_NAMES = ("nll_loss", "cross_entropy", "NLLLoss", "NLLLoss2d", "CrossEntropyLoss")
DRAWN = {name: _drawn(name[0].isupper(), "ross" in name) for name in _NAMES}
EXTREME = dict.fromkeys(_NAMES, _EXTREME)
SMOOTH = dict.fromkeys(_NAMES, _smooth)
TYPICAL = dict.fromkeys(_NAMES, _typical)
SCALED = dict.fromkeys(_NAMES, _scaled)
