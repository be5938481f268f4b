"""What watching costs on the device: a strict run, replays, and the steps that `opscan verify` records."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import verify
from measure import Row, compare, here
from torch import nn

from opscan.observe.run import DeviceRegime, PlainRegime
from opscan.observe.step import Step
from opscan.rules.load import load_rules


def rows(runs: int) -> Iterator[Row]:
    """Each against the same step with nobody watching, on the CPU with one thread."""
    torch.set_num_threads(1)
    layer = nn.TransformerEncoderLayer(256, 8, 512, batch_first=True)
    step = Step(nn.TransformerEncoder(layer, 4), (torch.randn(8, 64, 256),))
    cpu, watched = torch.device("cpu"), frozenset(load_rules().by_call)
    plain = here(lambda: step.under(PlainRegime(cpu, watched, None, ())))
    for what, replays, pairs in (
        ("strict run of a 4-layer encoder", 1, runs),
        ("replay of a 4-layer encoder, each op 10 times", 10, max(runs // 3, 1)),
    ):
        watching = here(lambda: step.under(DeviceRegime(cpu, watched, strict=True, runs=replays)))  # noqa: B023 (called at once)
        yield compare("device", what, watching, "the same step, plain", plain, pairs)
    for name in verify.MODELS:
        for kind in verify.OPS:
            _, _, with_ms, plain_ms, ratio = verify.ratio_row(name, kind, max(runs // 2, 1))
            what = f"step recorded by opscan verify{' --ops all' if kind == 'ops' else ''}: {name}"
            costs = with_ms / 1000, plain_ms / 1000
            yield Row("device", what, costs[0], "the same step, plain", costs[1], ratio, None, 2.0, max(runs // 2, 1))
