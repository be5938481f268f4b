"""Where in the user's source something happens, read off the Python stack.

The user's line is the innermost frame outside torch, the standard library and opscan itself: for a module it
is the line that built it or called it, in the user's own code or in the library the model comes from.
"""

from __future__ import annotations

import ast
import inspect
import linecache
import os
import re
import sys
import sysconfig
import textwrap
import tokenize
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import torch
from torch import nn

from opscan.trace.graph import SourceLine

_OPSCAN = str(Path(__file__).parents[1]) + os.sep
_TRACER = str(Path(__file__).parent) + os.sep
_EXAMPLES = str(Path(_OPSCAN, "examples")) + os.sep
_TORCH = str(Path(torch.__file__).parent) + os.sep
_FUNCTIONAL = str(Path(_TORCH, "nn", "functional.py"))
_LAUNCHERS = os.sep + os.path.join("triton", "runtime") + os.sep
_STDLIB = sysconfig.get_path("stdlib") + os.sep

_ENGINE = torch.autograd.graph._engine_run_backward.__code__
"""Below this frame runs what backward runs: hooks and backward methods of the user's, or an op of autograd's own."""

_USER, _LIBRARY, _PUBLIC, _DRIVER = range(4)
_kinds: dict[str, int] = {}

CONSTRUCTED = "_opscan_constructed"
"""Attribute under which a module built by opscan remembers its construction site (deep copies keep it)."""


def _kind_of(filename: str) -> int:
    if filename == _FUNCTIONAL:
        kind = _PUBLIC
    elif filename.startswith(_OPSCAN) and not filename.startswith(_EXAMPLES):
        kind = _LIBRARY if filename.startswith(_TRACER) and not filename.endswith("driver.py") else _DRIVER
    elif (
        filename.startswith((_TORCH, "<frozen"))
        or _LAUNCHERS in filename
        or (filename.startswith(_STDLIB) and "-packages" not in filename)
    ):
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
        if kind == _DRIVER or code is _ENGINE:
            break
        frame = frame.f_back
    return None, functions


def is_users(frame: FrameType) -> bool:
    """Whether a frame runs code of the user's, or of a library that is neither torch's nor Python's own."""
    kind = _kinds.get(frame.f_code.co_filename)
    return (_kind_of(frame.f_code.co_filename) if kind is None else kind) == _USER


def users_frame(frame: FrameType | None) -> FrameType | None:
    """The nearest frame of the user's code, seen from `frame` outwards; None outside of it."""
    while frame is not None and not is_users(frame):
        frame = frame.f_back
    return frame


def place_of(frame: FrameType | None) -> tuple[CodeType, int] | None:
    """The call in the user's code, seen from `frame` outwards: two on one line are two places. None outside of it."""
    found = users_frame(frame)
    return None if found is None else (found.f_code, found.f_lasti)


@contextmanager
def recorded_construction() -> Iterator[None]:
    """While active, every nn.Module built remembers the user's line that built it."""
    original = nn.Module.__init__

    def remember(self: nn.Module, *args: Any, **kwargs: Any) -> None:
        line, _ = look_out(_builder(sys._getframe(1), self))
        original(self, *args, **kwargs)
        self.__dict__[CONSTRUCTED] = line

    nn.Module.__init__ = remember  # type: ignore[method-assign]  # put back below
    try:
        yield
    finally:
        nn.Module.__init__ = original  # type: ignore[method-assign]  # as it was


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
        if owner is None:
            continue
        codes = [_init_code(cls) for cls in type(owner).__mro__ if "__init__" in cls.__dict__]
        users = [code for code in codes if _kind_of(code.co_filename) == _USER]
        for code in users:
            if (found := _assignment_line(code, tuple(names[split:]), modules[path])) is not None:
                return found
        if users:
            return None
    return None


@cache
def stock_class(cls: type) -> str:
    """The public name of torch's own class whose forward `cls` runs, as "torch.nn.Conv2d"; "" for another's forward."""
    runs = next(base for base in cls.__mro__ if "forward" in base.__dict__)
    if not runs.__module__.startswith("torch.nn."):
        return ""
    return next((f"torch.nn.{base.__name__}" for base in cls.__mro__ if getattr(nn, base.__name__, None) is base), "")


def _init_code(cls: type) -> CodeType:
    init = inspect.unwrap(cls.__init__)  # type: ignore[misc]  # that very class's own is wanted
    return getattr(init, "__code__", nn.Module.__init__.__code__)


def _assignment_line(code: CodeType, names: tuple[str, ...], module: nn.Module) -> SourceLine | None:
    """The line that sets self.NAME in an __init__, or of the element a longer path points at within it.

    Of several the one that calls the module's class by name is taken.
    """
    found = [value for target, value in _self_assignments(code) if _names(target, names[0])]
    if not found:
        return None
    if len(names) == 1:
        found.sort(key=lambda value: not _calls(value, type(module).__name__))
    value = _descend(found[0], names[1:])
    return SourceLine(code.co_filename, code.co_firstlineno + value.lineno - 1)


def _names(target: ast.expr, name: str) -> bool:
    """Whether a target may be self.NAME: an attribute, a text, or a text with parts that are computed."""
    if isinstance(target, ast.Attribute):
        return target.attr == name
    if isinstance(target, ast.Constant):
        return bool(target.value == name)
    if isinstance(target, ast.JoinedStr):
        parts = (re.escape(str(part.value)) if isinstance(part, ast.Constant) else ".*" for part in target.values)
        return re.fullmatch("".join(parts), name) is not None
    return False


def _calls(value: ast.expr, name: str) -> bool:
    function = value.func if isinstance(value, ast.Call) else None
    return name in (getattr(function, "attr", None), getattr(function, "id", None))


@lru_cache(maxsize=256)
def _self_assignments(code: CodeType) -> tuple[tuple[ast.expr, ast.expr], ...]:
    """(target, value) of each assignment, setattr and add_module in an __init__."""
    try:
        lines = inspect.getblock(linecache.getlines(code.co_filename)[code.co_firstlineno - 1 :])
        tree = ast.parse(textwrap.dedent("".join(lines)))
    except (SyntaxError, IndexError, OSError, tokenize.TokenError):
        return ()
    return tuple(pair for node in ast.walk(tree) for pair in _pairs(node))


def _pairs(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr]]:
    if isinstance(node, ast.AnnAssign) and node.value is not None:
        yield node.target, node.value
    elif isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
                yield from zip(target.elts, node.value.elts, strict=False)
            elif isinstance(target, ast.Tuple):
                yield from ((each, node.value) for each in target.elts)
            else:
                yield target, node.value
    elif isinstance(node, ast.Call) and len(node.args) >= 2:
        called = getattr(node.func, "id", getattr(node.func, "attr", None))
        if called in ("setattr", "add_module", "register_module"):
            yield node.args[-2], node.args[-1]


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
