"""Where an exception came from, as source: the statements and names of each frame it went through."""

from __future__ import annotations

import ast
import itertools
import linecache
import types
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

_OURS = str(Path(__file__).parent.parent)


@dataclass(frozen=True, slots=True)
class Place:
    """One frame. `path` leads from its module down to the statement that was running, `names` are those in the very
    expression that failed, then the others of its statement."""

    frame: types.FrameType
    path: tuple[ast.AST, ...]
    names: tuple[str, ...]


def places_of(error: BaseException) -> tuple[Place, ...]:
    """The frames an exception went through, the innermost first; without those of opscan."""
    found: list[Place] = []
    step = error.__traceback__
    while step is not None:
        file = step.tb_frame.f_code.co_filename
        if not file.startswith(_OURS):
            path = tuple(_path_to(_tree(file), step.tb_lineno))
            found.append(Place(step.tb_frame, path, tuple(dict.fromkeys(_names_at(path, step)))))
        step = step.tb_next
    return tuple(reversed(found))


@lru_cache(maxsize=64)
def _tree(file: str) -> ast.Module:
    try:
        return ast.parse("".join(linecache.getlines(file)))
    except (SyntaxError, ValueError):
        return ast.Module([], [])


def _path_to(tree: ast.AST, line: int) -> Iterator[ast.AST]:
    """The statements around a line, from the outermost on; an `except` clause counts as one."""
    node: ast.AST | None = tree
    while node is not None:
        yield node
        inner = (each for each in ast.iter_child_nodes(node) if isinstance(each, (ast.stmt, ast.excepthandler)))
        node = next((each for each in inner if _covers(each, line)), None)


def _covers(node: ast.stmt | ast.excepthandler, line: int) -> bool:
    decorators = getattr(node, "decorator_list", [])
    first: int = min([node.lineno, *(each.lineno for each in decorators)])
    return first <= line <= (node.end_lineno or node.lineno)


def _names_at(path: tuple[ast.AST, ...], step: types.TracebackType) -> Iterator[str]:
    """The names in the failing expression; `self.width` counts as `width`."""
    span = next(itertools.islice(step.tb_frame.f_code.co_positions(), step.tb_lasti // 2, None), None)
    if span is not None:
        yield from (name for node in ast.walk(path[-1]) if _within(node, span) and (name := name_of(node)))
    if not hasattr(path[-1], "body"):  # what is unpacked is no part of the expression that fails: its targets are
        yield from (name for node in ast.walk(path[-1]) if (name := name_of(node)))


def name_of(node: ast.AST) -> str:
    """The name a node reads: a plain one, or that of an attribute of `self`."""
    if isinstance(node, ast.Name):
        return node.id if node.id != "self" else ""
    of_self = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self"
    return node.attr if of_self and isinstance(node, ast.Attribute) else ""


def _within(node: ast.AST, span: tuple[int | None, int | None, int | None, int | None]) -> bool:
    first, last, column, end = span
    if not isinstance(node, ast.expr) or first is None or last is None:
        return False
    begins, ends = (node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0)
    return begins >= (first, column or 0) and ends <= (last, end or 0)


def value_in(place: Place, name: str) -> object:
    """What the name stands for in the frame: a local, or an attribute of its `self`; None where it is neither."""
    held = place.frame.f_locals
    owner = held.get("self")
    return held[name] if name in held else {**vars(type(owner)), **getattr(owner, "__dict__", {})}.get(name)
