"""Deterministic drop-in replacements: the original's name and signature, and the same bits in every run.

They repeat in default mode as well as in strict mode, on CUDA and on the CPU, forward and backward. What each gives
back, compared with the original, stands in `rules/*.dropins.toml` and in docs/replacements.md.
"""

from opscan.replacements.average_pooling import (
    AdaptiveAvgPool1d as AdaptiveAvgPool1d,
)
from opscan.replacements.average_pooling import (
    AdaptiveAvgPool2d as AdaptiveAvgPool2d,
)
from opscan.replacements.average_pooling import (
    AdaptiveAvgPool3d as AdaptiveAvgPool3d,
)
from opscan.replacements.average_pooling import (
    AvgPool3d as AvgPool3d,
)
from opscan.replacements.average_pooling import (
    LPPool3d as LPPool3d,
)
from opscan.replacements.average_pooling import (
    adaptive_avg_pool1d as adaptive_avg_pool1d,
)
from opscan.replacements.average_pooling import (
    adaptive_avg_pool2d as adaptive_avg_pool2d,
)
from opscan.replacements.average_pooling import (
    adaptive_avg_pool3d as adaptive_avg_pool3d,
)
from opscan.replacements.average_pooling import (
    avg_pool3d as avg_pool3d,
)
from opscan.replacements.average_pooling import (
    lp_pool3d as lp_pool3d,
)
from opscan.replacements.convolution import (
    Conv1d as Conv1d,
)
from opscan.replacements.convolution import (
    Conv2d as Conv2d,
)
from opscan.replacements.convolution import (
    Conv3d as Conv3d,
)
from opscan.replacements.interpolation import (
    Upsample as Upsample,
)
from opscan.replacements.interpolation import (
    UpsamplingBilinear2d as UpsamplingBilinear2d,
)
from opscan.replacements.interpolation import (
    interpolate as interpolate,
)
from opscan.replacements.interpolation import (
    upsample as upsample,
)
from opscan.replacements.interpolation import (
    upsample_bilinear as upsample_bilinear,
)
from opscan.replacements.padding import (
    ReflectionPad1d as ReflectionPad1d,
)
from opscan.replacements.padding import (
    ReflectionPad2d as ReflectionPad2d,
)
from opscan.replacements.padding import (
    ReflectionPad3d as ReflectionPad3d,
)
from opscan.replacements.padding import (
    ReplicationPad1d as ReplicationPad1d,
)
from opscan.replacements.padding import (
    ReplicationPad2d as ReplicationPad2d,
)
from opscan.replacements.padding import (
    ReplicationPad3d as ReplicationPad3d,
)
from opscan.replacements.padding import (
    pad as pad,
)

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AvgPool3d",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "LPPool3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "Upsample",
    "UpsamplingBilinear2d",
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "adaptive_avg_pool3d",
    "avg_pool3d",
    "interpolate",
    "lp_pool3d",
    "pad",
    "upsample",
    "upsample_bilinear",
]
