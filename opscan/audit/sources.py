"""Signs in Python sources: who reads a determinism flag, who writes a Triton atomic, which ops are declared.

The sources are parsed, never imported.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator

from opscan.audit.signs import Kind, Sign

FLAG_READS = frozenset(
    {
        "are_deterministic_algorithms_enabled",
        "is_deterministic_algorithms_warn_only_enabled",
        "get_deterministic_debug_mode",
        "fill_uninitialized_memory",
        "alert_not_deterministic",
        "alertNotDeterministic",
        "_get_deterministic_algorithms",
        "_get_deterministic_algorithms_warn_only",
        "_get_deterministic_fill_uninitialized_memory",
        "_get_cudnn_deterministic",
        "_get_mkldnn_deterministic",
    }
)
"""Names whose reading is reading a determinism flag, or which raise under it (torch/__init__.py, torch/_C)."""

FLAG_OWNERS = frozenset({"config", "cudnn"})
"""`config.deterministic` (torch/_inductor/config.py) and `cudnn.deterministic` (torch/backends/cudnn)."""

FLAG_KEYS = FLAG_READS | {"deterministic"}
"""The same flags where they were written into a dictionary (`inductor_meta["are_deterministic_..."]`)."""

_MARKS = re.compile(rb"eterministic|fill_uninitialized_memory|\batomic_\w")
_ATOMIC = r"atomic_(add|cas|xchg|max|min|and|or|xor)"
_TRITON_ATOMIC = re.compile(_ATOMIC)
_ATOMIC_IN_TEXT = re.compile(rf"\btl\.{_ATOMIC}\(")
_READ_IN_TEXT = re.compile(
    rf"\b({'|'.join(sorted(FLAG_READS))}|deterministic(Algorithms|CuDNN|FillUninitializedMemory)\w*)\("
)
_DECLARES = re.compile(rb"custom_op|triton_op|Library\(|torch\.library")
_CALLED_OP = re.compile(rb"\btorch\.ops\.(\w+)\.(\w+)")
_OP = re.compile(rb"""["']([A-Za-z_]\w*)::([A-Za-z_]\w*(?:\.\w+)?)(?=["'(])""")


def read_source(path: str, source: bytes) -> tuple[list[Sign], set[str]]:
    """The signs of one file, named `path:function`, and the ops it names as `namespace.op`.

    A file that is not Python (a template, another version's syntax) has no signs.
    """
    declares = _DECLARES.search(source) is not None
    ops = {f"{match[1].decode()}.{match[2].decode()}" for match in _OP.finditer(source)} if declares else set()
    if path.startswith("torch/"):
        # Ops of torch are defined with bare names in C++; that its Python calls one shows the namespace.
        ops |= {f"{match[1].decode()}.{match[2].decode()}" for match in _CALLED_OP.finditer(source)}
    if not _MARKS.search(source):
        return [], ops
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return [], ops
    nodes = list(_walk(tree))
    found = {(kind, f"{path}:{where}") for where, node in nodes for kind in _kinds(node)}
    if not path.startswith("torch/"):
        # torch's own Python alerts repeat those of its kernels; a package may have no other.
        found |= {("alert", text) for _, node in nodes for text in _alerts(node)}
    return [Sign(kind, name, (path,)) for kind, name in sorted(found)], ops


def top_level_names(source: bytes) -> set[str]:
    """Functions and variables a module defines at its top level."""
    found = set()
    for node in ast.parse(source).body:
        match node:
            case ast.FunctionDef(name=name):
                found.add(name)
            case ast.Assign(targets=[ast.Name(id=name)]):
                found.add(name)
    return found


def _walk(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """Every node but docstrings, with the qualified name of the function or class around it."""
    waiting: list[tuple[str, ast.AST]] = [("", tree)]
    while waiting:
        where, node = waiting.pop()
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
                continue
            inside = where
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                inside = f"{where}.{child.name}" if where else child.name
            yield inside or "<module>", child
            waiting.append((inside, child))


def _alerts(node: ast.AST) -> Iterator[str]:
    """The literal of `alert_not_deterministic("...")`."""
    match node:
        case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name), args=[ast.Constant(value=str(text))]):
            if name in ("alert_not_deterministic", "alertNotDeterministic"):
                yield text


def _kinds(node: ast.AST) -> Iterator[Kind]:
    match node:
        case ast.Attribute(attr=name, ctx=ast.Load()) | ast.Name(id=name, ctx=ast.Load()) if name in FLAG_READS:
            yield "python"
        case ast.Attribute(attr="deterministic", value=ast.Attribute(attr=owner) | ast.Name(id=owner), ctx=ast.Load()):
            if owner in FLAG_OWNERS:
                yield "python"
        case ast.Attribute(attr=name, value=ast.Name(id="tl") | ast.Attribute(attr="language")):
            if _TRITON_ATOMIC.fullmatch(name):
                yield "triton"
        case (
            ast.Subscript(slice=ast.Constant(value=str(key)), ctx=ast.Load())
            | ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(value=str(key)), *_])
        ) if key in FLAG_KEYS:
            yield "python"
        case ast.Constant(value=str(text)):
            # Source that the function writes: C++ of an AOT kernel, Python of a compiled wrapper, a Triton kernel.
            if _READ_IN_TEXT.search(text):
                yield "python"
            if _ATOMIC_IN_TEXT.search(text):
                yield "triton"
