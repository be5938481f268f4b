"""What a scan costs: measured here, kept in the report."""

from __future__ import annotations

import sys
import time

from torch import nn

from opscan.finding import ScanCost
from opscan.trace.values import is_lazy


def cost_since(started: float, model: nn.Module | None) -> ScanCost:
    """The cost of a scan that began when time.perf_counter() said `started`."""
    seconds = time.perf_counter() - started
    if model is None:
        return ScanCost(None, None, seconds, _peak_bytes())
    known = [each for each in model.parameters() if not is_lazy(each)]
    return ScanCost(
        sum(each.numel() for each in known),
        sum(each.numel() * each.element_size() for each in known),
        seconds,
        _peak_bytes(),
    )


def _peak_bytes() -> int | None:
    try:
        import resource
    except ImportError:  # Windows
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
