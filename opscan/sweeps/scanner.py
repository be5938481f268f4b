"""What a target is scanned with, imported once for all of them: reading the rules takes as long as a small model."""

from __future__ import annotations

from opscan.rules.load import load_rules
from opscan.scan import build_named, scan_target

__all__ = ["build_named", "scan_target"]

load_rules()  # it keeps them
