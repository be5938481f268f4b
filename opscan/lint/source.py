"""The text of a file, and how it was written, so that it can be written back in the same way."""

from __future__ import annotations

import codecs
import io
import re
from typing import NamedTuple

_LINE_END = re.compile(r"\r\n|\r|\n")


class NotTextError(Exception):
    """The bytes are no text: says why."""


class Source(NamedTuple):
    """The text of a file, the encoding it was in, and whether a byte order mark stood before it."""

    text: str
    encoding: str
    has_mark: bool

    def encode(self, text: str) -> bytes:
        """A changed text as bytes, in the same encoding."""
        return (codecs.BOM_UTF8 if self.has_mark else b"") + text.encode(self.encoding)


def decode(data: bytes) -> Source:
    """Read Python source as Python does: a mark or a declaration says the encoding, else it is UTF-8 (PEP 263).

    Raises NotTextError for bytes that are not what they say.
    """
    encoding = "utf-8"
    has_mark = data.startswith(codecs.BOM_UTF8)
    if b"coding" in data[:400]:
        import tokenize

        try:
            encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        except SyntaxError as error:
            raise NotTextError(str(error)) from error
        encoding = "utf-8" if encoding == "utf-8-sig" else encoding
    try:
        text = data[3:].decode(encoding) if has_mark else data.decode(encoding)
    except (UnicodeDecodeError, ValueError) as error:
        raise NotTextError(f"not text: {error}") from error
    if "\0" in text:
        raise NotTextError("not text: it holds null bytes")
    return Source(text, encoding, has_mark)


def split_lines(text: str) -> list[str]:
    """The lines as Python counts them, each with its end."""
    lines: list[str] = []
    start = 0
    for end in _LINE_END.finditer(text):
        lines.append(text[start : end.end()])
        start = end.end()
    lines.append(text[start:])
    return lines


def characters(line: str, column: int) -> int:
    """A column in UTF-8 bytes as one in characters."""
    return column if line.isascii() else len(line.encode("utf-8")[:column].decode("utf-8", "replace"))
