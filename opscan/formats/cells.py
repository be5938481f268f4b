"""Cells of a CSV file: text that a spreadsheet takes for text, and that is read back as it was.

Source: OWASP, CSV Injection: a cell that begins with = + - or @, wide or not, is a formula.
"""

from __future__ import annotations

import re

from opscan.formats.text import printable

_FORMULA = re.compile("(^|;)(?='*[=+\\-@\uff1d\uff0b\uff0d\uff20].)")
"""Where a cell begins, also for a spreadsheet that parts them at semicolons."""

_MARKED = re.compile("(^|;)'(?='*[=+\\-@\uff1d\uff0b\uff0d\uff20].)")


def cell(text: str) -> str:
    """One line, with an apostrophe before what would be a formula."""
    return _FORMULA.sub(r"\1'", printable(text))


def text_of(cell: str) -> str:
    """What stood in a cell before it got its apostrophes."""
    return _MARKED.sub(r"\1", cell)
