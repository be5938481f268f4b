"""opscan: find every operation that makes a PyTorch model nondeterministic, say why, and what to write instead."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opscan.environment import Environment
    from opscan.errors import OpscanError
    from opscan.finding import Finding
    from opscan.report.report import Report
    from opscan.scan import check
    from opscan.settings.outlook import env
    from opscan.surgery.changes import Changes, changes_of, make_deterministic
    from opscan.sweeps.run import sweep
    from opscan.sweeps.table import Sweep
    from opscan.verifying.log import log
    from opscan.verifying.outcome import Verification
    from opscan.verifying.verify import verify

__version__ = "0.1.0"
__all__ = [
    "Changes",
    "Environment",
    "Finding",
    "OpscanError",
    "Report",
    "Sweep",
    "Verification",
    "changes_of",
    "check",
    "env",
    "log",
    "make_deterministic",
    "sweep",
    "verify",
]

_HOMES = {
    "Changes": "opscan.surgery.changes",
    "Environment": "opscan.environment",
    "Finding": "opscan.finding",
    "OpscanError": "opscan.errors",
    "Report": "opscan.report.report",
    "changes_of": "opscan.surgery.changes",
    "check": "opscan.scan",
    "env": "opscan.settings.outlook",
    "make_deterministic": "opscan.surgery.changes",
    "Sweep": "opscan.sweeps.table",
    "sweep": "opscan.sweeps.run",
    "Verification": "opscan.verifying.outcome",
    "log": "opscan.verifying.log",
    "verify": "opscan.verifying.verify",
}


def __getattr__(name: str) -> Any:
    """Load what is asked for when it is asked for: `import opscan` loads neither torch nor pandas."""
    if name not in _HOMES:
        raise AttributeError(f"module 'opscan' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
