"""The other way to find them all: strict mode on, run, mend what it stopped at, and run again.

Measured is what the machine does: five runs of a step with four such ops, the last of which goes through, against one
`opscan check` that names all four. Reading the errors and mending the code is not in it, and the model is a small one:
of a large one each run also has to come as far as the op.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from measure import ROOT, Row, child, compare, several

SCRIPT = Path(__file__).with_name("strict_steps.py")
SITES = 4


def row(runs: int) -> Row:
    """N + 1 runs against one check. Raises SystemExit if the runs or the check do not find N."""
    for fixed in range(SITES + 1):
        words = [sys.executable, str(SCRIPT), str(fixed)]
        ran = subprocess.run(words, capture_output=True, text=True, check=False)
        stopped = "does not have a deterministic implementation" in ran.stderr
        if stopped != (fixed < SITES) or (ran.returncode == 0) != (fixed == SITES):
            raise SystemExit(f"{' '.join(words)} did not do what is measured here:\n{ran.stderr}")
    check = ("-m", "opscan", "check", f"{SCRIPT}:Pieces", "--device", "cpu", "--no-run", "--strict", "--format", "json")
    found = subprocess.run([sys.executable, *check], capture_output=True, text=True, check=False, cwd=ROOT)
    findings = json.loads(found.stdout)["reports"][0]["findings"]
    if sum(each["count"] for each in findings if each["verdict"] == "raises") != SITES:
        raise SystemExit(f"the check did not find {SITES}:\n{found.stdout}\n{found.stderr}")
    again = several([child(sys.executable, str(SCRIPT), str(fixed)) for fixed in range(SITES + 1)])
    what = f"opscan check of a step with {SITES} ops that raise in strict mode"
    floor = f"strict mode, {SITES + 1} runs, each error mended before the next"
    return compare("one by one", what, child(sys.executable, *check), floor, again, max(runs // 3, 1), 1.0, above=True)
