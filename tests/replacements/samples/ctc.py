"""The gradient of CTC loss is by convention not that of its argument: test_ctc.py checks it through log_softmax."""

from __future__ import annotations

import math
from typing import Any

import torch
from hypothesis import strategies as st

from tests.replacements.samples import Drawn, Sample, leaf


def _drawn(module: bool) -> Drawn:
    def sample(draw: Any, dtype: torch.dtype) -> Sample:
        times, count, classes = draw(st.integers(1, 12)), draw(st.integers(1, 4)), draw(st.integers(2, 6))
        blank, longest = draw(st.sampled_from([0, classes - 1])), draw(st.integers(0, 5))
        batched = draw(st.integers(0, 3)) > 0
        count = count if batched else 1
        lengths = [draw(st.integers(0, longest)) for _ in range(count)]
        inputs = [times if draw(st.booleans()) else draw(st.integers(0, times)) for _ in range(count)]
        labels = torch.randint(classes - 1, (count, longest))
        targets = labels + (labels >= blank)
        if draw(st.booleans()):
            targets = torch.cat([row[:length] for row, length in zip(targets, lengths, strict=True)])
        log_probs = torch.randn(times, count, classes).log_softmax(2).to(dtype)
        if draw(st.booleans()):
            log_probs = log_probs.transpose(0, 1).contiguous().transpose(0, 1)
        form = draw(st.sampled_from([list, tuple, torch.tensor, lambda each: torch.tensor(each, dtype=torch.int32)]))
        if not batched:
            log_probs, targets = log_probs[:, 0], targets.reshape(-1)[: lengths[0]]
        options = {
            "blank": blank,
            "reduction": draw(st.sampled_from(["mean", "sum", "none"])),
            "zero_infinity": draw(st.booleans()),
        }
        if draw(st.booleans()):
            targets = targets.int()
        args = leaf(log_probs), targets, form(inputs), form(lengths)
        return Sample(args, {}, ((), options)) if module else Sample(args, options)

    return sample


def _extreme(targets: Any, inputs: list[int], lengths: list[int], fill: float = -1.0) -> Any:
    def sample(dtype: torch.dtype) -> Sample:
        log_probs = torch.full((4, 2, 3), fill, dtype=dtype)
        return Sample((leaf(log_probs), torch.tensor(targets, dtype=torch.int64), inputs, lengths))

    return sample


_EXTREME = (
    _extreme([[1, 1], [1, 2]], [2, 1], [2, 2]),  # no path is so short: the loss is infinite
    _extreme([[1, 1], [1, 2]], [4, 4], [2, 2], fill=-20.0),
    _extreme([[1, 1], [1, 2]], [4, 4], [2, 2], fill=math.nan),
    _extreme([], [4, 0], [0, 0]),
    _extreme([[1, 1], [1, 2]], [5, 4], [2, 2]),
    _extreme([[1, 1], [1, 2]], [4, 4], [3, 2]),
    _extreme([[1, 1], [1, 2]], [4, 4, 4], [2, 2]),
    _extreme([1, 1, 2], [4, 4], [2, 2]),
)


def _of(times: int, count: int, classes: int, labels: int, **options: Any) -> Sample:
    log_probs = leaf(torch.randn(times, count, classes, **options).log_softmax(2))
    targets = torch.randint(1, classes, (count, labels))
    return Sample((log_probs, targets, torch.full((count,), times), torch.full((count,), labels)))


def _smooth() -> Sample:
    sample = _of(5, 2, 4, 3, dtype=torch.float64)
    return Sample((sample.args[0].detach(), *sample.args[1:]))


_NAMES = ("ctc_loss", "CTCLoss")
DRAWN = {name: _drawn(name[0].isupper()) for name in _NAMES}
EXTREME = dict.fromkeys(_NAMES, _EXTREME)
SMOOTH = dict.fromkeys(_NAMES, _smooth)
TYPICAL = dict.fromkeys(_NAMES, lambda dtype, device: _of(200, 16, 40, 40, dtype=dtype, device=device))
SCALED = dict.fromkeys(_NAMES, lambda n: _of(n, 2, 5, 4))
