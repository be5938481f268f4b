"""`opscan.log`: a value that a run tells of itself. Outside of a recorded run it does nothing, and costs nothing."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opscan.verifying.watch.recording import Recording

recording: Recording | None = None
"""The run that is being recorded in this process, if one is."""


def log(name: str, value: object) -> None:
    """Tell `opscan verify` of a number under a name: a loss, a metric, a norm.

    `value` is a number, or a tensor or an array with one element; anything else is passed over. The runs are compared
    bit by bit in what they log, and the growth of the difference is shown.
    """
    if recording is not None:
        recording.value(name, value, sys._getframe(1))
