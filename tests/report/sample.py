"""A report made by hand, with everything in it that a renderer has to cope with."""

from __future__ import annotations

from opscan.environment import make_environment
from opscan.finding import Finding, Line, NewerTorch, Place, ScanCost, Spread
from opscan.report.report import Report
from opscan.rules.schema import Replacement

PAD = Finding(
    rule="OPS102",
    title="ReplicationPad2d backward",
    verdict="raises",
    op="aten.replication_pad2d_backward.default",
    phase="backward",
    module_type="Conv2d",
    places=(
        *(
            Place(f"layers.{n}.pad", Line("/home/me/net/model.py", 10), Line("/home/me/net/model.py", 30), 1)
            for n in range(12)
        ),
        Place("stem", Line("/home/me/net/model.py", 8), Line("/home/me/net/model.py", 28), 2, for_inputs=True),
        Place("<script>alert(1)</script>", None, Line("<ipython-input-3-abc>", 4), 1),
    ),
    default="nondeterministic",
    strict="raises",
    warn_only="nondeterministic",
    bits="vary",
    bits_why="Each border cell adds the gradients of its copies in the order the threads arrive.",
    alert="replication_pad2d_backward_cuda",
    message="Each border cell adds the gradients of its copies in the order the threads arrive. " * 2,
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
    findings=(PAD, POOL, ATTENTION, GATHER, CONV),
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
