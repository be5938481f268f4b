"""Text that tries to leave its place, and values with it in every text: what user code may hand to a renderer."""

from __future__ import annotations

import dataclasses
import linecache
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import example, given, settings
from hypothesis import strategies as st

from opscan.report.report import ALL_VERDICTS

ATTACKS = (
    "\x1b[2J\x1b[31m", "\x1b]8;;https://example.com\x1b\\link\x1b]8;;\x1b\\", "\x1b]52;c;b3BzY2Fu\x07", "\x9b31m",
    "\x00", "\x08", "\n", "\r\n", "\t", "\u2028", "\x85", "\u202egnp.py\u202c", "\u2066", "\u200b", "\ufeff",
    "\U000e0041", "\udc80", "\ud83d", "\uffff", "\ufffe", "|", "\\", "\\|", "`", "```\n", "</script>", "<!--", "-->",
    "<script>window.hacked=1</script>", "</title><img src=x>", "]]>", "&lt;", "'\"", "::error::no", "\n::error::no",
    "##[error]no", "%0A::error::no", "=cmd()", ";=cmd()", "+1", "@SUM(A1)", "'=1", "\uff1dcmd()", "$x^{$", "{0}", "{",
    "[a](https://example.com)", "@team #1", "e\u0301\u0302" * 20, "\U0001f469\u200d\U0001f4bb", "\u5c64", "a.3.b",
    "a.\u00b2.b", "-", "x" * 300, " ",
)  # fmt: skip
PIECES = st.sampled_from(ATTACKS) | st.text(st.characters(codec=None), min_size=1, max_size=5)
TEXTS = st.lists(PIECES, min_size=1, max_size=3).map("".join)
HARMLESS = "name"
_KEPT = {
    "verdict", "phase", "default", "strict", "warn_only", "bits", "values", "gradient", "same_values", "observed",
    "predicted", "environment", "why", "outcome", "training", "counts", "show", "fail_on",
}  # fmt: skip
"""Fields that hold one of a few words, and none of the user's."""

Value = TypeVar("Value")


def hostile(*always: str) -> Any:
    """Run a test with one text after another, each attack by itself among them."""

    def decorated(test: Any) -> Any:
        for text in ("".join(ATTACKS), *always):
            test = example(text)(test)
        return settings(max_examples=12, deadline=None, database=None)(given(TEXTS)(test))

    return decorated


def poisoned(value: Value, text: str) -> Value:
    """The value with `text` at the start of every text in it; equal texts stay equal, and others different."""
    known: dict[str, str] = {}
    made: Value = _poisoned(value, text, known)
    return made


def _poisoned(value: Any, text: str, known: dict[str, str]) -> Any:
    if isinstance(value, str):
        return known.setdefault(value, f"{text}n{len(known)}") if value and value not in ALL_VERDICTS else value
    if isinstance(value, tuple):
        names = getattr(value, "_fields", ("",) * len(value))
        parts = [
            each if name in _KEPT else _poisoned(each, text, known) for each, name in zip(value, names, strict=True)
        ]
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    if isinstance(value, Mapping):
        return {_poisoned(key, text, known): _poisoned(each, text, known) for key, each in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        changes = {
            field.name: _poisoned(getattr(value, field.name), text, known)
            for field in dataclasses.fields(value)
            if field.name not in _KEPT
        }
        return dataclasses.replace(value, **changes)
    return value


def with_source(text: str, files: set[str], lines: int = 50) -> None:
    """Let these files be read as source in which every line is the text, as linecache keeps what has no time."""
    line = "".join(text.splitlines()) + "\n"
    for file in files:
        linecache.cache[file] = (len(line) * lines, None, [line] * lines, file)


def files_in(value: Any) -> set[str]:
    """The names of files in a value."""
    if isinstance(value, Path) or value is None or isinstance(value, str | int | float):
        return set()
    if isinstance(value, Mapping):
        return set().union(*map(files_in, value.values()))
    if isinstance(value, tuple | list):
        own = {value.file} if hasattr(value, "file") and isinstance(value.file, str) else set()
        return own.union(*map(files_in, value)) if value else own
    if dataclasses.is_dataclass(value):
        return set().union(*(files_in(getattr(value, field.name)) for field in dataclasses.fields(value)))
    return set()
