"""Conditions of rule rows: a small, closed expression language over the arguments of an op.

An expression is Python syntax restricted to comparisons, arithmetic, subscripts, constants, the names
of the op's arguments and the functions below. It is checked when the rule file is read and compiled
once; nothing else can be called or reached from it.
"""

from __future__ import annotations

import ast
import difflib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from types import CodeType
from typing import Any

from opscan.rules.counting import COUNTING_FUNCTIONS

UNKNOWN = object()
"""Stands for an argument that was not recorded; a condition that touches it counts as met."""


_LONGEST = 1000
"""Characters of a condition; the parser's time and depth are bounded by it."""


class ConditionError(ValueError):
    """The expression is not in the language; the message says which part and what is allowed."""


_ALLOWED_NODES = (
    ast.Expression, ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.USub, ast.BinOp, ast.Add, ast.Sub,
    ast.Mult, ast.Div, ast.FloorDiv, ast.Mod, ast.Pow, ast.Compare, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt,
    ast.GtE, ast.In, ast.NotIn, ast.Is, ast.IsNot, ast.Call, ast.Name, ast.Load, ast.Constant, ast.Subscript,
    ast.Tuple, ast.List,
)  # fmt: skip


def _dtype_name(tensor: Any) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _floating(tensor: Any) -> bool:
    return bool(tensor.dtype.is_floating_point)


def _complex(tensor: Any) -> bool:
    return bool(tensor.dtype.is_complex)


def _quantized(tensor: Any) -> bool:
    return _dtype_name(tensor).startswith(("qint", "quint"))


def _boolean(tensor: Any) -> bool:
    return _dtype_name(tensor) == "bool"


def _integral(tensor: Any) -> bool:
    return not (_floating(tensor) or _complex(tensor) or _boolean(tensor) or _quantized(tensor))


def _size(tensor: Any, dim: int) -> int:
    return tensor.shape[dim] if tensor.shape else 1


def _channels_last(tensor: Any) -> bool:
    """The strides are what suggest_memory_format takes for channels_last: N C H W, or N C D H W, channels innermost.

    Source: is_channels_last_strides_2d_s4 in c10/core/MemoryFormat.h (torch 2.15).
    """
    shape, stride = tensor.shape, tensor.stride
    if len(shape) not in (4, 5) or stride[1] == 0:
        return False
    least = 0
    for dim in (1, *range(len(shape) - 1, 1, -1), 0):
        if shape[dim] == 0 or stride[dim] < least or (dim == 0 and least == stride[1]):
            return False
        least = stride[dim] * shape[dim]
    return True


def _unique(index: Any) -> bool:
    """The values of an index, or of the only one in a list of them, are known for every batch and never repeat."""
    if isinstance(index, list):
        given = [each for each in index if each is not None]
        return len(given) == 1 and _unique(given[0])
    return bool(index.distinct)


TENSOR_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "floating": _floating,
    "complex": _complex,
    "integral": _integral,
    "boolean": _boolean,
    "quantized": _quantized,
    "dtype": _dtype_name,
    "layout": lambda tensor: str(tensor.layout).removeprefix("torch."),
    "ndim": lambda tensor: len(tensor.shape),
    "numel": lambda tensor: math.prod(tensor.shape),
    "size": _size,
    "shape": lambda tensor: tuple(tensor.shape),
    "channels_last": _channels_last,
    "requires_grad": lambda tensor: tensor.requires_grad,
    "unique": _unique,
}
PLAIN_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "given": lambda value: value is not None,
    "len": len,
    "min": min,
    "max": max,
    "abs": abs,
    "ceil": math.ceil,
    "floor": math.floor,
    "prod": math.prod,
}
FACTS = (
    *("read_before_written", "in_constructor", "strict_in_forward"),
    *("ranks", "reduction", "sends_floating", "by_reducer", "read_before_wait"),
)
"""Functions without arguments: facts about the op's place in the graph, supplied with the arguments."""

