"""OPL412: parameters made of memory that nothing has written."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from opscan.lint.finding import Hit
from opscan.lint.module import Module
from opscan.lint.questions import bases_of, words_of
from opscan.lint.records import Call
from opscan.lint.rule import rule

_UNWRITTEN = frozenset(f"torch.{each}" for each in (
    "Tensor", "empty", "empty_like", "FloatTensor", "DoubleTensor", "HalfTensor", "cuda.FloatTensor",
))  # fmt: skip
_WALKS = frozenset(("parameters", "named_parameters", "_parameters", "apply", "init_weights", "post_init"))
_PURE = frozenset(("Parameter", "register_parameter", "linear", "einsum", "matmul", "bmm", "print", "append"))


@rule("OPL412", "parameter-uninitialised", "error", ["Parameter", "Tensor|empty"])
def parameter_uninitialised(module: Module) -> Iterator[Hit]:
    """`nn.Parameter(torch.Tensor(n, m))` that nothing in the file initialises."""
    for call in module.calls("torch.nn.Parameter"):
        inner = call.argument("data", 0)
        if not isinstance(inner, ast.Call) or not _is_unwritten(module, inner, call):
            continue
        if module.literal(call.argument("requires_grad", 1), call.frame) is False:
            continue  # of a quantised layer, filled by what is loaded
        home, name = call.frame.class_of_method, _attribute_given(module, call)
        if home is None or name is None or not _knows_all_bases(module, home):
            continue
        if not _is_initialised(module, home, name) and not _has_initialising_base(module):
            made = ast.unparse(inner.func)
            message = f"the parameter `{name}` is made of `{made}`: memory that nothing has written, nor initialises"
            yield Hit(call.node, message, "call reset_parameters() in __init__, or torch.nn.init on it")


def _is_unwritten(module: Module, inner: ast.Call, call: Call) -> bool:
    """Whether a call makes a tensor of unknown content: torch.Tensor of sizes, not of values, and not of none."""
    name = module.resolve(inner.func, call.frame)
    if name not in _UNWRITTEN or not (inner.args or inner.keywords):
        return False
    if any(module.literal(each, call.frame) == 0 for each in inner.args):
        return False
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
    return any("PreTrained" in ast.unparse(base) for node in module.classes.values() for base in node.bases)


def _is_initialised(module: Module, home: ast.ClassDef, name: str) -> bool:
    """Whether something in the file may write the parameter and is reached: a call with it, or an assignment to it."""
    methods = {each.name: each for each in home.body if isinstance(each, ast.FunctionDef)}
    reached = _reached(methods, "__init__")
    if "reset_parameters" in _called_from_outside(module, home):
        reached |= _reached(methods, "reset_parameters")

    def counts(function: ast.AST | None, inside: ast.ClassDef | None) -> bool:
        if inside is not home or not isinstance(function, ast.FunctionDef) or function.name not in methods:
            return True
        return function.name in reached or (function.name != "forward" and not _is_reset(function.name))

    for call in module.every_call:
        if isinstance(call.statement, ast.Expr) or _is_filled(call):
            if _is_given(call, name) and counts(call.frame.function, call.frame.class_of_method):
                return True
    for each in module.assignments:
        if _writes_into(each.target, name) and counts(each.frame.function, each.frame.class_of_method):
            return True
    if any(words_of(methods[each]) & _WALKS for each in reached if each in methods):
        return True
    return any(
        home.name in words_of(node) or words_of(node) & _WALKS
        for node, _ in module.functions
        if "init" in node.name and not node.name.startswith("__") and node not in methods.values()
    )


def _is_reset(name: str) -> bool:
    return name.startswith(("reset", "init", "_reset", "_init"))


def _reached(methods: dict[str, ast.FunctionDef], start: str) -> set[str]:
    """The methods that one calls on self, directly or through others."""
    reached, queue = {start}, [start]
    while queue:
        method = methods.get(queue.pop())
        for each in ast.walk(method) if method else ():
            if isinstance(each, ast.Attribute) and isinstance(each.value, ast.Name) and each.value.id == "self":
                if each.attr in methods and each.attr not in reached:
                    reached.add(each.attr)
                    queue.append(each.attr)
    return reached


def _called_from_outside(module: Module, home: ast.ClassDef) -> set[str]:
    """The methods that are called in the file, but not in the class."""
    return {
        call.node.func.attr
        for call in module.every_call
        if isinstance(call.node.func, ast.Attribute) and call.frame.class_of_method is not home
    }


def _is_filled(call: Call) -> bool:
    """Whether a call writes in place: `self.weight.data.normal_()`, also inside a longer expression."""
    function = call.node.func
    return isinstance(function, ast.Attribute) and function.attr.endswith("_") and not function.attr.startswith("_")


def _is_given(call: Call, name: str) -> bool:
    """Whether a call is handed the attribute, or is a method of it; what only reads it is not counted."""
    function = call.node.func
    last = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if last in _PURE:
        return False
    places: list[ast.expr] = [*call.node.args, *(each.value for each in call.node.keywords), function]
    return any(isinstance(each, ast.Attribute) and each.attr == name for place in places for each in ast.walk(place))


def _writes_into(target: ast.expr, name: str) -> bool:
    """Whether an assignment writes into the parameter: self.weight.data = ..., self.weight[...] = ..."""
    inside = target.value if isinstance(target, ast.Attribute | ast.Subscript) else target
    return any(isinstance(each, ast.Attribute) and each.attr == name for each in ast.walk(inside))
