"""A report made by hand, with everything in it that a renderer has to cope with."""

from __future__ import annotations

import linecache
from dataclasses import replace
from datetime import date
from pathlib import Path

from opscan.environment import make_environment
from opscan.finding import Finding, Line, NewerTorch, Place, Remedy, ScanCost, Spread, Waived
from opscan.report.outcome import Outcome, StaleWaiver, Unseen
from opscan.report.report import Report
from opscan.rules.schema import Replacement
from opscan.waiver import Waiver

ROOT = Path("/home/me")
SOURCE = """\
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 3, padding=1, padding_mode="replicate")
        self.names = "\x1b[2J | 層"
        self.layers = nn.ModuleList(nn.Sequential(nn.Identity(), nn.ReplicationPad2d((1, 1, 1, 1))) for _ in range(12))
        self.head = nn.Linear(
            32,
            8,
        )
        self.pool = nn.AvgPool3d(2)

    def sums(self, x):
        return (
            torch.cumsum(
                x,
                dim=0,
            )
        )

    # What follows is short.

    def forward(self, x):
        x = self.stem(x)
        for layer in self.layers:
            x = layer(x)
        x = self.pool(x)
\treturn self.sums(x)
"""
linecache.cache["/home/me/net/model.py"] = (
    len(SOURCE), None, SOURCE.replace("\t", "        ").splitlines(keepends=True), "/home/me/net/model.py",
)  # fmt: skip
"""The source of the lines below, as if it were there: linecache keeps what has no time."""

