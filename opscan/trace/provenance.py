"""Where in the user's source something happens, read off the Python stack.

The user's line is the innermost frame outside torch, the standard library and opscan itself: for a module it
is the line that built it or called it, in the user's own code or in the library the model comes from.
"""

from __future__ import annotations

import ast
import inspect
import linecache
import sys
import sysconfig
import textwrap
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import torch
from torch import nn

from opscan.trace.graph import SourceLine

_OPSCAN = str(Path(__file__).parents[1])
_TRACER = str(Path(__file__).parent)
_EXAMPLES = str(Path(_OPSCAN, "examples"))
_TORCH = str(Path(torch.__file__).parent)
_FUNCTIONAL = str(Path(_TORCH, "nn", "functional.py"))
_STDLIB = sysconfig.get_path("stdlib")

_USER, _LIBRARY, _PUBLIC, _DRIVER = range(4)
_kinds: dict[str, int] = {}

CONSTRUCTED = "_opscan_constructed"
"""Attribute under which a module built by opscan remembers its construction site (deep copies keep it)."""


def _kind_of(filename: str) -> int:
    if filename == _FUNCTIONAL:
        kind = _PUBLIC
    elif filename.startswith(_OPSCAN) and not filename.startswith(_EXAMPLES):
        kind = _LIBRARY if filename.startswith(_TRACER) and not filename.endswith("driver.py") else _DRIVER
    elif filename.startswith((_TORCH, "<frozen")) or (filename.startswith(_STDLIB) and "-packages" not in filename):
        kind = _LIBRARY
    else:
        kind = _USER
    _kinds[filename] = kind
    return kind


def look_out(frame: FrameType | None) -> tuple[SourceLine | None, tuple[str, ...]]:
    """The user's line seen from `frame` outwards, and the torch.nn.functional functions passed on the way.

    Functions come outermost first. The search ends at the frame of opscan's that runs the model or builds it: code
    outside it (the notebook cell that called opscan) is not the model's.
    """
    functions: tuple[str, ...] = ()
    while frame is not None:
        code = frame.f_code
        kind = _kinds.get(code.co_filename)
        if kind is None:
            kind = _kind_of(code.co_filename)
        if kind == _USER:
            return SourceLine(code.co_filename, frame.f_lineno), functions
        if kind == _PUBLIC and code.co_name[0] not in "_<":
            functions = (f"torch.nn.functional.{code.co_name}", *functions)
        if kind == _DRIVER:
            break
        frame = frame.f_back
    return None, functions


@contextmanager
def recorded_construction() -> Iterator[None]:
    """While active, every nn.Module built remembers the user's line that built it."""
    original = nn.Module.__init__

    def remember(self: nn.Module, *args: Any, **kwargs: Any) -> None:
        line, _ = look_out(_builder(sys._getframe(1), self))
        original(self, *args, **kwargs)
        self.__dict__[CONSTRUCTED] = line

    nn.Module.__init__ = remember  # type: ignore[method-assign]
    try:
        yield
    finally:
        nn.Module.__init__ = original  # type: ignore[method-assign]


def _builder(frame: FrameType | None, module: nn.Module) -> FrameType | None:
    """The frame that builds `module`: the first one that is not an __init__ of its own class or a base of it."""
    while frame is not None and frame.f_code.co_name == "__init__":
        if frame.f_locals.get(frame.f_code.co_varnames[0]) is not module:
            break
        frame = frame.f_back
    return frame


def construction_site(modules: Mapping[str, nn.Module], path: str) -> SourceLine | None:
    """Where the module at `path` was built: as recorded, or else as the source of its owner's __init__ says.

    `modules` are a model's modules by their paths.
    """
    attributes = modules[path].__dict__
    if CONSTRUCTED in attributes:
        line: SourceLine | None = attributes[CONSTRUCTED]
        return line
    names = path.split(".") if path else []
    for split in range(len(names) - 1, -1, -1):
        owner = modules.get(".".join(names[:split]))
        if owner is not None and _kind_of(_init_code(type(owner)).co_filename) == _USER:
            return _assignment_line(_init_code(type(owner)), tuple(names[split:]))
    return None


def _init_code(cls: type) -> CodeType:
    init = inspect.unwrap(cls.__init__)  # type: ignore[misc]
    return getattr(init, "__code__", nn.Module.__init__.__code__)


def _assignment_line(code: CodeType, names: tuple[str, ...]) -> SourceLine | None:
    """The line of `self.NAME = ...` in an __init__, or of the element a longer path points at within it."""
    for statement in _self_assignments(code):
        for target in statement.targets:
            if isinstance(target, ast.Attribute) and target.attr == names[0]:
                found = _descend(statement.value, names[1:])
                return SourceLine(code.co_filename, code.co_firstlineno + found.lineno - 1)
    return None


@lru_cache(maxsize=256)
def _self_assignments(code: CodeType) -> tuple[ast.Assign, ...]:
    try:
        lines = inspect.getblock(linecache.getlines(code.co_filename)[code.co_firstlineno - 1 :])
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (SyntaxError, IndexError, OSError):
        return ()
    return tuple(node for node in ast.walk(tree) if isinstance(node, ast.Assign))


def _descend(value: ast.expr, names: tuple[str, ...]) -> ast.expr:
    """Follow indices through nn.Sequential(a, b) and nn.ModuleList([a, b]) as far as the source spells them out."""
    for name in names:
        if not (isinstance(value, ast.Call) and name.isdigit()):
            break
        elements = value.args
        if len(elements) == 1 and isinstance(elements[0], ast.List | ast.Tuple):
            elements = elements[0].elts
        if int(name) >= len(elements) or any(isinstance(element, ast.Starred) for element in elements):
            break
        value = elements[int(name)]
    return value
