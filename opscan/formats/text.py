"""Text from outside, made fit for a terminal: it can neither move the cursor nor pass for something else."""

from __future__ import annotations

import re
import unicodedata

_SUSPECT = {"Cc", "Cf", "Cs", "Zl", "Zp"}
"""Control and format characters (escape sequences, text directions), surrogates, line and paragraph separators."""

_COMMAND = re.compile(r"(?m)^([^\S\n]*):(?=:)|(?<=##)\[")
"""What begins a command of GitHub in its log: two colons at the start of a line, after spaces; `##[` anywhere.

Source: actions/runner, src/Runner.Common/ActionCommand.cs, TryParseV2 and TryParse.
"""


def printable(text: str, keep: str = "") -> str:
    """A name on one line: what a terminal would act upon is written as an escape, `\\x1b` or `\\u202e`.

    Characters in `keep` stay as they are.
    """
    if text.isascii() and text.isprintable():
        return text
    escapes = {ord(each): _escape(each) for each in suspects(text) - set(keep)}
    return text.translate(escapes) if escapes else text


def suspects(text: str) -> set[str]:
    """The characters of a text that are not to reach a terminal, or that XML cannot hold (U+FFFE and U+FFFF)."""
    return {each for each in set(text) if unicodedata.category(each) in _SUSPECT or ord(each) & 0xFFFE == 0xFFFE}


def printable_prose(text: str) -> str:
    """The same for text that may have lines: line ends and tabs stay."""
    return printable(text, keep="\n\t")


def log_text(text: str) -> str:
    """The same text, in which no line is a workflow command where GitHub reads the log: `\\x3a:error::`."""
    return _COMMAND.sub(lambda found: "\\x5b" if found[1] is None else f"{found[1]}\\x3a", text)


def _escape(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