_FUNCTIONS = TENSOR_FUNCTIONS | PLAIN_FUNCTIONS | COUNTING_FUNCTIONS


@dataclass(frozen=True, slots=True)
class Condition:
    """One expression, its argument names, and its compiled form. Its repr is the same in every process."""

    text: str
    names: frozenset[str] = field(repr=False)
    facts: frozenset[str] = field(repr=False)
    code: CodeType = field(repr=False)

    def __reduce__(self) -> tuple[Any, ...]:
        return parse_condition, (self.text,)  # code objects cannot be pickled

    def holds(self, arguments: Mapping[str, Any]) -> bool:
        """Whether the expression is true for these arguments; True when it cannot be evaluated.

        Tensors are given as objects with `shape`, `stride`, `dtype`, `layout` and `requires_grad`;
        facts under their own name. Source of the reading of "cannot be evaluated": rules/README.md.
        """
        return self._value(arguments) is not False

    def certain(self, arguments: Mapping[str, Any]) -> bool:
        """As `holds`, the other way round: False when it cannot be evaluated."""
        return self._value(arguments) is True

    def _value(self, arguments: Mapping[str, Any]) -> bool | None:
        scope = {name: arguments.get(name, UNKNOWN) for name in self.names}
        if any(value is UNKNOWN for value in scope.values()):
            return None
        scope |= {fact: partial(arguments.__getitem__, fact) for fact in self.facts}
        try:
            return bool(eval(self.code, {"__builtins__": {}, **_FUNCTIONS, **scope}))
        except (TypeError, AttributeError, LookupError, ValueError, ArithmeticError):
            return None


def parse_condition(text: str) -> Condition:
    """Check and compile one expression. Raises ConditionError naming the part that is not allowed."""
    if len(text) > _LONGEST:
        raise ConditionError(f"condition {text[:20]!r}... has {len(text)} characters; {_LONGEST} are the most")
    try:
        tree = ast.parse(text, mode="eval")
    except (SyntaxError, ValueError) as error:
        raise ConditionError(f"condition {text!r} is not an expression: {error}") from error
    except (RecursionError, MemoryError) as error:
        raise ConditionError(f"condition {text!r} is nested too deeply") from error
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    for node in ast.walk(tree):
        _check_node(node, text)
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} - called
    return Condition(
        text=text,
        names=frozenset(names),
        facts=frozenset(called & set(FACTS)),
        code=compile(tree, "<condition>", "eval"),
    )


def _check_size(node: ast.BinOp, text: str) -> None:
    """Numbers and texts stay small, so that no expression takes long."""
    if isinstance(node.op, ast.Pow):
        for side in (node.left, node.right):
            if not (isinstance(side, ast.Constant) and isinstance(side.value, int | float) and abs(side.value) <= 64):
                raise ConditionError(f"condition {text!r}: ** is for two numbers up to 64, as in 2 ** 22")
    if isinstance(node.op, ast.Mult | ast.Mod):
        for side in (node.left, node.right):
            if isinstance(side, ast.List | ast.Tuple) or (
                isinstance(side, ast.Constant) and isinstance(side.value, str)
            ):
                raise ConditionError(f"condition {text!r}: only numbers are multiplied and divided")


def _check_node(node: ast.AST, text: str) -> None:
    if not isinstance(node, _ALLOWED_NODES):
        raise ConditionError(f"condition {text!r}: {type(node).__name__} is not part of the condition language")
    if isinstance(node, ast.BinOp):
        _check_size(node, text)
    if isinstance(node, ast.Call):
        if not isinstance(node.func, ast.Name) or node.keywords:
            raise ConditionError(f"condition {text!r}: only plain calls like numel(self) are allowed")
        if node.func.id not in _FUNCTIONS and node.func.id not in FACTS:
            close = difflib.get_close_matches(node.func.id, [*_FUNCTIONS, *FACTS], n=1)
            meant = f"; did you mean {close[0]}()?" if close else ""
            raise ConditionError(f"condition {text!r}: unknown function {node.func.id}(){meant}")
