"""What a Triton kernel does with memory, read off its source: loads, stores and atomics, by the kernel's parameters.

# Note [Reading a kernel]
A kernel is a Python function that is compiled, never run. Its source is walked once per set of arguments: names are
followed from the parameters that hold tensors to the pointers that are loaded from or written to, through assignments,
pointer arithmetic and the other jit functions it calls. A branch on a value known at launch (a constexpr, a scalar,
None) is taken or left; all others are walked on both sides, loops until nothing is new. What is not certain errs on
the side of more: a pointer whose origin is lost may be any tensor, and counts as floating.
"""

from __future__ import annotations

import ast
import operator
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from types import ModuleType
from typing import Any, NamedTuple

from opscan.trace.reach import enclosed_by

FLOATING, INTEGER = "<floating>", "<integer>"
"""Stand among the names of parameters for a cast to a pointer: to what is then known, also where its origin is not."""

_TENSOR = object()
"""Value of a parameter that holds a tensor: not None, and otherwise unknown."""
_UNKNOWN = object()
_DEPTH = 16

_ASM_ATOMIC = re.compile(r"\b(atom|red)\.[\w.:]*\badd[\w.:]*\.(bf16|f16|f32|f64)")
_POINTER_FUNCTIONS = {
    "advance", "broadcast", "broadcast_to", "cast", "expand_dims", "make_block_ptr", "make_tensor_descriptor",
    "max_constancy", "max_contiguous", "multiple_of", "permute", "ravel", "reshape", "trans", "view", "where",
}  # fmt: skip
"""Functions of triton.language that hand pointers on; what others return is values."""
_REDUCTIONS = {"associative_scan", "cumprod", "cumsum", "dot", "dot_scaled", "reduce", "sum"}
"""Functions of triton.language that add up a block: in which order hangs on its size and on the number of warps."""
_OPERATORS: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le, ast.Gt: operator.gt,
    ast.GtE: operator.ge, ast.Is: operator.is_, ast.IsNot: operator.is_not, ast.In: lambda one, other: one in other,
    ast.NotIn: lambda one, other: one not in other, ast.Add: operator.add, ast.Sub: operator.sub,
    ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv, ast.Mod: operator.mod,
}  # fmt: skip

Origins = frozenset[str]
_NONE: Origins = frozenset()


class Access(NamedTuple):
    """One kind of access to memory: `load`, `store`, `atomic_add`, ...; or `reduce`, a sum over a block of values.

    `origins` are the kernel's parameters the pointer may come from, none if that is not known; `used` is whether the
    kernel goes on with what an atomic returns.
    """

    kind: str
    origins: Origins
    used: bool


def accesses_of(kernel: Any, tensors: frozenset[str], constants: Mapping[str, Any]) -> frozenset[Access]:
    """How a triton.jit function accesses memory when these parameters hold tensors and these have known values."""
    known = {name: value for name, value in constants.items() if _is_plain(value)}
    # The jit function itself is no key: its hash compiles. 1 and True are equal, and must not share an answer.
    question = (kernel.fn, kernel.src, tensors, *((name, type(known[name]), known[name]) for name in sorted(known)))
    found = _answers.get(question)
    if found is None:
        reader = _Reader(kernel, set(), ())
        reader.origins = {name: frozenset({name}) for name in tensors}
        reader.known = known | dict.fromkeys(tensors, _TENSOR)
        reader.walk(_parsed(kernel.src))
        found = _answers[question] = frozenset(reader.accesses)
    return found


_answers: dict[Any, frozenset[Access]] = {}


@lru_cache(maxsize=1024)
def _parsed(source: str) -> tuple[ast.stmt, ...]:
    found = ast.parse(textwrap.dedent(source)).body[0]
    assert isinstance(found, ast.FunctionDef)
    return tuple(found.body)


