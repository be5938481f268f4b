"""What a finding reaches, in words."""

from __future__ import annotations

from opscan.finding import Spread
from opscan.report.words import short_line

_MOST_LINES = 3


def reach_words(spread: Spread) -> str:
    """`the loss; 10 of 16 gradients, conv5.weight the first in backward; the gradient of an input`."""
    parts = ["the output"] * spread.output + ["the loss"] * spread.loss
    if spread.gradients:
        parts.append(_gradients(spread))
    if spread.inputs:
        parts.append("the gradient of an input")
    words = "; ".join(parts) or "no output and no gradient"
    if spread.read:
        lines = [short_line(line) for line in spread.read]
        shown = ", ".join(lines[:_MOST_LINES]) + (", ..." if len(lines) > _MOST_LINES else "")
        words += f". Python reads such a value in {shown}: what it decides there is not followed"
    return words


def _gradients(spread: Spread) -> str:
    reached, total = len(spread.gradients), spread.of_gradients
    if reached == 1:
        only = "the only gradient" if total == 1 else f"1 of {total} gradients"
        return f"{only}, {spread.gradients[0]}"
    count = f"all {total} gradients" if reached == total else f"{reached} of {total} gradients"
    return f"{count}, {spread.gradients[0]} the first in backward"
