"""OPL312: the order in which a file system lists files."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from opscan.lint.finding import Edit, Hit, replace
from opscan.lint.module import Module
from opscan.lint.questions import method_names, words_of
from opscan.lint.records import Call
from opscan.lint.rule import rule
from opscan.lint.rules.data import ORDER_MATTERS

_FILES = ("os.listdir", "os.scandir", "glob.glob", "glob.iglob")
_FILE_METHODS = ("iterdir", "glob", "rglob")
_LISTS = ("os.listdir", "glob.glob")
_ORDERED = frozenset(
    ("sorted", "min", "max", "len", "set", "frozenset", "any", "all", "sum", "bool", "dict", "natsorted")
)
_GROWS = frozenset(("append", "extend", "insert"))


@rule("OPL312", "files-unordered", "warning", ["listdir or scandir or iterdir or ~glob(?!al)"])
def files_unordered(module: Module) -> Iterator[Hit]:
    """The order of os.listdir or glob becomes the order of the data."""
    for call in (*module.calls(*_FILES), *module.methods(*_FILE_METHODS)):
        if not _is_sorted(module, call) and _feeds_data(module, call):
            written = call.name or f".{call.node.func.attr}"  # type: ignore[attr-defined]
            edits: tuple[Edit, ...] = ()
            segment = ast.get_source_segment(module.text, call.node)
            if call.name in _LISTS:
                edits = (replace(call.node, f"sorted({segment})"),)
            message = f"`{written}` lists files in an order of the file system's, and the data follow it"
            yield Hit(call.node, message, f"sorted({written}(...))", edits)


def _is_sorted(module: Module, call: Call) -> bool:
    """Whether an order is given to what a listing yields, or none is asked of it."""
    above = module.parents.get(call.node)
    while isinstance(above, ast.expr | ast.comprehension | ast.keyword):
        if isinstance(above, ast.Call):
            name = module.resolve(above.func, call.frame) or str(getattr(above.func, "attr", ""))
            if name.rpartition(".")[2] in _ORDERED:
                return True
        if isinstance(above, ast.SetComp | ast.Set | ast.Compare | ast.Dict | ast.DictComp):
            return True
        above = module.parents.get(above)
    names = _grown_from(module, call, above)
    return any(_is_sorted_later(module, name, call) for name in names)


def _grown_from(module: Module, call: Call, statement: ast.AST | None) -> set[str]:
    """The variables that hold the files: the one assigned, and lists that loops over it make longer."""
    names: set[str] = set()
    target = statement.targets[0] if isinstance(statement, ast.Assign) else getattr(statement, "target", None)
    if isinstance(target, ast.Name):
        names.add(target.id)
    elif isinstance(target, ast.Attribute):
        names.add(target.attr)
    for loop in _loops_over(module, call, names):
        names |= _grown_in(loop)
    return names


def _loops_over(module: Module, call: Call, names: set[str]) -> list[ast.For]:
    """The loops of the same function over a listing, or over the variable that holds it."""
    home = call.frame.home.node
    found = []
    for node in ast.walk(home):
        if isinstance(node, ast.For):
            heads = {each.id for each in ast.walk(node.iter) if isinstance(each, ast.Name)}
            if call.node in ast.walk(node.iter) or heads & names:
                found.append(node)
    return found


def _grown_in(loop: ast.For) -> set[str]:
    """The lists that the body of a loop makes longer, by the last part of their names."""
    grown: set[str] = set()
    for node in ast.walk(loop):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _GROWS:
            grown |= words_of(node.func.value) - {"self"}
        elif isinstance(node, ast.AugAssign) and isinstance(node.value, ast.List | ast.ListComp):
            grown |= words_of(node.target) - {"self"}
    return grown


def _is_sorted_later(module: Module, name: str, call: Call) -> bool:
    """Whether the variable is sorted in the class, function or module: by its method or by `sorted`."""
    home = call.frame.class_of_method or call.frame.home.node
    for other in module.every_call if isinstance(home, ast.Module) else module.calls_in(home):
        function = other.node.func
        if isinstance(function, ast.Attribute) and function.attr in ("sort", "sort_values"):
            sorts: ast.expr | None = function.value
        else:
            sorts = other.node.args[0] if other.name.endswith("sorted") and other.node.args else None
            if sorts is not None and not isinstance(sorts, ast.Name) and name not in _targets(other.statement):
                continue  # sorted for something else
        if sorts is not None and name in words_of(sorts):
            return True
    return False


def _targets(statement: ast.stmt) -> set[str]:
    """The names and attributes that a statement assigns."""
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    return {word for target in targets for word in words_of(target)}


def _feeds_data(module: Module, call: Call) -> bool:
    """Whether data are made of it: a dataset keeps it or grows lists from it, or it goes where the order matters."""
    above = module.parents.get(call.node)
    while isinstance(above, ast.ListComp | ast.comprehension) or (
        isinstance(above, ast.Call) and module.resolve(above.func, call.frame) in ("list", "tuple")
    ):
        above = module.parents.get(above)
    if isinstance(above, ast.Call) and module.resolve(above.func, call.frame) in ORDER_MATTERS:
        return True
    if isinstance(above, ast.Subscript) and isinstance(above.slice, ast.Slice):
        return True
    target = above.targets[0] if isinstance(above, ast.Assign) else None
    home = call.frame.class_of_method
    if home is not None and "__getitem__" in method_names(home):
        if isinstance(target, ast.Attribute):
            return True
        names = {target.id} if isinstance(target, ast.Name) else set()
        return any(_grown_in(loop) for loop in _loops_over(module, call, names))
    return isinstance(target, ast.Name) and _goes_where_order_matters(module, target.id, call)


def _goes_where_order_matters(module: Module, name: str, call: Call) -> bool:
    home = call.frame.home.node
    calls = module.every_call if isinstance(home, ast.Module | ast.ClassDef) else module.calls_in(home)
    return any(
        isinstance(given, ast.Name) and given.id == name
        for other in calls
        if other.name in ORDER_MATTERS or other.name.endswith("Dataset")
        for given in other.node.args
    )