class _Reader:
    """Walks one jit function; `accesses` is shared with the functions it calls."""

    def __init__(self, jit: Any, accesses: set[Access], callers: tuple[Any, ...]) -> None:
        self.accesses = accesses
        self.origins: dict[str, Origins] = {}
        self.known: dict[str, Any] = {}
        self.returned = _NONE
        self._callers = (*callers, jit.fn)
        self._scope = _scope(jit.fn)

    # -- statements

    def walk(self, statements: Iterable[ast.stmt]) -> bool:
        """Walk a block. True when it certainly returns."""
        return any(self._statement(each) for each in statements)

    def _statement(self, node: ast.stmt) -> bool:
        if isinstance(node, ast.If):
            return self._branch(node)
        if isinstance(node, ast.For | ast.While):
            self._loop(node)
        elif isinstance(node, ast.Return):
            self.returned |= self._follow(node.value)
            return True
        elif isinstance(node, ast.Assign):
            for target in node.targets:
                self._assign(target, node.value)
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            self._assign(node.target, node.value)
        elif isinstance(node, ast.AugAssign):
            origins = self._follow(node.value) | self._follow(node.target)
            self._bind(node.target, origins, _UNKNOWN)
        elif isinstance(node, ast.Expr):
            self._follow(node.value, used=False)
        elif isinstance(node, ast.With):
            return self.walk(node.body)
        else:
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.expr):
                    self._follow(child)
        return False

    def _branch(self, node: ast.If) -> bool:
        self._follow(node.test)
        test = self._value(node.test)
        if test is not _UNKNOWN:
            return self.walk(node.body if test else node.orelse)
        before = dict(self.origins), dict(self.known)
        first = self.walk(node.body)
        after = self.origins, self.known
        self.origins, self.known = before
        second = self.walk(node.orelse)
        if second or not first:
            self._merge(*after, over=second)
        return first and second

    def _loop(self, node: ast.For | ast.While) -> None:
        if isinstance(node, ast.While):
            self._follow(node.test)
            if self._value(node.test) is False:
                return
        for name in {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and _is_stored(each)}:
            self.known.pop(name, None)
        before: dict[str, Origins] | None = None
        while before != self.origins:  # a pointer handed on from name to name comes one name further each time
            before, known = dict(self.origins), dict(self.known)
            if isinstance(node, ast.For):
                self._bind(node.target, self._follow(node.iter), _UNKNOWN)
            self.walk(node.body)
            self._merge(before, known, over=False)
        self.walk(node.orelse)

    def _merge(self, origins: dict[str, Origins], known: dict[str, Any], over: bool) -> None:
        """What holds after either of two ways; `over`: after the given one alone."""
        if over:
            self.origins, self.known = origins, known
            return
        self.origins = {
            name: self.origins.get(name, _NONE) | origins.get(name, _NONE) for name in {*self.origins, *origins}
        }
        self.known = {
            name: value for name, value in self.known.items() if name in known and _is_same(known[name], value)
        }

    def _assign(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
            pairs = [(self._follow(each), self._value(each)) for each in value.elts]
            for each, (origins, known) in zip(target.elts, pairs, strict=True):
                self._bind(each, origins, known)
        else:
            self._bind(target, self._follow(value), self._value(value))

    def _bind(self, target: ast.expr, origins: Origins, known: Any) -> None:
        if isinstance(target, ast.Name):
            self.origins[target.id] = origins
            self.known.pop(target.id, None)
            if known is not _UNKNOWN:
                self.known[target.id] = known
        elif isinstance(target, ast.Tuple | ast.List):
            for each in target.elts:
                self._bind(each, origins, _UNKNOWN)

    # -- expressions: where a pointer comes from

    def _follow(self, node: ast.expr | None, used: bool = True) -> Origins:
        """The parameters a value may point into; what is accessed on the way is noted."""
        if isinstance(node, ast.Name):
            return self.origins.get(node.id, _NONE)
        if isinstance(node, ast.Call):
            return self._call(node, used)
        if isinstance(node, ast.IfExp):
            self._follow(node.test)
            test = self._value(node.test)
            sides = (node.body, node.orelse) if test is _UNKNOWN else (node.body if test else node.orelse,)
            return _NONE.union(*map(self._follow, sides))
        if isinstance(node, ast.Subscript):
            self._follow(node.slice)
            return self._follow(node.value)
        if node is None:
            return _NONE
        children = [self._follow(child) for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
        if isinstance(node, ast.Compare | ast.UnaryOp):
            return _NONE
        if isinstance(node, ast.BinOp) and not isinstance(node.op, ast.Add | ast.Sub):
            return _NONE
        return _NONE.union(*children)

    def _call(self, node: ast.Call, used: bool) -> Origins:
        function = self._object(node.func)
        name = str(getattr(function, "__name__", getattr(node.func, "attr", getattr(node.func, "id", ""))))
        is_method = isinstance(node.func, ast.Attribute) and function is _UNKNOWN
        itself = self._follow(node.func.value) if is_method and isinstance(node.func, ast.Attribute) else _NONE
        arguments = [self._follow(each) for each in node.args]
        named = {each.arg or "": self._follow(each.value) for each in node.keywords}
        if _is_jit(function) and not _is_tritons(function):
            return self._jit_call(function, node, arguments, named)
        pointer = itself if is_method else (arguments[0] if arguments else _pointer_among(named))
        kind = _kind_of(name, is_method)
        if kind:
            self.accesses.add(Access(kind, pointer, used and kind.startswith("atomic_")))
            return _NONE
        if name == "inline_asm_elementwise" and _ASM_ATOMIC.search(" ".join(_texts(node))):
            self.accesses.add(Access("atomic_add", _NONE.union(*arguments, *named.values(), {FLOATING}), used))
            return _NONE
        if name in ("to", "cast"):
            return pointer | self._cast_to(node)
        if name in _REDUCTIONS and (is_method or _is_tritons(function)):
            self.accesses.add(Access("reduce", _NONE, False))
            return _NONE
        if not is_method and _is_tritons(function) and name not in _POINTER_FUNCTIONS and "descriptor" not in name:
            return _NONE
        return itself.union(*arguments, *named.values())

    def _jit_call(self, jit: Any, node: ast.Call, arguments: list[Origins], named: dict[str, Origins]) -> Origins:
        if jit.fn in self._callers or len(self._callers) > _DEPTH:
            return _NONE.union(*arguments, *named.values())
        callee = _Reader(jit, self.accesses, self._callers)
        names = list(jit.arg_names)
        values = dict(zip(names, node.args, strict=False)) | {
            each.arg: each.value for each in node.keywords if each.arg
        }
        callee.origins = dict(zip(names, arguments, strict=False)) | named
        callee.known = _defaults(jit) | {
            name: known for name, value in values.items() if (known := self._value(value)) is not _UNKNOWN
        }
        for name in values:
            if name in callee.known and self._value(values[name]) is _UNKNOWN:
                del callee.known[name]
        callee.walk(_parsed(jit.src))
        return callee.returned

    def _cast_to(self, node: ast.Call) -> Origins:
        """What a cast to a pointer type says of what is pointed to."""
        for each in ast.walk(node):
            if (
                isinstance(each, ast.Call)
                and getattr(each.func, "attr", getattr(each.func, "id", "")) == "pointer_type"
            ):
                element = self._object(each.args[0]) if each.args else _UNKNOWN
                name = str(getattr(element, "name", ""))
                return frozenset({INTEGER if name.startswith(("int", "uint")) else FLOATING})
        return _NONE

    # -- expressions: what is known at launch

    def _value(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Constant):
            return node.value
        if isinstance(node, ast.Name | ast.Attribute):
            found = self._object(node)
            found = getattr(found, "value", found) if type(found).__name__ == "constexpr" else found
            return found if found is _TENSOR or _is_plain(found) or _is_jit(found) else _UNKNOWN
        if isinstance(node, ast.UnaryOp):
            value = self._value(node.operand)
            if isinstance(node.op, ast.Not) and value is not _UNKNOWN and value is not _TENSOR:
                return not value
            return -value if isinstance(node.op, ast.USub) and isinstance(value, int | float) else _UNKNOWN
        if isinstance(node, ast.BoolOp):
            return self._bool_op(node)
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            return self._operation(node.ops[0], node.left, node.comparators[0])
        if isinstance(node, ast.BinOp):
            return self._operation(node.op, node.left, node.right)
        if isinstance(node, ast.Tuple | ast.List):
            values = [self._value(each) for each in node.elts]
            return _UNKNOWN if _UNKNOWN in values else tuple(values)
        return _UNKNOWN

    def _bool_op(self, node: ast.BoolOp) -> Any:
        decides = isinstance(node.op, ast.Or)
        values = [self._value(each) for each in node.values]
        if any(value is not _UNKNOWN and value is not _TENSOR and bool(value) is decides for value in values):
            return decides
        return _UNKNOWN if any(value is _UNKNOWN or value is _TENSOR for value in values) else not decides

    def _operation(self, symbol: ast.AST, left: ast.expr, right: ast.expr) -> Any:
        one, other = self._value(left), self._value(right)
        apply = _OPERATORS.get(type(symbol))
        if apply is None or one is _UNKNOWN or other is _UNKNOWN:
            return _UNKNOWN
        if (one is _TENSOR or other is _TENSOR) and not isinstance(symbol, ast.Is | ast.IsNot):
            return _UNKNOWN
        try:
            return apply(one, other)
        except (TypeError, ArithmeticError):
            return _UNKNOWN

    def _object(self, node: ast.expr) -> Any:
        """What a name, or an attribute of a module, stands for."""
        if isinstance(node, ast.Name):
            if node.id in self.known:
                return self.known[node.id]
            return _UNKNOWN if node.id in self.origins else self._scope.get(node.id, _UNKNOWN)
        if isinstance(node, ast.Attribute):
            owner = self._object(node.value)
            if isinstance(owner, ModuleType | type):
                return getattr(owner, node.attr, _UNKNOWN)
        return _UNKNOWN


def _scope(function: Any) -> dict[str, Any]:
    return {**function.__globals__, **enclosed_by(function)}


def _defaults(jit: Any) -> dict[str, Any]:
    parameters = jit.signature.parameters.values()
    return {each.name: each.default for each in parameters if each.default is not each.empty}


def _kind_of(name: str, is_method: bool) -> str:
    """The kind of access a function makes, by its name: those for descriptors have longer ones, or are methods."""
    if "atomic_" in name:
        return name[name.index("atomic_") :]
    if "load" in name or (is_method and name == "gather"):
        return "load"
    return "store" if "store" in name or (is_method and name == "scatter") else ""


def _pointer_among(named: Mapping[str, Origins]) -> Origins:
    return next((named[name] for name in ("pointer", "ptr", "base", "desc") if name in named), _NONE)


def _texts(node: ast.AST) -> list[str]:
    return [each.value for each in ast.walk(node) if isinstance(each, ast.Constant) and isinstance(each.value, str)]


def _is_same(one: Any, other: Any) -> bool:
    return one is other or (type(one) is type(other) and _is_plain(one) and bool(one == other))


def _is_plain(value: Any) -> bool:
    return value is None or isinstance(value, bool | int | float | str)


def _is_jit(value: Any) -> bool:
    return hasattr(value, "arg_names") and hasattr(value, "src") and hasattr(value, "fn")


def _is_tritons(value: Any) -> bool:
    return str(getattr(value, "__module__", "")).startswith("triton.")


def _is_stored(name: ast.Name) -> bool:
    return isinstance(name.ctx, ast.Store)
