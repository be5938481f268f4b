"""OPL41x: what is random or left unwritten in a model's own code."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from opscan.lint.finding import Hit, replace
from opscan.lint.module import Module
from opscan.lint.questions import bases_of, tests_around, words_of
from opscan.lint.records import Call
from opscan.lint.rule import rule
from opscan.lint.seeds import DRAWS

_NUMBERS = ("torch.rand", "torch.randn", "torch.randint")


@rule("OPL411", "random-number-in-forward", "warning", ["forward", r"~rand(?:n|int|om)?\b"])
def random_number_in_forward(module: Module) -> Iterator[Hit]:
    """A number drawn in forward, in eval mode too: a rate, a choice, or anything from NumPy or random."""
    for call in drawn_in_forward(module):
        generator = DRAWS[call.name]
        if generator == "torch" and not (call.name in _NUMBERS and _is_one_number(module, call)):
            continue
        if generator == "torch":
            message = f"`{call.name}` draws a number in forward, in eval mode too"
        else:
            message = f"`{call.name}` in forward draws in eval mode too, and torch.manual_seed does not seed it"
        yield Hit(call.node, message, "draw it only if self.training, with torch's generators")


def drawn_in_forward(module: Module) -> Iterator[Call]:
    """Draws from a generator of the process in a model's forward that also happen in eval mode."""
    for name in module.called_names:
        if name not in DRAWS:
            continue
        for call in module.calls(name):
            function, home = call.frame.function, call.frame.class_of_method
            if function is None or function.name != "forward" or home is None or call.keyword("generator") is not None:
                continue
            if _is_model(module, home) and not _is_for_training(module, call):
                yield call


def _is_model(module: Module, home: ast.ClassDef) -> bool:
    """Whether a class has layers or calls their functions: an augmentation with a `forward` draws on purpose."""
    nodes = [home, *(module.classes[each[1:]] for each in bases_of(module, home) if each[1:] in module.classes)]
    bases = [name for each in nodes for name in bases_of(module, each)]
    if not any(name.startswith(("torch.nn.", "lightning.")) or "Model" in name for name in bases):
        return False
    return any(
        (call.name.startswith("torch.nn.") and call.name not in ("torch.nn.Module", "torch.nn.functional.pad"))
        or call.name.startswith("torch.einsum")
        for node in nodes
        for call in module.calls_in(node)
    )


def _is_for_training(module: Module, call: Call) -> bool:
    """Whether the draw happens only in training, by a condition before or around it."""
    tests = list(tests_around(call.frame))
    for each in ast.walk(call.statement):
        if isinstance(each, ast.IfExp | ast.BoolOp):
            tests.append(each)
    function = call.frame.function
    assert function is not None
    for each in ast.walk(function):  # if not self.training: return x
        if isinstance(each, ast.If) and each.lineno < call.node.lineno and isinstance(each.body[-1], ast.Return):
            tests.append(each.test)
    return any(any("train" in word.lower() for word in words_of(test)) for test in tests)


def _is_one_number(module: Module, call: Call) -> bool:
    """Whether a draw of torch's is of one number: torch.rand(1), torch.randint(0, n, (1,)), or with .item()."""
    above = module.parents.get(call.node)
    if isinstance(above, ast.Attribute) and above.attr == "item":
        return True
    sizes = call.node.args
    if call.name == "torch.randint":
        sizes = sizes[-1:]
    if not sizes and call.keyword("size") is None:
        return False
    size = sizes[0] if sizes else call.keyword("size")
    if isinstance(size, ast.Tuple | ast.List):
        return all(module.literal(each, call.frame) == 1 for each in size.elts)
    return len(sizes) == 1 and module.literal(size, call.frame) == 1


@rule("OPL413", "checkpoint-without-rng", "warning", ["preserve_rng_state"])
def checkpoint_without_rng(module: Module) -> Iterator[Hit]:
    """checkpoint(preserve_rng_state=False)."""
    for call in module.calls("torch.utils.checkpoint.checkpoint", "torch.utils.checkpoint.checkpoint_sequential"):
        given = call.keyword("preserve_rng_state")
        if given is not None and module.literal(given, call.frame) is False:
            message = "preserve_rng_state=False: dropout draws another mask when the forward is recomputed"
            yield Hit(given, message, "preserve_rng_state=True", (replace(given, "True"),))


@rule("OPL414", "triton-atomic-add", "warning", ["atomic_add", "triton"])
def triton_atomic_add(module: Module) -> Iterator[Hit]:
    """`tl.atomic_add` of something that may be a float."""
    for call in module.calls("triton.language.atomic_add"):
        value = module.literal(call.argument("val", 1), call.frame)
        if not isinstance(value, int):
            message = "tl.atomic_add adds in the order programs arrive: float sums differ, and strict mode says nothing"
            yield Hit(call.node, message, "partial sums with tl.store, and a sum over them")
