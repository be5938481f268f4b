"""The same program in other words: written anew from its syntax tree, and with other names for what it names itself.

`python -m tests.fuzz.rewritten FOLDER...` compares what the rules say of each file before and after.
"""

from __future__ import annotations

import ast
import builtins
import re
import sys
import time
import warnings
from collections import Counter
from collections.abc import Sequence

from opscan.lint.finding import FileResult
from tests.fuzz.sources import files, lint_whole, parsed

_NOQA = re.compile(r"#\s*noqa", re.IGNORECASE)
READS_COMMENTS = {"OPL402"}
"""Rules that a comment silences, as one that names Monte Carlo dropout."""
Counts = Counter[str]


def counts(text: str, file: str = "x.py") -> Counts | None:
    """How often each rule speaks; None where the file is not judged."""
    result = lint_whole(text.encode("utf-8", "surrogatepass"), file)
    return None if result.problem else counted(result)


def counted(result: FileResult) -> Counts:
    """How often each rule speaks, but for those that comments silence."""
    return Counter(each.code for each in result.findings if each.code not in READS_COMMENTS)


def is_comparable(text: str) -> bool:
    """Whether nothing but syntax tells what is found: comments can silence rules."""
    return not _NOQA.search(text)


def reformatted(tree: ast.Module) -> str:
    """The source that Python writes for a tree: other lines, quotes and parentheses, no comments."""
    return ast.unparse(tree)


def renamed(tree: ast.Module) -> str:
    """The source with other names for all variables that are only assigned and read, and for modules as imported."""
    names = _own_names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in names:
            node.id = names[node.id]
        elif isinstance(node, ast.alias) and node.asname in names:
            node.asname = names[node.asname]
        elif isinstance(node, ast.Global | ast.Nonlocal):
            node.names = [names.get(each, each) for each in node.names]
    return ast.unparse(tree)


def _own_names(tree: ast.Module) -> dict[str, str]:
    """New names for what is bound as a variable or `import ... as` and in no way besides, and never as a text."""
    bound, other = set(), set(dir(builtins)) | {"__all__"}
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()):
                (other if name.startswith("__") else bound).add(name)
            case ast.alias(name=name, asname=asname):
                (bound if asname else other).add(asname or name.partition(".")[0])
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                other.add(name)
            case ast.arg(arg=name) | ast.keyword(arg=str(name)) | ast.Attribute(attr=name):
                other.add(name)
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                other.add(name)
            case ast.Constant(value=str(text)) if text.isidentifier():
                other.add(text)
    return {name: f"v{at}_" for at, name in enumerate(sorted(bound - other))}


def main(folders: Sequence[str]) -> int:
    """Lint every file of the folders, as it is, reformatted and renamed; tell where that differs."""
    warnings.simplefilter("ignore")
    started = time.perf_counter()
    seen, compared, differing, findings = 0, 0, 0, 0
    for path in files(tuple(folders)):
        data = path.read_bytes()
        result = lint_whole(data, str(path))
        seen, findings = seen + 1, findings + len(result.findings)
        text = data.decode("utf-8", "replace")
        tree = parsed(text) if result.findings or "torch" in text else None
        if tree is None or not is_comparable(text):
            continue
        compared += 1
        before = counted(result)
        for rewrite in (reformatted, renamed):
            after = counts(rewrite(tree), str(path))
            if after != before:
                differing += 1
                print(f"{path}: {rewrite.__name__}: {dict(before)} {after and dict(after)}", flush=True)
    print(f"{seen} files, {findings} findings, {compared} rewritten twice, {differing} judged otherwise, "
          f"{time.perf_counter() - started:.0f} s")  # fmt: skip
    return bool(differing)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
