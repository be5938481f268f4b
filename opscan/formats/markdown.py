"""Markdown as GitHub reads it, made of text that cannot end its cell, begin an element, or call anybody.

Source: GitHub Flavored Markdown Spec 0.29, 2.4 backslash escapes, 4.10 tables, 6.3 code spans.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape

from opscan.formats.text import printable, printable_prose

_MARKS = re.compile(r"([\\`*\[\]|~!]|(?<![^\W_])_|_(?![^\W_]))")
"""What marks up text; an underscore within a word does not (6.2, rules of emphasis)."""

_CALLS = re.compile(r"([@#])(?=\w)")


def text(words: str) -> str:
    """Words that stay words: no mark-up, no element, no mention of a person or an issue."""
    line = escape(printable(" ".join(words.split())), quote=False)
    return _CALLS.sub(r"\1&#8203;", _MARKS.sub(r"\\\1", line))


def code(words: str) -> str:
    """Words as code, within a cell of a table as well; "" for none."""
    line = printable(" ".join(words.split())).replace("|", "\\|")
    if not line:
        return ""
    fence = "`" * (_longest_run(line) + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def block(lines: str, language: str = "text") -> str:
    """Lines of code, fenced by more backticks than they have in a row."""
    shown = printable_prose(lines)
    fence = "`" * max(3, _longest_run(shown) + 1)
    return f"{fence}{language}\n{shown}\n{fence}"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are finished."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def folded(summary: str, content: str) -> str:
    """Content under a line that opens it; the summary is plain words."""
    head = _CALLS.sub(r"\1&#8203;", escape(printable(summary)))
    return f"<details><summary>{head}</summary>\n\n{content}\n\n</details>"


def _longest_run(words: str) -> int:
    return max((len(run) for run in re.findall(r"`+", words)), default=0)
