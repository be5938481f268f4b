"""Counting for conditions: how many values meet in one cell.

Floating point addition is commutative, not associative: one or two additions onto zero give the same bits in any
order, three need not. These functions tell the two apart, exactly or on the safe side (never too few).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

COUNTING_FUNCTIONS: dict[str, Callable[..., Any]] = {}
"""Name in a condition -> function of plain values (sizes, strides, paddings)."""
