"""The text that names a target, read into a value. Nothing is imported here."""

from __future__ import annotations

import ast
import os
import re
from dataclasses import dataclass, field

from opscan.errors import TargetError

FORMS = "pkg.mod:Name, path/to/file.py:Name or mod:Name(10, depth=2)"

_STEP = r"""\.[^\W\d]\w*|\[(?:-?[0-9]{1,9}|'[^'\\\r\n\0]*'|"[^"\\\r\n\0]*")\]"""
_TARGET = re.compile(rf"(?P<module>.+?):(?P<name>[^\W\d]\w*(?:{_STEP})*)\s*(?P<call>\(.*\))?", re.DOTALL)
_DOTTED = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")


@dataclass(frozen=True, slots=True)
class TargetSpec:
    """A target as the user wrote it.

    `module` is a dotted name, or a path if `is_file`. `name` may be dotted (`Outer.Inner`), and have keys or indices of
    containers in it (`MODELS["small"]`).
    `called` tells `mod:Name()` from `mod:Name`; `args` and `kwargs` are what stands in the parentheses.
    """

    text: str
    module: str
    name: str
    is_file: bool = False
    called: bool = False
    args: tuple[object, ...] = ()
    kwargs: dict[str, object] = field(default_factory=dict)

    @property
    def path(self) -> tuple[str | tuple[int | str], ...]:
        """The name taken apart: attributes as text, a key or an index in a tuple of one."""
        first = re.match(r"\w+", self.name)
        steps = re.findall(_STEP, self.name)
        rest = [step[1:] if step[0] == "." else (ast.literal_eval(step[1:-1]),) for step in steps]
        return (first[0] if first else self.name, *rest)


def parse_target(text: str) -> TargetSpec:
    """Read `pkg.mod:Name`, `path/file.py:Name` or either with `(literal, name=literal)` behind it.

    Raises TargetError if the text has another form; whether the module exists is not looked at.
    """
    text = text.strip()
    match = _TARGET.fullmatch(text)
    if match is None:
        raise TargetError("not a target", repr(text), _how_to_write(text))
    module, name, call = match["module"], match["name"], match["call"]
    is_file = module.endswith(".py") or "/" in module or "\\" in module
    if not is_file and not _DOTTED.fullmatch(module):
        raise TargetError(f"{module!r} is neither a module name nor a .py file", repr(text), _how_to_write(text))
    args, kwargs = _parse_call(call, text) if call else ((), {})
    return TargetSpec(text, module, name, is_file, bool(call), args, kwargs)


def _how_to_write(text: str) -> str:
    """The hint for a text that is not a target: the nearest thing that would be one."""
    path, _, rest = text.partition("::")
    if rest:
        return f"Write one colon: {path}:{rest}"
    if text.endswith(".py") or os.path.isfile(text + ".py"):
        file = text if text.endswith(".py") else text + ".py"
        return f"Say which model in the file: {file}:Name"
    module, _, name = text.rpartition(".")
    if _DOTTED.fullmatch(text) and module:
        return f"Put a colon before the name: {module}:{name} (or {text}:Name if {text} is a module)"
    if _DOTTED.fullmatch(text):
        return f"Say which model in the module: {text}:Name"
    return f"Write {FORMS}."


def _parse_call(call: str, text: str) -> tuple[tuple[object, ...], dict[str, object]]:
    """The arguments in `(…)`: literals only."""
    try:
        node = ast.parse("f" + call, mode="eval").body
    except (SyntaxError, ValueError) as error:
        raise TargetError(f"cannot read the arguments {call}: {error}", repr(text), f"Write {FORMS}.") from error
    except (RecursionError, MemoryError) as error:
        raise TargetError("the arguments are nested too deeply", repr(text), f"Write {FORMS}.") from error
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        raise TargetError(
            f"cannot read the arguments {call}", repr(text), "Write one pair of parentheses after the name."
        )
    args = tuple(_literal(argument, text) for argument in node.args)
    kwargs = {keyword.arg or "**": _literal(keyword.value, text, keyword.arg) for keyword in node.keywords}
    if "**" in kwargs:
        raise TargetError("** cannot stand among the arguments", repr(text), "Write every argument as name=value.")
    return args, kwargs


def _literal(node: ast.expr, text: str, name: str | None = None) -> object:
    try:
        value: object = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError) as error:
        shown = f"{name}={ast.unparse(node)}" if name else ast.unparse(node)
        hint = (
            "Use numbers, strings, tuples, lists, dicts, True, False or None; for more, write a factory: mod:make_model"
        )
        raise TargetError(f"the argument {shown} is not a literal", repr(text), hint) from error
    return value
