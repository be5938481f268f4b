"""Python source as nobody writes it: real files with tokens, lines and parts of the syntax tree exchanged, and garbage.

`python -m tests.fuzz.sources 100000` lints so many; what raises is printed with its seed. It takes two hours or so.
"""

from __future__ import annotations

import ast
import json
import os
import re
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Sequence
from copy import deepcopy
from functools import cache
from pathlib import Path
from random import Random

from opscan.lint import output
from opscan.lint.engine import LARGEST_BYTES, Options, lint_source
from opscan.lint.finding import FileResult
from opscan.lint.fix import Mended, difference, mend
from opscan.lint.rule import RULES
from opscan.lint.rules import load_all
from opscan.lint.sarif import render_sarif
from opscan.lint.words import read_words
from tests.fuzz.bounded import ended
from tests.fuzz.corruption import damaged

load_all()
EVERY = Options(tuple(RULES.values()))
_TOKEN = re.compile(r"\w+|\s+|[^\w\s]")
_WORDS = (
    "torch", "np", "random", "seed", "self", "lambda", "async ", "await ", "yield", "*", "**", ":=", "@", "...", "(",
    ")", "[", "]", "{", "}", ":", ",", "=", ".", "->", "\\\n", "\n", "\n    ", "\t", "f'{", "}'", "'''", "#", "# noqa",
    "\r", "\x0c", "\u2028", "é", "\uff54orch", "\x00", "0x", "1_", "1e999", "None", "match x:\n    case _: ",
    "global torch\n", "nonlocal x\n", "del torch\n", "from . import *\n", "import torch as torch.nn\n",
    "type X = int\n", "except* E:\n",
)  # fmt: skip
_LONGEST = 10_000
"""Bytes of a file that is taken whole; of longer ones a part is taken."""


@cache
def rule_examples() -> tuple[str, ...]:
    """What the rules speak of, and what is like it: their own cases."""
    return tuple(case.code for words in read_words().values() for case in (*words.flag, *words.ok))


@cache
def files(folders: tuple[str, ...] = ()) -> tuple[Path, ...]:
    """Python files of the standard library, of torch and of these tests, or of the folders."""
    homes = [Path(each) for each in folders] or [Path(os.__file__).parent, _torch(), Path(__file__).parents[1]]
    return tuple(sorted(path for home in homes for path in home.rglob("*.py")))


def _torch() -> Path:
    from importlib.util import find_spec

    found = find_spec("torch")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent


def drawn(random: Random) -> tuple[bytes, str]:
    """A file that never was, with a name."""
    text = _text(random)
    for _ in range(random.choice((1, 1, 2, 4))):
        text = random.choice((_tokens, _tokens, _lines, _spliced, _spliced, _tree, _tree, _tree))(text, random)
    data = text.encode("utf-8", random.choice(("replace", "surrogatepass")))
    kind = random.random()
    if kind < 0.12:
        return damaged(data, random), "x.py"
    if kind < 0.22:
        return as_notebook(text, random), "x.ipynb"
    if kind < 0.25:
        return random.randbytes(random.randrange(400)) + b"torch random seed", random.choice(("x.py", "x.ipynb"))
    return data, "x.py"


def _text(random: Random) -> str:
    if random.random() < 0.5:
        return random.choice(rule_examples())
    data = random.choice(files()).read_bytes()
    if len(data) > _LONGEST:
        lines = data.splitlines(keepends=True)
        at = random.randrange(len(lines))
        data = b"".join(lines[at : at + 120])
    return data.decode("utf-8", "replace")


def _tokens(text: str, random: Random) -> str:
    found = _TOKEN.findall(text) or [""]
    for _ in range(random.choice((1, 1, 2, 5))):
        at = random.randrange(len(found))
        match random.randrange(5):
            case 0:
                found[at] = ""
            case 1:
                found[at] += found[at]
            case 2:
                other = random.randrange(len(found))
                found[at], found[other] = found[other], found[at]
            case 3:
                found[at] = random.choice(_WORDS)
            case _:
                found[at] += random.choice(_WORDS)
    return "".join(found)


def _lines(text: str, random: Random) -> str:
    found = text.splitlines(keepends=True) or [""]
    at = random.randrange(len(found))
    match random.randrange(4):
        case 0:
            del found[at : at + random.choice((1, 3))]
        case 1:
            found[at] = random.choice(("    ", "\t", "if x:\n    ", "")) + found[at].lstrip()
        case 2:
            random.shuffle(found)
        case _:
            found[at:at] = found[random.randrange(len(found)) :][:5]
    return "".join(found)


