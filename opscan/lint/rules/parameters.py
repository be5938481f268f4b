"""OPL412: parameters made of memory that nothing has written."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from opscan.lint.finding import Hit
from opscan.lint.module import Module
from opscan.lint.questions import bases_of, words_of
from opscan.lint.records import Call
from opscan.lint.rule import rule

_UNWRITTEN = frozenset(f"torch.{each}" for each in (
    "Tensor", "empty", "empty_like", "FloatTensor", "DoubleTensor", "HalfTensor", "cuda.FloatTensor",
))  # fmt: skip
_WALKS = frozenset(("parameters", "named_parameters", "_parameters", "apply", "init_weights", "post_init"))
_WHOLE = frozenset(("uint8", "int8", "int16", "int32", "int64", "int", "long", "short"))
_PURE = frozenset(("Parameter", "register_parameter", "linear", "einsum", "matmul", "bmm", "print", "append"))


_MADE = (
    r"~Parameter\s*\((?:\s|#[^\n]*\n)*(?:data\s*=\s*)?[\w.]*(?:Tensor|empty\w*)\s*\("
    r" or ~Parameter\s+as\b or ~empty\s+as\b or ~Tensor\s+as\b or ~Parameter\s*\n or ~empty\s*\n or ~torch\.Tensor\s*\n"
)
"""nn.Parameter(torch.empty(...)), or a sign that one of the two goes by another name."""


@rule("OPL412", "parameter-uninitialised", "error", ["Parameter", _MADE])
def parameter_uninitialised(module: Module) -> Iterator[Hit]:
    """`nn.Parameter(torch.Tensor(n, m))` that nothing in the file initialises."""
    loaded = {call.frame.class_of_method for call in module.calls("torch.nn.Parameter") if _is_frozen(module, call)}
    for call in module.calls("torch.nn.Parameter"):
        inner = call.argument("data", 0)
        if not isinstance(inner, ast.Call) or not _is_unwritten(module, inner, call):
            continue
        home, name = call.frame.class_of_method, _attribute_given(module, call)
        if home is None or name is None or home in loaded or not _knows_all_bases(module, home):
            continue
        if not _is_initialised(module, home, name) and not _has_initialising_base(module):
            made = ast.unparse(inner.func)
            message = f"the parameter `{name}` is made of `{made}`: memory that nothing has written, nor initialises"
            yield Hit(call.node, message, "call reset_parameters() in __init__, or torch.nn.init on it")


def _is_frozen(module: Module, call: Call) -> bool:
    """Whether a parameter is not trained, as in a quantised layer, which what is loaded fills."""
    return module.literal(call.argument("requires_grad", 1), call.frame) is False


def _is_unwritten(module: Module, inner: ast.Call, call: Call) -> bool:
    """Whether a call makes a tensor of unknown content: torch.Tensor of sizes, not of values, and not of none."""
    name = module.resolve(inner.func, call.frame)
    if name not in _UNWRITTEN or not (inner.args or inner.keywords):
        return False
    if any(module.literal(each, call.frame) == 0 for each in inner.args):
        return False
    if any(each.arg == "dtype" and words_of(each.value) & _WHOLE for each in inner.keywords):
        return False  # quantised weights, filled by what is loaded
    holds_values = name.endswith("Tensor") and inner.args and isinstance(inner.args[0], ast.List | ast.Tuple)
    return not holds_values


def _attribute_given(module: Module, call: Call) -> str | None:
    above = module.parents.get(call.node)
    target = above.targets[0] if isinstance(above, ast.Assign) else getattr(above, "target", None)
    if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == "self":
        return target.attr
    return None


def _knows_all_bases(module: Module, home: ast.ClassDef) -> bool:
    """Whether nothing is inherited that may initialise: only nn.Module and classes of the file."""
    return all(name.startswith("@") or name in ("torch.nn.Module", "object") for name in bases_of(module, home))


def _has_initialising_base(module: Module) -> bool:
    """Whether a model of a library that initialises the modules within it stands in the file, as in transformers."""
    if "pretrained" not in module.cache:
        bases = (base for node in module.classes.values() for base in node.bases)
        module.cache["pretrained"] = any("PreTrained" in word for base in bases for word in words_of(base))
    pretrained: bool = module.cache["pretrained"]
    return pretrained


def _is_initialised(module: Module, home: ast.ClassDef, name: str) -> bool:
    """Whether something in the file may write the parameter and is reached: a call with it, or an assignment to it."""
    view = _view_of(module, home)
    if view.writes_all:
        return True
    for function, inside in _writers(module).get(name, ()):
        if inside is not home or not isinstance(function, ast.FunctionDef) or function.name not in view.methods:
            return True
        if function.name in view.reached or (function.name != "forward" and not _is_reset(function.name)):
            return True
    return False


class _View(NamedTuple):
    """A class: its methods, those that run when it is built, and whether all its parameters are written somewhere."""

    methods: dict[str, ast.FunctionDef]
    reached: set[str]
    writes_all: bool


def _view_of(module: Module, home: ast.ClassDef) -> _View:
    views: dict[ast.ClassDef, _View] = module.cache.setdefault("classes", {})
    if home not in views:
        methods = {each.name: each for each in home.body if isinstance(each, ast.FunctionDef)}
        reached = _reached(methods, "__init__")
        if _resetters(module) - {home}:
            reached |= _reached(methods, "reset_parameters")
        walks = any(words_of(methods[each]) & _WALKS for each in reached if each in methods)
        views[home] = _View(methods, reached, walks or _is_known_to_initialiser(module, home))
    return views[home]


def _is_known_to_initialiser(module: Module, home: ast.ClassDef) -> bool:
    """Whether a function outside the class that initialises, as `_init_weights`, knows it or walks all parameters."""
    if "initialisers" not in module.cache:
        module.cache["initialisers"] = [
            (node, frame.class_of_method, words_of(node))
            for node, frame in module.functions
            if "init" in node.name and not node.name.startswith("__")
        ]
    return any(
        inside is not home and (home.name in words or words & _WALKS)
        for _, inside, words in module.cache["initialisers"]
    )


def _writers(module: Module) -> dict[str, list[tuple[ast.AST | None, ast.ClassDef | None]]]:
    """By the name of an attribute: the functions, and their classes, that may write what it holds."""
    if "writers" not in module.cache:
        found: dict[str, list[tuple[ast.AST | None, ast.ClassDef | None]]] = {}
        places = [(call.frame, _given(call)) for call in module.every_call]
        places += [(each.frame, _written(each.target)) for each in module.assignments]
        for frame, names in places:
            for name in names:
                found.setdefault(name, []).append((frame.function, frame.class_of_method))
        module.cache["writers"] = found
    writers: dict[str, list[tuple[ast.AST | None, ast.ClassDef | None]]] = module.cache["writers"]
    return writers


def _is_reset(name: str) -> bool:
    return name.startswith(("reset", "init", "_reset", "_init"))


def _reached(methods: dict[str, ast.FunctionDef], start: str) -> set[str]:
    """The methods that one calls on self, directly or through others."""
    reached, queue = {start}, [start]
    while queue:
        method = methods.get(queue.pop())
        for each in ast.walk(method) if method else ():
            if isinstance(each, ast.Attribute) and each.attr in methods and getattr(each.value, "id", "") == "self":
                queue += {each.attr} - reached
                reached.add(each.attr)
    return reached


def _resetters(module: Module) -> set[ast.ClassDef | None]:
    """The classes (None outside of any) in which some object's reset_parameters is called."""
    if "resetters" not in module.cache:
        module.cache["resetters"] = {
            call.frame.class_of_method
            for call in module.every_call
            if getattr(call.node.func, "attr", "") == "reset_parameters"
        }
    resetters: set[ast.ClassDef | None] = module.cache["resetters"]
    return resetters


def _given(call: Call) -> set[str]:
    """The attributes that a call may write: it stands alone and is handed them, or is a method in place of one."""
    function = call.node.func
    last = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if last in _PURE or not (isinstance(call.statement, ast.Expr) or last.endswith("_")):
        return set()
    places: list[ast.expr] = [*call.node.args, *(each.value for each in call.node.keywords)]
    if isinstance(function, ast.Attribute):
        places.append(function.value)
    return {name for place in places for name in _attributes(place)}


def _written(target: ast.expr) -> set[str]:
    """The attributes that an assignment writes into: self.weight.data = ..., self.weight[...] = ..."""
    inside = target.value if isinstance(target, ast.Attribute | ast.Subscript) else target
    return set(_attributes(inside))


def _attributes(node: ast.expr) -> Iterator[str]:
    """The attributes that lead to a value: weight and data of `self.weight.data[0]`."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Starred):
        if isinstance(node, ast.Attribute):
            yield node.attr
        node = node.value
