"""Text from outside, made fit for a terminal: it can neither move the cursor nor pass for something else."""

from __future__ import annotations

import unicodedata

_SUSPECT = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Control and format characters (escape sequences, text directions), surrogates, line and paragraph separators."""


def printable(text: str, keep: str = "") -> str:
    """A name on one line: what a terminal would act upon is written as an escape, `\\x1b` or `\\u202e`.

    Characters in `keep` stay as they are.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(each if each in keep else _shown(each) for each in text)


def printable_prose(text: str) -> str:
    """The same for text that may have lines: line ends and tabs stay."""
    return printable(text, keep="\n\t")


def _shown(character: str) -> str:
    if unicodedata.category(character) not in _SUSPECT:
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
