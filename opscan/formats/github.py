"""Workflow commands, which GitHub shows beside the lines.

Source: GitHub docs, workflow commands: `%` and line ends are escaped, in properties `:` and `,` too.
"""

from __future__ import annotations

from typing import Literal

from opscan.formats.text import printable_prose

Level = Literal["error", "warning", "notice"]


def command(level: Level, message: str, **properties: str | int | None) -> str:
    """One line, with the properties that have a value: file, line, col, endLine, endColumn, title."""
    given = ",".join(f"{name}={_property(str(value))}" for name, value in properties.items() if value not in (None, ""))
    return f"::{level}{f' {given}' if given else ''}::{_data(message)}\n"


def _data(text: str) -> str:
    return printable_prose(text.replace("\r\n", "\n")).replace("%", "%25").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
