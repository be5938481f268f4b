"""Deterministic drop-in replacements: the original's name and signature, and the same bits in every run.

They repeat in default mode as well as in strict mode, on CUDA and on the CPU, forward and backward. What each gives
back, compared with the original, stands in `rules/*.dropins.toml` and in docs/replacements.md.
"""

from opscan.replacements.average_pooling import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AdaptiveAvgPool3d,
    AvgPool3d,
    LPPool3d,
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    avg_pool3d,
    lp_pool3d,
)
from opscan.replacements.convolution import (
    Conv1d,
    Conv2d,
    Conv3d,
)
from opscan.replacements.interpolation import (
    Upsample,
    UpsamplingBilinear2d,
    interpolate,
)
from opscan.replacements.padding import (
    ReflectionPad1d,
    ReflectionPad2d,
    ReflectionPad3d,
    ReplicationPad1d,
    ReplicationPad2d,
    ReplicationPad3d,
    pad,
)
from opscan.replacements.spectral import stft

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
    "stft",
]
