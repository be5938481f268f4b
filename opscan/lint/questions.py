"""Questions about a file that several rules ask."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from opscan.lint.module import Module
from opscan.lint.records import Call
from opscan.lint.scopes import Frame

STRICT = "torch.use_deterministic_algorithms"
_NEURAL = ("torch.nn.", "lightning.pytorch.LightningModule", "keras.Model", "tensorflow.keras.Model")
DEVICE_WORDS = frozenset(("cuda", "is_available", "device", "device_count", "gpu", "gpus", "use_cuda", "n_gpu"))


class EnvironmentWrite(NamedTuple):
    """A place where an environment variable is set: `value` None where it is not said there."""

    name: str
    value: ast.expr | None
    node: ast.expr
    frame: Frame


def environment_writes(module: Module) -> list[EnvironmentWrite]:
    """Every place where the file sets a variable for itself and the processes it starts."""
    if "environment" not in module.cache:
        module.cache["environment"] = list(_environment_writes(module))
    found: list[EnvironmentWrite] = module.cache["environment"]
    return found


def _environment_writes(module: Module) -> Iterator[EnvironmentWrite]:
    for each in module.assignments:
        if isinstance(each.target, ast.Subscript) and module.resolve(each.target.value, each.frame) == "os.environ":
            name = module.literal(each.target.slice, each.frame)
            if isinstance(name, str):
                yield EnvironmentWrite(name, each.value, each.target, each.frame)
    for call in module.calls("os.environ.setdefault", "os.putenv"):
        name = module.literal(call.argument("key", 0), call.frame)
        if isinstance(name, str):
            yield EnvironmentWrite(name, call.argument("value", 1), call.node, call.frame)
    for call in module.calls("os.environ.update"):
        for keyword in call.node.keywords:
            if keyword.arg:
                yield EnvironmentWrite(keyword.arg, keyword.value, keyword.value, call.frame)
        for table in call.node.args:
            if isinstance(table, ast.Dict):
                for key, value in zip(table.keys, table.values, strict=True):
                    if isinstance(key, ast.Constant) and isinstance(key.value, str):
                        yield EnvironmentWrite(key.value, value, value, call.frame)


def strict_calls(module: Module) -> Iterator[Call]:
    """Calls that turn strict mode on for certain, so that it raises and does not only warn."""
    for call in module.calls(STRICT):
        warns = call.keyword("warn_only")
        is_strict = warns is None or module.literal(warns, call.frame) is False
        if is_strict and module.literal(call.argument("mode", 0), call.frame) is True:
            yield call
    for call in module.calls("torch.set_deterministic_debug_mode"):
        if module.literal(call.argument("debug_mode", 0), call.frame) in (2, "error"):
            yield call


def words_of(node: ast.AST) -> set[str]:
    """The names, attributes and texts in an expression."""
    found: set[str] = set()
    for each in ast.walk(node):
        if isinstance(each, ast.Name):
            found.add(each.id)
        elif isinstance(each, ast.Attribute):
            found.add(each.attr)
        elif isinstance(each, ast.Constant) and isinstance(each.value, str):
            found.add(each.value)
    return found


def tests_around(frame: Frame) -> Iterator[ast.expr]:
    """The conditions under which a block runs, within its function."""
    for each in frame.inside():
        if isinstance(each.node, ast.If | ast.While):
            yield each.node.test


def is_chosen(frame: Frame) -> bool:
    """Whether somebody decides if the block runs: a condition around it that does not only ask for a device."""
    return any(not isinstance(test, ast.Constant) and not words_of(test) & DEVICE_WORDS for test in tests_around(frame))


def loops_around(frame: Frame) -> list[ast.For | ast.AsyncFor | ast.While]:
    """The loops a block runs in, within its function, the innermost first."""
    return [each.node for each in frame.inside() if isinstance(each.node, ast.For | ast.AsyncFor | ast.While)]


def bases_of(module: Module, node: ast.ClassDef) -> list[str]:
    """What a class is derived from, through the classes of the file itself; "?" for what cannot be told."""
    names: list[str] = []
    queue, seen = [node], {node.name}
    while queue:
        each = queue.pop()
        scope = module.scopes[each].parent or module.scope
        for base in each.bases:
            name = module.resolve(base, Frame("module", each, None, scope)) or "?"
            names.append(name)
            parent = module.classes.get(name[1:]) if name.startswith("@") else None
            if parent is not None and parent.name not in seen:
                seen.add(parent.name)
                queue.append(parent)
    return names


def is_neural(module: Module, node: ast.ClassDef) -> bool:
    """Whether a class is an nn.Module, by a base or by having a `forward` of its own."""
    known: dict[ast.ClassDef, bool] = module.cache.setdefault("neural", {})
    if node not in known:
        has_forward = any(isinstance(each, ast.FunctionDef) and each.name == "forward" for each in node.body)
        known[node] = has_forward or any(name.startswith(_NEURAL) for name in bases_of(module, node))
    return known[node]


def method_names(node: ast.ClassDef) -> set[str]:
    """The methods that a class defines itself."""
    return {each.name for each in node.body if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)}


def source_of(module: Module, node: ast.AST) -> str:
    """How an expression is written, on one line."""
    return ast.unparse(node)
