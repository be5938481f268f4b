"""OPL31x: splits and orders of the data."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from opscan.lint.edits import with_keyword
from opscan.lint.finding import Edit, Hit, replace
from opscan.lint.module import Module
from opscan.lint.questions import source_of
from opscan.lint.rule import rule
from opscan.lint.scopes import Frame
from opscan.lint.seeds import seed_calls

_ALWAYS = {
    "sklearn.model_selection.train_test_split", "sklearn.model_selection.ShuffleSplit",
    "sklearn.model_selection.StratifiedShuffleSplit", "sklearn.model_selection.GroupShuffleSplit",
    "sklearn.utils.shuffle", "sklearn.utils.resample",
}  # fmt: skip
_IF_SHUFFLED = {"sklearn.model_selection.KFold", "sklearn.model_selection.StratifiedKFold",
                "sklearn.model_selection.StratifiedGroupKFold"}  # fmt: skip
ORDER_MATTERS = frozenset(
    ("enumerate", "random.shuffle", "random.choice", "random.sample", "random.choices", "numpy.random.shuffle",
     "numpy.random.choice", "numpy.random.permutation", "torch.utils.data.random_split", "zip",
     "sklearn.model_selection.train_test_split", "torch.utils.data.Subset", "torch.tensor", "numpy.array")
)  # fmt: skip


@rule("OPL311", "split-unseeded", "warning", [
    "train_test_split or ShuffleSplit or shuffle or resample or KFold or random_split", "sklearn or random_split",
])  # fmt: skip
def split_unseeded(module: Module) -> Iterator[Hit]:
    """train_test_split and friends without random_state, random_split without generator."""
    seeded: frozenset[str] = frozenset().union(*(each.generators for each in seed_calls(module)))
    for call in module.calls(*_ALWAYS, *_IF_SHUFFLED):
        state = call.keyword("random_state")
        if call.is_open or "numpy" in seeded or (module.literal(state, call.frame) is not None and state is not None):
            continue
        shuffles = module.literal(call.keyword("shuffle"), call.frame)
        if shuffles is False or (call.name in _IF_SHUFFLED and shuffles is not True):
            continue
        name = call.name.rpartition(".")[2]
        edits = with_keyword(module, call.node, "random_state=0") if state is None else ()
        yield Hit(call.node, f"`{name}` without random_state splits another way in every run", "random_state=0", edits)
    for call in module.calls("torch.utils.data.random_split"):
        if not call.is_open and call.argument("generator", 2) is None and "torch" not in seeded:
            message = "`random_split` without a generator splits another way in every run"
            yield Hit(call.node, message, "generator=torch.Generator().manual_seed(0)")


_SETS = (
    r"~set(?<!\wset)(?<!\w\sset)\s*\(\s*[^)\s] or ~\(\s*\{[^{}:]*\bfor\b or ~=\s*\{[^{}:]*\bfor\b"
    r" or ~\(\s*\{\s*['\"][^'\"\n]*['\"]\s*, or ~=\s*\{\s*['\"][^'\"\n]*['\"]\s*,"
)
"""set(x), {x for x in y} and {"a", "b"}, handed to something or given a name."""


_TAKEN = r"(?:\s*\n|\s+as\b|\s*\(\s*(?:(?:list|tuple)\s*\(\s*)*(?:\w+\s*[,)]|(?:frozen)?set\s*\(|\{))"
"""Behind a function that keeps an order: another name for it, or a lone name or a set handed in."""
_KEEPS = " or ".join(
    rf"~{name}(?<![^\W_]{name}){'s?' if name == 'choice' else ''}{_TAKEN}"
    for name in ("enumerate", "choice", "sample", "shuffle", "permutation", "array", "tensor", "split", "Subset")
)
"""The last words of ORDER_MATTERS, not at the end of a longer word: `random_split(`, and not `downsample(`."""


@rule("OPL313", "set-order", "warning", [_KEEPS, _SETS])
def set_order(module: Module) -> Iterator[Hit]:
    """The order of a set of texts becomes numbers: labels, indices, samples."""
    for call in module.calls("enumerate", *sorted(ORDER_MATTERS - {"enumerate", "zip"})):
        for given in call.node.args[:1]:
            value = _unlisted(module, given, call.frame)
            if _is_set(module, value, call.frame) and not _has_numbers(module, value, call.frame):
                message = f"`{call.name}` walks a set: the order of texts in it differs from process to process"
                edits: tuple[Edit, ...] = ()
                if value is given:
                    edits = (replace(given, f"sorted({ast.get_source_segment(module.text, given)})"),)
                yield Hit(call.node, message, f"sorted({source_of(module, given)})", edits)


def _unlisted(module: Module, node: ast.expr, frame: Frame) -> ast.expr:
    """The expression without a list(...) or tuple(...) around it, and without a name before it."""
    for _ in range(3):
        value = module.value_of(node, frame)
        if isinstance(value, ast.Call) and module.resolve(value.func, frame) in ("list", "tuple") and value.args:
            node = value.args[0]
        else:
            return value if isinstance(node, ast.Name) else node
    return node


def _is_set(module: Module, node: ast.expr, frame: Frame) -> bool:
    if isinstance(node, ast.Set | ast.SetComp):
        return True
    return isinstance(node, ast.Call) and module.resolve(node.func, frame) in ("set", "frozenset") and bool(node.args)


def _has_numbers(module: Module, node: ast.expr, frame: Frame) -> bool:
    """Whether a set is known to hold integers, whose hashes are not salted."""
    if isinstance(node, ast.Set):  # the prefilter knows sets that begin with a text
        return not isinstance(node.elts[0], ast.Constant) or not isinstance(node.elts[0].value, str)
    if isinstance(node, ast.SetComp):
        return isinstance(node.elt, ast.Call) and module.resolve(node.elt.func, frame) in ("int", "len", "ord")
    if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Call):
        return module.resolve(node.args[0].func, frame) == "range"
    return False
