"""A sweep made by hand, with everything in it that a format has to cope with."""

from __future__ import annotations

from opscan.sweeps.row import Row
from opscan.sweeps.table import Setting, Sweep

SETTING = Setting("zoo 1.2", "cuda, torch 2.13.0", "train", "0.1.0")
ROWS = (
    Row(
        "zoo:BertModel", "bert", "traced", "repeats in strict mode", True, 109_482_240, 418, 773,
        {"switches": 3, "config": 75, "random": 37}, {"switches": {"embedding_dense_backward": 3}}, False,
        seconds=1.25, peak_bytes=700 << 20,
    ),
    Row(
        "zoo:BertForTokens", "bert", "traced", "strict mode raises", True, 108_000_000, 420, 780,
        {"raises": 2, "switches": 1}, {"raises": {"cumsum": 1, "put_": 1}, "switches": {"index_put": 1}}, True,
        seconds=1.5, peak_bytes=701 << 20,
    ),
    Row("zoo:create_model('a, \"b\"')", "made", "traced", "repeats", False, 0, 3, 0, {}, {}, False, seconds=0.1),
    Row("zoo:Broken", "broken", reason="Broken(width=3) raised ValueError: <b>a|b</b>, at 'x'", seconds=0.2),
    Row("zoo:Hangs", "hangs", reason="timed out after 60 s", seconds=60.0, peak_bytes=650 << 20),
)  # fmt: skip
SWEEP = Sweep(SETTING, ROWS, (("zoo.audio", "ModuleNotFoundError: No module named 'torchaudio'"),))
