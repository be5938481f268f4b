"""Compare the rules with a build of torch: what does it show that no row speaks for, and which rows have lost their op?

signs = read_signs(Path("torch-2.15.0-cp311-cp311-manylinux_2_28_x86_64.whl"))
print(audit(signs, load_rules(), load_claims()).to_text())
"""

from __future__ import annotations

from opscan.audit.claims import Claim, load_claims
from opscan.audit.compare import Audit, Gap, Unchecked, audit
from opscan.audit.read import read_signs
from opscan.audit.signs import Sign, Signs
from opscan.errors import AuditError

__all__ = ["Audit", "AuditError", "Claim", "Gap", "Sign", "Signs", "Unchecked", "audit", "load_claims", "read_signs"]
