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
    from opscan.sweeps.run import sweep
    from opscan.sweeps.table import Sweep
    from opscan.verifying.log import log
    from opscan.verifying.outcome import Verification
    from opscan.verifying.verify import verify

__version__ = "0.1.0"
__all__ = [
    "Environment", "Finding", "OpscanError", "Report", "Sweep", "Verification",
    "check", "env", "log", "sweep", "verify",
]  # fmt: skip

_HOMES = {
    "Environment": "opscan.environment",
    "Finding": "opscan.finding",
    "OpscanError": "opscan.errors",
    "Report": "opscan.report.report",
    "check": "opscan.scan",
    "env": "opscan.settings.outlook",
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
