"""A recorded run in a process of its own: `python -m opscan.verifying.child`, with a Plan in OPSCAN_VERIFY.

The script or function is run as Python itself would run it, and every rank of torchrun writes a file of its own.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from opscan.verifying.options import Options, read_options
from opscan.verifying.watch.install import recorded
from opscan.verifying.watch.processes import told
from opscan.verifying.watch.recording import Recording

VARIABLE = "OPSCAN_VERIFY"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run: a script with its words, or a function; where to record it to, and what."""

    target: str
    words: tuple[str, ...]
    path: str
    options: Options

    def as_text(self) -> str:
        """As it stands in the variable."""
        return json.dumps(asdict(self))


def rank_path(path: str, rank: str | None) -> str:
    """The file of one rank: `a.opslog`, or `a.rank1.opslog`."""
    return path if rank is None else f"{path.removesuffix('.opslog')}.rank{rank}.opslog"


def _read_plan() -> Plan:
    content = json.loads(os.environ.pop(VARIABLE))
    return Plan(content["target"], tuple(content["words"]), content["path"], read_options(content["options"]))


def main() -> int:
    """Run the plan; the exit status is the script's."""
    plan = _read_plan()
    words = (plan.target, *plan.words)
    with recorded(rank_path(plan.path, os.environ.get("RANK")), plan.options, words) as recording:
        return _run(plan, recording)


def _run(plan: Plan, recording: Recording) -> int:
    try:
        told(recording, lambda: tell_returned(recording, _call(plan)))
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    return 0


def tell_returned(recording: Recording, returned: Any, name: str = "returned") -> None:
    """Record the numbers that a function returned: one, or lists and dicts of them, as a history of losses is."""
    history = getattr(returned, "history", None)
    if isinstance(history, dict):
        returned = history
    if isinstance(returned, dict):
        for key, value in list(returned.items())[:1000]:
            tell_returned(recording, value, f"{name}[{key!r}]")
    elif isinstance(returned, list | tuple):
        for value in returned[:100_000]:
            tell_returned(recording, value, name)
    else:
        recording.value(name, returned, None, "result")


def _call(plan: Plan) -> Any:
    if plan.target.endswith(".py") and ":" not in plan.target:
        sys.argv[:] = [plan.target, *plan.words]
        sys.path[0] = str(Path(plan.target).resolve().parent)  # as `python script.py` has it
        runpy.run_path(plan.target, run_name="__main__")
        return None
    from opscan.target.load import load_object
    from opscan.target.spec import parse_target

    spec = parse_target(plan.target)
    sys.argv[:] = [plan.target, *plan.words]
    sys.path[0] = os.getcwd()
    function: Any = load_object(spec)
    return function(*spec.args, **spec.kwargs)


if __name__ == "__main__":
    sys.exit(main())
