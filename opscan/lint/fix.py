"""Write what findings offer to mend: in the text, as a difference, or back into the file."""

from __future__ import annotations

import ast
import json
import os
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from opscan.errors import OutputError
from opscan.formats.paths import name_bytes
from opscan.lint.finding import Edit, Finding, Problem
from opscan.lint.notebook import Notebook, Token, read_notebook
from opscan.lint.source import NotTextError, decode, split_lines
from opscan.writing import write_bytes


class Mended(NamedTuple):
    """A file before and after; `applied` are the findings that are gone."""

    file: str
    before: str
    after: str
    data: bytes
    applied: tuple[Finding, ...]


def mend(file: str, data: bytes, findings: Sequence[Finding]) -> Mended | Problem | None:
    """The file with all edits made that do not overlap; None if nothing is to be done, a Problem if it went wrong."""
    chosen = _apart([each for each in findings if each.edits])
    if not chosen:
        return None
    try:
        source = decode(data)
        edits = [edit for each in chosen for edit in each.edits]
        if file.endswith(".ipynb"):
            notebook = read_notebook(source.text)
            after = _mend_notebook(notebook, edits)
            ast.parse(read_notebook(after).without(notebook.broken_cells()))  # cells that were broken stay so
        else:
            after = apply_edits(source.text, edits)
            ast.parse(after)
    except NotTextError as error:
        return Problem(file, f"not mended: {error}")
    except SyntaxError:
        return Problem(file, "not mended: the result would not parse; please report it")
    if after == source.text:
        return None
    return Mended(file, source.text, after, source.encode(after), tuple(chosen))


def _apart(findings: Iterable[Finding]) -> list[Finding]:
    """The findings whose edits touch no place that an earlier one touches."""
    taken: list[Edit] = []
    chosen: list[Finding] = []
    for finding in findings:
        fresh = [edit for edit in finding.edits if edit not in taken]
        if not any(one.start < other.end and other.start < one.end for one in fresh for other in taken):
            chosen.append(finding)
            taken.extend(fresh)
    return chosen


def apply_edits(text: str, edits: Iterable[Edit]) -> str:
    """The text with the edits made; they do not overlap."""
    lines = split_lines(text)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))

    def offset(place: tuple[int, int]) -> int:
        line, column = place
        return starts[line - 1] + len(lines[line - 1].encode("utf-8")[:column].decode("utf-8"))

    newline = "\r\n" if "\r\n" in text else "\n"
    for edit in sorted(set(edits), reverse=True):
        text = text[: offset(edit.start)] + edit.text.replace("\n", newline) + text[offset(edit.end) :]
    return text


def _mend_notebook(notebook: Notebook, edits: Iterable[Edit]) -> str:
    """The notebook with only the strings changed in which something is mended; an edit over several is left out."""
    changes: dict[Token, list[tuple[int, int, str]]] = {}
    lines = split_lines(notebook.text)
    for edit in set(edits):
        first, last = notebook.lines[edit.start[0] - 1], notebook.lines[edit.end[0] - 1]
        if first.token != last.token:
            continue
        at = [
            origin.offset + len(lines[line - 1].encode("utf-8")[:column].decode("utf-8"))
            for origin, (line, column) in ((first, edit.start), (last, edit.end))
        ]
        changes.setdefault(first.token, []).append((at[0], at[1], edit.text))
    raw = notebook.raw
    for token in sorted(changes, reverse=True):
        value = token.value
        for start, end, text in sorted(changes[token], reverse=True):
            value = value[:start] + text + value[end:]
        raw = raw[: token.start] + json.dumps(value, ensure_ascii=raw.isascii()) + raw[token.end :]
    return raw


def difference(mended: Mended) -> str:
    """The change as a unified diff."""
    import difflib

    name = _header(mended.file.replace(os.sep, "/"))
    before, after = ([line for line in split_lines(text) if line] for text in (mended.before, mended.after))
    made = difflib.unified_diff(before, after, fromfile=name, tofile=name, lineterm="\n")
    return "".join(line if line.endswith(("\n", "\r")) else f"{line}\n\\ No newline at end of file\n" for line in made)


def _header(name: str) -> str:
    """A file's name as a diff has it: in quotes and with escapes where it could end its line.

    Source: git, Documentation/diff-format.txt, and GNU diffutils, which read such names.
    """
    if name.isprintable() and not set(name) & set('"\\'):
        return name
    return '"' + "".join(_octal(each) for each in name) + '"'


def _octal(character: str) -> str:
    if character in ('"', "\\"):
        return f"\\{character}"
    if character.isprintable():
        return character
    return "".join(f"\\{byte:03o}" for byte in name_bytes(character))


def write(mended: Mended) -> Problem | None:
    """Put the new text in place of the file at once, with the mode it had; of a link, in place of what it names."""
    try:
        write_bytes(mended.file, mended.data)
    except OutputError as error:
        return Problem(mended.file, f"{error.what}\n  {error.hint}")
    return None
