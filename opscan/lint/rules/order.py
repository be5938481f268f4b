"""OPL21x: seeds in the wrong place."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from opscan.lint.finding import Hit
from opscan.lint.module import Module
from opscan.lint.questions import bases_of, is_neural, loops_around, words_of
from opscan.lint.records import Call
from opscan.lint.rule import rule
from opscan.lint.scopes import exclude
from opscan.lint.seeds import MENTIONED, SeedCall, seed_calls

_LAYERS = (
    "Linear", "Conv", "LSTM", "GRU", "RNN", "Embedding", "Transformer", "Bilinear", "MultiheadAttention", "LazyLinear",
    "LazyConv",
)  # fmt: skip
_FACTORIES = ("torchvision.models.", "timm.create_model", "keras.Sequential", "tensorflow.keras.Sequential",
              "tensorflow.keras.models.Sequential", "keras.models.Sequential")  # fmt: skip
_MAKES_MODEL = re.compile(r"(create|build|make|get|init|load)_?\w*(model|net)|(Model|Net|Trainer)$")
_STEPS = frozenset(("backward", "manual_backward", "train_on_batch"))
_EVERY_TIME = frozenset(("forward", "training_step", "__getitem__", "validation_step"))
Loop = ast.For | ast.AsyncFor | ast.While


@rule("OPL211", "seed-after-model", "warning", [MENTIONED, "nn or Module or models or timm or keras or lightning"])
def seed_after_model(module: Module) -> Iterator[Hit]:
    """The first seed comes after the model's weights were drawn."""
    seeds: dict[ast.AST, list[SeedCall]] = {}
    for each in seed_calls(module):
        if each.generators & {"torch", "tf"}:
            seeds.setdefault(each.call.frame.home.node, []).append(each)
    known: set[ast.AST] = set()
    for model in module.ordered_calls if seeds else ():
        home = model.frame.home
        if home.node not in seeds or home.node in known or not _builds(module, model):
            continue
        if home.kind == "class" or _in_method_of_model(module, model):
            continue
        here = seeds[home.node]
        after = [each for each in here if each.call.at > model.at and not exclude(each.call.frame, model.frame)]
        if here[0].call.at < model.at or not after or after[0].call.statement is model.statement:
            continue
        if set(loops_around(after[0].call.frame)) - set(loops_around(model.frame)):
            continue
        known.add(home.node)
        if not _seeded_by_a_caller(module, seeds, home.node):
            message = f"seeds after the model was built in line {model.node.lineno}: its weights are drawn unseeded"
            yield Hit(after[0].call.node, message, "seed before the model is built")


def _builds(module: Module, call: Call) -> bool:
    name = call.name
    if name.startswith("@"):
        node = module.classes.get(name[1:])
        return node is not None and is_neural(module, node) and "@" + node.name == name and bool(bases_of(module, node))
    if name.startswith("torch.nn."):
        last = name.rpartition(".")[2]
        return last.startswith(_LAYERS) and name.count(".") == 2
    return name.startswith(_FACTORIES) and not name.rpartition(".")[2].startswith(("get_", "list_"))


def _in_method_of_model(module: Module, call: Call) -> bool:
    node = call.frame.class_of_method
    return node is not None and is_neural(module, node)


def _seeded_by_a_caller(module: Module, seeds: dict[ast.AST, list[SeedCall]], home: ast.AST) -> bool:
    """Whether a function runs after a seed elsewhere: at the module's level, or in a function that calls it."""
    if not isinstance(home, ast.FunctionDef | ast.AsyncFunctionDef):
        return False
    callers = {call.frame.home.node for call in _calls_by_last_name(module).get(home.name, ())} | {module.tree}
    return any(each.call.name != f"@{home.name}" for node in callers for each in seeds.get(node, ()))


def _calls_by_last_name(module: Module) -> dict[str, list[Call]]:
    """The calls by the last part of what they call, whatever it belongs to."""
    if "by last name" not in module.cache:
        found: dict[str, list[Call]] = {}
        for call in module.every_call:
            function = call.node.func
            last = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            found.setdefault(last, []).append(call)
        module.cache["by last name"] = found
    calls: dict[str, list[Call]] = module.cache["by last name"]
    return calls


