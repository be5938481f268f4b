"""Fingerprints of parameters and gradients, read together: one wait for the device serves all."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from opscan.observe.fingerprint import fingerprint
from opscan.verifying.watch.recording import local_of


def mark_of(tensor: torch.Tensor | None) -> torch.Tensor | None:
    """The fingerprint of a tensor, of a DTensor that of the part that is here; None for one without values."""
    return None if tensor is None or tensor.is_meta else fingerprint(local_of(tensor))


def numbers_of(marks: Sequence[torch.Tensor | None]) -> list[int]:
    """The marks as numbers; 0 where there is none."""
    here = [each for each in marks if each is not None]
    devices = {each.device for each in here}
    if len(devices) == 1:
        read = iter(torch.stack(here).tolist())
        return [0 if each is None else next(read) for each in marks]
    return [0 if each is None else int(each) for each in marks]
