"""`# noqa` and `# noqa: OPL101`: what a line does not want to hear of."""

from __future__ import annotations

import re
from collections.abc import Sequence

_NOQA = re.compile(r"#\s*noqa(?::\s*(?P<codes>[A-Za-z]+\d*(?:[,\s]+[A-Za-z]+\d+)*))?", re.IGNORECASE)


def is_silenced(code: str, lines: Sequence[str]) -> bool:
    """Whether one of the lines (the first and the last of a statement) silences a code, or every code."""
    for line in lines:
        if "noqa" not in line and "NOQA" not in line:
            continue
        for found in _NOQA.finditer(line):
            codes = found.group("codes")
            if codes is None or any(code.startswith(each) for each in codes.upper().replace(",", " ").split()):
                return True
    return False
