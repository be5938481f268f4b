"""Source lines under a finding, as a compiler quotes them: the file, the line, and marks below the call."""

from __future__ import annotations

import unicodedata
from itertools import accumulate
from typing import NamedTuple

from opscan.blame import source_lines
from opscan.finding import Finding, Line
from opscan.formats.text import printable
from opscan.report.paint import Paint
from opscan.report.spots import Spot, spots
from opscan.report.words import short_line

_TAB = 4
_LONGEST = 1000  # characters of a line that are looked at: a line of code may be as long as its file
_MARGIN = 2


class _Quoted(NamedTuple):
    """A line of a file without its margin, and what is marked in it: from a column of the terminal on, so many."""

    place: Line
    column: int
    text: str
    start: int
    length: int


def quote(finding: Finding, width: int, most: int, paint: Paint) -> list[str]:
    """Up to `most` lines of a finding, each cut to `width` columns; nothing where no source can be read."""
    quoted = [each for spot in spots(finding) if (each := _quoted(spot)) is not None]
    files = list(dict.fromkeys(each.place.file for each in quoted[:most]))
    shown = sorted(quoted[:most], key=lambda each: (files.index(each.place.file), each.place.line))
    digits = max((len(str(each.place.line)) for each in shown), default=0)
    bar = paint.text("|", "mark")
    lines: list[str] = []
    file = ""
    for each in shown:
        if each.place.file != file:
            file = each.place.file
            column = f":{each.column}" if each.length else ""
            head = f"{printable(short_line(each.place))}{column}"
            lines.append(f"{' ' * (digits + _MARGIN - 1)}{paint.text('-->', 'mark')} {head}")
        number = paint.text(f"{each.place.line:>{digits}}", "mark")
        room = width - _MARGIN - digits - 3
        lines.append(f"{' ' * _MARGIN}{number} {bar} {_cut(each.text, room)}")
        marked = min(each.length, room - each.start)
        if marked > 0:
            marks = paint.text("^" * marked, "bad")
            lines.append(f"{' ' * (_MARGIN + digits)} {bar} {' ' * each.start}{marks}")
    if left := len(quoted) - len(shown):
        lines.append(f"{' ' * (_MARGIN + digits)} {bar} and {left} more line{'s' * (left > 1)}")
    return lines


def _quoted(spot: Spot) -> _Quoted | None:
    if spot.line is None:
        return None
    span = spot.span
    at = span.line if span else spot.line.line
    raw = "".join(source_lines(spot.line.file)[at - 1 : at]).rstrip()
    if not raw.strip():
        return None
    text, place = _shown(raw.lstrip()), Line(spot.line.file, at)
    if span is None:
        return _Quoted(place, 0, text, 0, 0)
    margin = len(raw) - len(raw.lstrip())
    end = span.end_column - 1 if span.end_line == span.line else len(raw)
    before, marked = _shown(raw[margin : span.column - 1]), _shown(raw[margin:end])
    return _Quoted(place, span.column, text, _columns(before), _columns(marked) - _columns(before))


def _shown(text: str) -> str:
    return printable(text.expandtabs(_TAB))


def _columns(text: str) -> int:
    """How many columns of a terminal a text takes: wide characters two, accents none."""
    return sum(
        0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text
    )


def _cut(text: str, room: int) -> str:
    if len(text) <= _LONGEST and _columns(text) <= room:
        return text
    taken = accumulate(map(_columns, text[:_LONGEST]))
    return f"{text[: sum(columns <= room - 3 for columns in taken)]}..."