@rule("OPL212", "seed-per-iteration", "warning", [MENTIONED])
def seed_per_iteration(module: Module) -> Iterator[Hit]:
    """The same seed again before every batch, so that each draws the same numbers."""
    for each in seed_calls(module):
        if each.restores:
            continue
        function = each.call.frame.function
        loops = loops_around(each.call.frame)
        if not loops and function is not None and function.name in _EVERY_TIME and each.call.frame.class_of_method:
            if _is_fixed(module, each, function):
                message = f"the same seed in every {function.name}: each draws the same numbers"
                yield Hit(each.call.node, message, "seed once, before training")
        elif loops and _is_training_step(module, loops[0]) and _is_fixed_in(module, each, loops):
            message = "the same seed for every batch: dropout and augmentation draw the same numbers each time"
            yield Hit(each.call.node, message, "seed once, before the loop")


@rule("OPL213", "seed-per-epoch", "warning", [MENTIONED])
def seed_per_epoch(module: Module) -> Iterator[Hit]:
    """The same seed again in every epoch, so that each sees the same augmentation and order."""
    for each in seed_calls(module):
        loops = loops_around(each.call.frame)
        if (
            not loops
            or each.restores
            or _is_training_step(module, loops[0])
            or not _is_fixed_in(module, each, loops[:1])
        ):
            continue
        if _is_epoch_loop(module, loops[0]) and not _starts_anew(module, loops[0]):
            message = "the same seed in every epoch: each sees the same order and the same augmentation"
            yield Hit(each.call.node, message, "seed once, before the loop, or with seed + epoch")


def _is_training_step(module: Module, loop: Loop) -> bool:
    """Whether a pass of the loop itself, and not of a loop in it, is one batch: it calls backward."""
    return any(_innermost_loop(call) is loop for call in _steps_in(module, loop)) or (
        isinstance(loop, ast.For) and bool(words_of(loop.iter) & _LOADERS)
    )


_LOADERS = frozenset(
    ("loader", "train_loader", "dataloader", "train_dataloader", "trainloader", "data_loader", "DataLoader", "batches")
)


def _steps_in(module: Module, loop: Loop) -> list[Call]:
    return [call for call in module.calls_in(loop) if getattr(call.node.func, "attr", "") in _STEPS]


def _innermost_loop(call: Call) -> Loop | None:
    loops = loops_around(call.frame)
    return loops[0] if loops else None


def _is_epoch_loop(module: Module, loop: Loop) -> bool:
    """Whether a pass of the loop is an epoch: it says so, or a loop in it has the training steps."""
    head = words_of(loop.target) | words_of(loop.iter) if isinstance(loop, ast.For) else words_of(loop.test)  # type: ignore[union-attr]
    return any("epoch" in word.lower() for word in head) or bool(_steps_in(module, loop))


def _starts_anew(module: Module, loop: Loop) -> bool:
    """Whether each pass of the loop is an experiment of its own: it builds a model or an optimizer."""
    return any(
        _builds(module, call)
        or call.name.startswith("torch.optim.")
        or _MAKES_MODEL.search(call.name.rpartition(".")[2])
        for call in module.calls_in(loop)
    )


def _is_fixed(module: Module, each: SeedCall, function: ast.AST) -> bool:
    """Whether a seed does not depend on what the function is called with, nor on itself."""
    assert isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
    given = {argument.arg for argument in function.args.args}
    return (
        each.seed is not None
        and module.literal(each.seed, each.call.frame) is not None
        and not (words_of(each.seed) & (given | {"self"}) or _has_call(each.seed))
    )


def _is_fixed_in(module: Module, each: SeedCall, loops: list[Loop]) -> bool:
    """Whether a seed is the same in every pass of the loops: nothing in it is bound within them."""
    if each.seed is None or _has_call(each.seed) or module.literal(each.seed, each.call.frame) is None:
        return False
    changing: set[str] = set()
    for loop in loops:
        for node in ast.walk(loop):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                changing.add(node.id)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
                changing.add(node.attr)
    return not words_of(each.seed) & changing


def _has_call(node: ast.expr) -> bool:
    return any(isinstance(each, ast.Call) for each in ast.walk(node))
