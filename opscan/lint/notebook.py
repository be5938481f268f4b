"""Notebooks: the code cells as one module, and where each line of it stands in the file."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from opscan.lint.source import NotTextError, split_lines

_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()
_PYTHON_CELLS = frozenset(("time", "timeit", "capture", "prun"))
"""Cell magics whose cell is Python."""
_MAGIC = re.compile(r"(\s*)(?:[%!?]|\S+\?{1,2}\s*$|(?:(\w[\w., ]*)=\s*[%!]))")
_ENV = re.compile(r"\s*%(?:set_env|env)\s+(\w+)[=\s]\s*(.*?)\s*$")


class Token(NamedTuple):
    """One string of a cell's source in the file: raw[start:end] is its JSON, `value` what it says."""

    start: int
    end: int
    value: str


class Line(NamedTuple):
    """Where one line of the module comes from: its cell and line there, both from 1, and its place in a token."""

    cell: int
    line: int
    token: Token
    offset: int


class Notebook(NamedTuple):
    """The module made of the code cells, and the origin of each of its lines."""

    raw: str
    text: str
    lines: tuple[Line, ...]

    def file_line(self, number: int) -> int:
        """The line of the file, from 1, in which a line of the module stands."""
        token = self.lines[number - 1].token
        return self.raw.count("\n", 0, token.start) + 1

    def broken_cells(self) -> frozenset[int]:
        """The cells that are not Python."""
        cells: dict[int, list[str]] = {}
        for origin, line in zip(self.lines, split_lines(self.text), strict=False):  # behind the last end is no line
            cells.setdefault(origin.cell, []).append(line)
        return frozenset(cell for cell, lines in cells.items() if not _is_python("".join(lines)))

    def without(self, cells: frozenset[int]) -> str:
        """The module with the lines of these cells left empty."""
        pairs = zip(self.lines, split_lines(self.text), strict=False)
        return "".join("\n" if origin.cell in cells else line for origin, line in pairs)


def _is_python(text: str) -> bool:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def read_notebook(raw: str) -> Notebook:
    """Read a notebook. Raises NotTextError when it is no notebook in JSON."""
    try:
        cells = list(_code_cells(raw))
    except (ValueError, IndexError, RecursionError) as error:
        raise NotTextError(f"not a notebook: {error}") from error
    parts: list[str] = []
    lines: list[Line] = []
    for number, tokens in cells:
        places = [(token, offset, line) for token in tokens for offset, line in _lines_of(token.value)]
        written = _without_magics([line for _, _, line in _joined(places)])
        for position, ((token, offset, _), line) in enumerate(zip(_joined(places), written, strict=True), 1):
            lines.append(Line(number, position, token, offset))
            parts.append(line.rstrip("\r\n") + "\n")
    return Notebook(raw, "".join(parts), tuple(lines))


def _lines_of(text: str) -> Iterator[tuple[int, str]]:
    offset = 0
    for line in split_lines(text):
        if line:
            yield offset, line
        offset += len(line)


def _joined(places: list[tuple[Token, int, str]]) -> list[tuple[Token, int, str]]:
    """Lines that several tokens make together become one; it counts as the first token's."""
    whole: list[tuple[Token, int, str]] = []
    for token, offset, line in places:
        if whole and not whole[-1][2].endswith(("\n", "\r")):
            first, at, text = whole[-1]
            whole[-1] = (first, at, text + line)
        else:
            whole.append((token, offset, line))
    return whole


def _without_magics(lines: list[str]) -> list[str]:
    """The cell as Python: lines for IPython become `pass`, and what belongs to another language is left out."""
    first = next((line for line in lines if line.strip()), "")
    if first.startswith("%%"):
        words = first[2:].split()
        if not words or words[0] not in _PYTHON_CELLS:
            return [""] * len(lines)
    return [_python_line(line) for line in lines]


def _python_line(line: str) -> str:
    setting = _ENV.match(line)
    if setting:
        return f"import os; os.environ[{setting.group(1)!r}] = {setting.group(2)!r}"
    magic = _MAGIC.match(line)
    if magic is None or line.lstrip().startswith("#"):
        return line
    return f"{magic.group(1)}{magic.group(2)}= None" if magic.group(2) else f"{magic.group(1)}pass"


def _code_cells(raw: str) -> Iterator[tuple[int, list[Token]]]:
    """The code cells: their number among all cells, from 1, and the strings of their source."""
    start = 1 if raw.startswith("\ufeff") else 0
    for key, position in _members(raw, _skip(raw, start)):
        if key == "cells":
            for number, cell in enumerate(_items(raw, position), 1):
                kind, tokens = "", []
                for name, at in _members(raw, cell):
                    if name == "cell_type":
                        kind = str(_value(raw, at)[0])
                    elif name == "source":
                        tokens = _strings(raw, at)
                if kind == "code":
                    yield number, tokens


def _skip(raw: str, position: int) -> int:
    found = _SPACE.match(raw, position)
    return found.end() if found else position


def _value(raw: str, position: int) -> tuple[Any, int]:
    return _DECODER.raw_decode(raw, position)


def _members(raw: str, position: int) -> Iterator[tuple[str, int]]:
    """The keys of the object at a position, and where their values begin."""
    _expect(raw, position, "{")
    position = _skip(raw, position + 1)
    while raw[position] != "}":
        key, after = _value(raw, position)
        position = _skip(raw, after)
        _expect(raw, position, ":")
        position = _skip(raw, position + 1)
        yield key, position
        position = _after(raw, position, "}")


def _items(raw: str, position: int) -> Iterator[int]:
    """Where the items of the array at a position begin."""
    _expect(raw, position, "[")
    position = _skip(raw, position + 1)
    while raw[position] != "]":
        yield position
        position = _after(raw, position, "]")


def _after(raw: str, position: int, end: str) -> int:
    """Behind the value at a position, and behind its comma."""
    position = _skip(raw, _value(raw, position)[1])
    if raw[position] == end:
        return position
    _expect(raw, position, ",")
    return _skip(raw, position + 1)


def _expect(raw: str, position: int, character: str) -> None:
    if raw[position : position + 1] != character:
        raise ValueError(f"expected {character!r} at character {position}")


def _strings(raw: str, position: int) -> list[Token]:
    starts = [position] if raw[position] == '"' else list(_items(raw, position))
    found = []
    for start in starts:
        if raw[start] == '"':
            value, end = _value(raw, start)
            found.append(Token(start, end, value))
    return found
