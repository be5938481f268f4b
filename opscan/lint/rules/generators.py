"""OPL22x: generators of one's own that nobody seeds."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from opscan.lint.finding import Hit
from opscan.lint.module import Module
from opscan.lint.questions import tests_around, words_of
from opscan.lint.records import Call
from opscan.lint.rule import rule
from opscan.lint.seeds import seed_argument

_NUMPY = ("numpy.random.default_rng", "numpy.random.RandomState", "numpy.random.SeedSequence")
_BIT_GENERATORS = tuple(f"numpy.random.{each}" for each in ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64"))
_SEEDING = frozenset(("manual_seed", "set_state", "seed", "setstate"))


@rule(
    "OPL221",
    "numpy-generator-unseeded",
    "warning",
    ["default_rng or RandomState or SeedSequence or PCG64 or MT19937 or Philox or SFC64"],
)
def numpy_generator_unseeded(module: Module) -> Iterator[Hit]:
    """`np.random.default_rng()`."""
    for call in module.calls(*_NUMPY, *_BIT_GENERATORS):
        if _is_unseeded(module, call) and not _is_fallback(module, call) and not _is_seeded_later(module, call):
            message = f"`{call.name}` without a seed takes one from the system; np.random.seed does not reach it"
            yield Hit(call.node, message, "hand in a seed")


@rule("OPL222", "random-instance-unseeded", "warning", ["Random"])
def random_instance_unseeded(module: Module) -> Iterator[Hit]:
    """`random.Random()`."""
    for call in module.calls("random.Random"):
        if _is_unseeded(module, call) and not _is_fallback(module, call) and not _is_seeded_later(module, call):
            message = "`random.Random` without a seed takes one from the system; random.seed does not reach it"
            yield Hit(call.node, message, "hand in a seed")


@rule("OPL223", "torch-generator-unseeded", "warning", ["Generator"])
def torch_generator_unseeded(module: Module) -> Iterator[Hit]:
    """`torch.Generator()` that nobody seeds."""
    for call in module.calls("torch.Generator"):
        if not _is_seeded_later(module, call) and not _is_handed_on(module, call) and not _is_fallback(module, call):
            message = "this generator is never seeded: torch.manual_seed does not reach it, it starts alike each time"
            yield Hit(call.node, message, ".manual_seed(seed) behind it")


def _is_unseeded(module: Module, call: Call) -> bool:
    if call.is_open:
        return False
    seed = seed_argument(call)
    return seed is None or module.literal(seed, call.frame) is None


def _is_fallback(module: Module, call: Call) -> bool:
    """Whether the generator only stands in for one that the caller did not hand in."""
    above = module.parents.get(call.node)
    if isinstance(above, ast.BoolOp | ast.IfExp | ast.arguments):
        return True
    return any("None" in ast.unparse(test) or words_of(test) & {"seed", "rng"} for test in tests_around(call.frame))


def _is_seeded_later(module: Module, call: Call) -> bool:
    """Whether the generator is seeded where it is made, or under the name it is given."""
    above = module.parents.get(call.node)
    if isinstance(above, ast.Attribute):
        return above.attr in _SEEDING
    name = _name_given(above)
    if name is None:
        return False
    if call.name != "torch.Generator" and name in _seeded_names(module, call.name):
        return True
    if "seeded" not in module.cache:
        module.cache["seeded"] = {
            _last(each.node.func.value)  # type: ignore[attr-defined]
            for each in module.methods(*_SEEDING)
        }
    return name in module.cache["seeded"]


def _seeded_names(module: Module, generator: str) -> set[str | None]:
    """The names under which such a generator is made with a seed, in another place."""
    if generator not in module.cache:
        made = (call for call in module.calls(generator) if not _is_unseeded(module, call))
        module.cache[generator] = {_name_given(module.parents.get(call.node)) for call in made}
    names: set[str | None] = module.cache[generator]
    return names


def _name_given(above: ast.AST | None) -> str | None:
    if isinstance(above, ast.Assign) and len(above.targets) == 1:
        return _last(above.targets[0])
    if isinstance(above, ast.AnnAssign | ast.NamedExpr):
        return _last(above.target)
    return None


def _last(node: ast.expr) -> str | None:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else None


def _is_handed_on(module: Module, call: Call) -> bool:
    """Whether somebody else may seed it: it is returned, kept in an object, or handed to a function not for drawing."""
    above = module.parents.get(call.node)
    if isinstance(above, ast.keyword):
        return above.arg != "generator"
    if isinstance(above, ast.Call):
        return True
    name = _name_given(above)
    if name is None:
        return True
    if "handed on" not in module.cache:
        module.cache["handed on"] = _names_handed_on(module)
    return name in module.cache["handed on"]


def _names_handed_on(module: Module) -> set[str]:
    """The names that are arguments of calls, or returned."""
    given = {each.id for call in module.every_call for each in call.node.args if isinstance(each, ast.Name)}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Return | ast.Yield) and node.value is not None:
            given |= words_of(node.value)
    return given
