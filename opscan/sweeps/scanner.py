"""What a target is scanned with, imported once for all of them: reading the rules takes as long as a small model."""

from __future__ import annotations

from opscan.rules.load import load_rules
from opscan.scan import check

__all__ = ["check"]

load_rules()  # it keeps them
