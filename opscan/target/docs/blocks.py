"""The code in a text of documentation: fenced, after `>>>`, or indented; what is not Python is left out."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator
from textwrap import dedent

_FENCED = re.compile(r"^[ \t]*(?:```|~~~)[^\n]*\n(.*?)^[ \t]*(?:```|~~~)", re.DOTALL | re.MULTILINE)
_PROMPT = re.compile(r"^\s*(?:>>>|\.\.\.)(?: (.*))?$")
_CLOSING = (")", "]", "}", "else", "elif", "except", "finally")

Block = tuple[ast.stmt, ...]


def code_blocks(text: str, mentioning: str) -> Iterator[Block]:
    """The blocks of code that call `mentioning`, each as the statements in it that are Python."""
    called = re.compile(rf"\b{re.escape(mentioning)}\s*\(")
    for code in _pieces(text):
        if called.search(code) and (statements := read_statements(code)):
            yield statements


def _pieces(text: str) -> Iterator[str]:
    fenced = [dedent(match[1]) for match in _FENCED.finditer(text)]
    prompts = [match[1] or "" for match in map(_PROMPT.match, text.splitlines()) if match]
    if fenced or prompts:
        yield from (_without_prompts(code) for code in fenced)
        yield "\n".join(prompts)
    else:
        yield from _indented(text)


def _without_prompts(code: str) -> str:
    lines = code.splitlines()
    prompts = [match[1] or "" for match in map(_PROMPT.match, lines) if match]
    return "\n".join(prompts if any(line.lstrip().startswith(">>>") for line in lines) else lines)


def _indented(text: str) -> Iterator[str]:
    """The runs of lines that are indented deeper than the text around them; blank lines do not end one."""
    run: list[str] = []
    for line in [*dedent(text).expandtabs(4).splitlines(), "end"]:
        if line.strip() and not line.startswith(" "):
            yield dedent("\n".join(run))
            run = []
        else:
            run.append(line)


def read_statements(code: str) -> Block:
    """The statements that parse; prose, outputs and elisions between them are left out."""
    whole = _parsed(code)
    return whole if whole else tuple(each for chunk in _chunks(code) for each in _parsed(chunk))


def _parsed(code: str) -> Block:
    try:
        with warnings.catch_warnings():  # of the example's own escapes and comparisons
            warnings.simplefilter("ignore")
            return tuple(ast.parse(code).body)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return ()


def _chunks(code: str) -> Iterator[str]:
    """Each line that is not indented, with the lines that belong to it."""
    chunk: list[str] = []
    for line in code.splitlines():
        if chunk and line.strip() and not line.startswith((" ", *_CLOSING)):
            yield dedent("\n".join(chunk))
            chunk = []
        chunk.append(line)
    yield dedent("\n".join(chunk))
