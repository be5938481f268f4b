"""What a target's name says of where it is defined."""

from __future__ import annotations

import sys
from pathlib import Path


def file_of(label: str) -> str | None:
    """The file that a target's name leads to: written in it, or that of its module, if this process has imported it."""
    name = label.partition("(")[0].strip().rpartition(":")[0]
    if name.endswith(".py"):
        return str(Path(name).absolute())
    return getattr(sys.modules.get(name), "__file__", None)