PAD = Finding(
    rule="OPS102",
    title="ReplicationPad2d backward",
    verdict="raises",
    op="aten.replication_pad2d_backward.default",
    phase="backward",
    module_type="Conv2d",
    places=(
        *(
            Place(
                f"layers.{n}.pad",
                Line("/home/me/net/model.py", 10),
                Line("/home/me/net/model.py", 30),
                1,
                stock="torch.nn.ReplicationPad2d",
            )
            for n in range(12)
        ),
        Place(
            "stem",
            Line("/home/me/net/model.py", 8),
            Line("/home/me/net/model.py", 28),
            2,
            for_inputs=True,
            stock="torch.nn.Conv2d",
        ),
        Place("<script>alert(1)</script>", None, Line("<ipython-input-3-abc>", 4), 1),
    ),
    default="nondeterministic",
    strict="raises",
    warn_only="nondeterministic",
    bits="vary",
    bits_why="Each border cell adds the gradients of its copies in the order the threads arrive.",
    alert="replication_pad2d_backward_cuda",
    message="Each border cell adds the gradients of its copies in the order the threads arrive. " * 2,
    remedies=(
        Remedy(
            "Conv2d",
            "torch.nn.Conv2d",
            "bitwise",
            "rounding",
            "",
            Line("/home/me/net/model.py", 8),
            "from opscan import replacements",
            'self.stem = nn.Conv2d(3, 32, 3, padding=1, padding_mode="replicate")',
            'self.stem = replacements.Conv2d(3, 32, 3, padding=1, padding_mode="replicate")',
        ),
        Remedy(
            "ReplicationPad2d",
            "torch.nn.ReplicationPad2d",
            "bitwise",
            "rounding",
            "",
            Line("<ipython-input-3-abc>", 4),
            obstacle="its source cannot be read",
        ),
    ),
    replacements=(
        Replacement("zero padding", "different", 'padding_mode="zeros"'),
        Replacement("clamped index", "bitwise", "def clamped(x):\n    index = torch.arange(5)\n\n    return x[index]"),
    ),
    newer_torch=NewerTorch("2.2", "nondeterministic", "deterministic"),
    predicted="raises",
    spread=Spread(
        output=False,
        loss=False,
        inputs=True,
        gradients=("layers.1.weight", "layers.0.<b>", "stem.weight"),
        of_gradients=9,
        read=(Line("/home/me/net/model.py", 40),),
    ),
)
CUMSUM = Finding(
    rule="OPS301",
    title="cumsum",
    verdict="silent",
    op="aten.cumsum.default",
    phase="forward",
    module_type="Net",
    places=(Place("", None, Line("/home/me/net/model.py", 21), 1, public=("torch.cumsum",)),),
    default="nondeterministic",
    strict="nondeterministic",
    warn_only="nondeterministic",
    bits="vary",
    bits_why="Blocks add in the order they end.",
    alert=None,
    message="Long rows are scanned by blocks that add in the order they end.",
    replacements=(),
    newer_torch=None,
    predicted="silent",
)
WAIVED = replace(
    CUMSUM,
    places=(Place("head\x1b[31m|`@all`", None, None, 2),),
    waived=Waived("Counts in float32: exact below 2**24, see #12.\n| <b>@team</b> agreed |", "2027-03-31", 1),
)
KNOWN = replace(
    CUMSUM, op="aten.cumsum.default", places=(Place("old", None, Line("/home/me/net/model.py", 32), 1),), known=True
)
ATTENTION = Finding(
    rule="OPS701",
    title="attention",
    verdict="switches",
    op="torch.nn.functional.scaled_dot_product_attention",
    phase="backward",
    module_type="MultiheadAttention",
    places=(Place("encoder.layers.0.self_attn", None, None, 3),),
    default="nondeterministic",
    strict="deterministic",
    warn_only="nondeterministic",
    bits="unknown",
    bits_why="Which kernel runs depends on the GPU.",
    alert=None,
    message="Only the gradient of the queries varies.",
    replacements=(),
    newer_torch=None,
    predicted="switches",
)
CONV = Finding(
    rule="OPS801",
    title="convolution",
    verdict="config",
    op="aten.convolution.default",
    phase="forward",
    module_type="Conv2d",
    places=(Place("stem", Line("/home/me/net/model.py", 8), Line("/home/me/net/model.py", 28), 1),),
    default="setting",
    strict="setting",
    warn_only="setting",
    bits="unknown",
    bits_why="A setting decides.",
    alert=None,
    message="cuDNN chooses its algorithm.",
    replacements=(),
    newer_torch=None,
    predicted="config",
)
POOL = Finding(
    rule="OPS201",
    title="AvgPool3d backward",
    verdict="raises",
    op="aten.avg_pool3d_backward.default",
    phase="backward",
    module_type="AvgPool3d",
    places=(Place("pool", None, Line("/home/me/net/model.py", 31), 1),),
    default="nondeterministic",
    strict="raises",
    warn_only="nondeterministic",
    bits="cannot vary",
    bits_why="Windows do not overlap: every cell gets one addition.",
    alert="avg_pool3d_backward_cuda",
    message="Overlapping windows add to their cells in the order the threads arrive.",
    replacements=(),
    newer_torch=None,
    predicted="raises",
)
GATHER = Finding(
    rule="OPS401",
    title="scatter_add",
    verdict="switches",
    op="aten.scatter_add.default",
    phase="backward",
    module_type="Sorter",
    places=(Place("sorter", None, None, 1),),
    default="nondeterministic",
    strict="deterministic",
    warn_only="deterministic",
    bits="cannot vary",
    bits_why="Integers add to the same sum in any order.",
    alert=None,
    message="scatter_add adds with atomics.",
    replacements=(),
    newer_torch=None,
    predicted="switches",
)
FULL = Report(
    target="net.model:Net<T>",
    environment=make_environment("cuda", "1.8.1", strict=True),
    assumptions=("num_classes=10 (constructor argument, assumed; --init num_classes=...)",),
    forward_ops=40,
    backward_ops=60,
    unknown={"my_lib.op.default": 2},
    findings=(PAD, CUMSUM, POOL, ATTENTION, WAIVED, KNOWN, GATHER, CONV),
    cost=ScanCost(parameters=550_570, parameter_bytes=2_202_280, seconds=0.314, peak_bytes=612 << 20),
)
CLEAN = Report(
    target="net.model:Clean",
    environment=make_environment("cuda", "2.13.0"),
    assumptions=(),
    forward_ops=3,
    backward_ops=5,
    unknown={},
    findings=(),
)
OUTCOME = Outcome(
    (FULL, CLEAN),
    (
        Unseen("net.model:Gone", "no such name\n  Did you mean Net?"),
        Unseen("net/model.py:Wants", "needs an engine", wanted=False),
    ),
    (
        StaleWaiver(
            Waiver("A trial.", rule="OPS1*", target="net.model:*", until=date(2026, 1, 31), number=2, root=ROOT),
            "expired",
        ),
        StaleWaiver(
            Waiver("Gone | soon.", op="aten.median*", file="net/model.py", line=9, number=3, root=ROOT), "unused"
        ),
    ),
    has_baseline=True,
)
"""All that a command may find out, with names that would break out of every format."""
