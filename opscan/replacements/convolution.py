"""Convolutions whose padding mode is replicate or reflect: the padding has a gradient that is added up in one order."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from opscan.replacements.padding import pad

_PADDED = ("replicate", "reflect")


class Conv1d(nn.Conv1d):
    """`torch.nn.Conv1d`; with `padding_mode` "replicate" or "reflect" it pads by `opscan.replacements.pad`."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self.padding_mode not in _PADDED:
            plain: Tensor = super()._conv_forward(input, weight, bias)
            return plain
        padded = pad(input, self._reversed_padding_repeated_twice, self.padding_mode)
        return F.conv1d(padded, weight, bias, self.stride, 0, self.dilation, self.groups)


class Conv2d(nn.Conv2d):
    """`torch.nn.Conv2d`; with `padding_mode` "replicate" or "reflect" it pads by `opscan.replacements.pad`."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self.padding_mode not in _PADDED:
            plain: Tensor = super()._conv_forward(input, weight, bias)
            return plain
        padded = pad(input, self._reversed_padding_repeated_twice, self.padding_mode)
        return F.conv2d(padded, weight, bias, self.stride, 0, self.dilation, self.groups)


class Conv3d(nn.Conv3d):
    """`torch.nn.Conv3d`; with `padding_mode` "replicate" or "reflect" it pads by `opscan.replacements.pad`."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self.padding_mode not in _PADDED:
            plain: Tensor = super()._conv_forward(input, weight, bias)
            return plain
        padded = pad(input, self._reversed_padding_repeated_twice, self.padding_mode)
        return F.conv3d(padded, weight, bias, self.stride, 0, self.dilation, self.groups)