def _spliced(text: str, random: Random) -> str:
    """Another source within this one, at the depth of the line where it is put."""
    found = text.splitlines(keepends=True) or [""]
    at = random.randrange(len(found))
    depth = len(found[at]) - len(found[at].lstrip(" "))
    other = random.choice(rule_examples()).splitlines(keepends=True)
    return "".join([*found[:at], *(" " * depth + line for line in other), *found[at:]])


def _tree(text: str, random: Random) -> str:
    """The source of the syntax tree in which expressions or statements have changed places."""
    tree = parsed(text)
    if tree is None:
        return _tokens(text, random)
    holders = [
        (node, name, at)
        for node in ast.walk(tree)
        for name, value in ast.iter_fields(node)
        for at in (range(len(value)) if isinstance(value, list) else (None,))
        if isinstance(value if at is None else value[at], ast.expr | ast.stmt)
    ]
    if len(holders) < 2:
        return text
    for _ in range(random.choice((1, 2, 4))):
        one = random.choice(holders)
        kind = ast.expr if isinstance(_held(one), ast.expr) else ast.stmt
        other = _held(random.choice([each for each in holders if isinstance(_held(each), kind)]))
        _put(one, deepcopy(other))  # what holds itself would have no end
    try:
        return ast.unparse(tree)
    except (ValueError, TypeError, AttributeError, RecursionError):  # no such tree can be written
        return text


def _held(holder: tuple[ast.AST, str, int | None]) -> ast.AST:
    node, name, at = holder
    value = getattr(node, name)
    found: ast.AST = value if at is None else value[at]
    return found


def _put(holder: tuple[ast.AST, str, int | None], other: ast.AST) -> None:
    node, name, at = holder
    if at is None:
        setattr(node, name, other)
    else:
        getattr(node, name)[at] = other


def parsed(text: str) -> ast.Module | None:
    """The syntax tree; None where it has none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def as_notebook(text: str, random: Random) -> bytes:
    """The source in cells of a notebook, here and there damaged."""
    lines = text.splitlines(keepends=True)
    cells = []
    while lines:
        size = random.randrange(1, 12)
        source: str | list[str] = lines[:size] if random.random() < 0.8 else "".join(lines[:size])
        cells.append({"cell_type": random.choice(("code", "code", "markdown")), "source": source})
        del lines[:size]
    data = json.dumps({"nbformat": 4, "cells": cells}, ensure_ascii=random.random() < 0.5).encode("utf-8", "replace")
    return damaged(data, random) if random.random() < 0.3 else data


def lint_whole(data: bytes, file: str) -> FileResult:
    """Lint it with every rule, mend what can be mended, and write it down in every format."""
    with ended():
        result = lint_source(data, file, EVERY)
        problems = [] if result.problem is None else [result.problem]
        for render in (output.render_json, output.render_text):
            render(result.findings).encode()
        for report in (output.render_github, render_sarif):
            report(result.findings, problems).encode()
        mended = mend(file, data, result.findings)
        if isinstance(mended, Mended):
            difference(mended)
        assert mended is None or isinstance(mended, Mended), str(mended)
    return result


def main(words: Sequence[str]) -> int:
    """Lint so many inputs, from a seed on; tell what raised."""
    warnings.simplefilter("ignore")
    count, first = (int(word) for word in [*words, "0"][:2])
    bugs: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    started = time.perf_counter()
    for seed in range(first, first + count):
        data, file = drawn(Random(seed))
        if len(data) > LARGEST_BYTES:
            continue
        try:
            result = lint_whole(data, file)
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            bugs[_told(error)] += 1
            if bugs[_told(error)] <= 3:
                print(f"seed {seed}: {_told(error)}", flush=True)
            continue
        counts["not parsed" if result.problem else "clean" if not result.findings else "findings"] += 1
    print(f"{count} inputs, {dict(counts)}, {sum(bugs.values())} raised, {time.perf_counter() - started:.0f} s")
    return bool(bugs)


def _told(error: BaseException) -> str:
    frames: Iterable[str] = (f"{Path(each.filename).name}:{each.lineno}" for each in _frames(error))
    return f"{type(error).__name__} {str(error)[:80]} at {' '.join(frames)}"


def _frames(error: BaseException) -> list[object]:
    import traceback

    return [each for each in traceback.extract_tb(error.__traceback__) if "/opscan/" in each.filename][-2:]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
