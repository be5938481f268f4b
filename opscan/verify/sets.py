"""Where a program makes numbers of a set's order: what the linter finds in the files of the run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from opscan.lint.engine import Options, lint_source
from opscan.lint.rule import RULES
from opscan.lint.rules import load_all
from opscan.verify.runs import Function, Script
from opscan.verify.words import file_line

_CODES = ("OPL204", "OPL313")


def set_lines(runner: Script | Function) -> Iterator[str]:
    """Lines of the script, and of files beside it, where the linter sees a set's order or hash() decide."""
    if not isinstance(runner, Script):
        return
    script = Path(runner.target.partition(":")[0])
    script = script if script.suffix == ".py" else Path(*script.name.split(".")).with_suffix(".py")
    if not script.is_file():
        return
    load_all()
    rules = tuple(RULES[code] for code in _CODES)
    for file in (script, *(each for each in sorted(script.parent.glob("*.py"))[:50] if each != script)):
        for finding in lint_source(file.read_bytes(), str(file), Options(rules)).findings:
            yield f"{file_line(f'{finding.file}:{finding.line}')}: {finding.message}"
