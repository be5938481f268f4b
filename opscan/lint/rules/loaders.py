"""OPL30x: DataLoaders and their workers."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from opscan.lint.finding import Hit
from opscan.lint.module import Module
from opscan.lint.questions import method_names, words_of
from opscan.lint.records import Call
from opscan.lint.rule import rule
from opscan.lint.seeds import DRAWS, seed_argument, wants_repeats

_LOADER = "torch.utils.data.DataLoader"
_NUMPY_SEEDED_SINCE = (1, 9)
"""Source: pytorch#56488; torch/utils/data/_utils/worker.py seeds random, torch and numpy in each worker."""


def _loaders(module: Module) -> Iterator[Call]:
    for call in module.calls(_LOADER):
        if not call.is_open:
            yield call


def _has_workers(module: Module, call: Call) -> bool:
    """Whether the loader starts workers, as far as one can see: a number that is not 0, or a variable."""
    given = call.argument("num_workers", 5)
    return given is not None and module.literal(given, call.frame) != 0


@rule("OPL301", "loader-without-generator", "warning", ["DataLoader", "seed or determin"])
def loader_without_generator(module: Module) -> Iterator[Hit]:
    """A DataLoader that shuffles with workers, without a generator, in a file that seeds."""
    for call in _loaders(module):
        shuffles = module.literal(call.argument("shuffle", 2), call.frame) is True
        if not shuffles or not _has_workers(module, call) or call.keyword("generator") is not None:
            continue
        if wants_repeats(module):
            message = "shuffles with workers but has no generator: order and worker seeds depend on all draws before it"
            yield Hit(call.node, message, "generator=torch.Generator().manual_seed(seed)")


@rule("OPL302", "loader-workers-unseeded", "warning", ["DataLoader", "num_workers", "seed or determin", "random"])
def loader_workers_unseeded(module: Module) -> Iterator[Hit]:
    """Workers without worker_init_fn whose dataset draws with NumPy or random."""
    if module.torch is not None and module.torch >= _NUMPY_SEEDED_SINCE:
        return
    for call in _loaders(module):
        if not _has_workers(module, call) or call.argument("worker_init_fn", 10) is not None:
            continue
        drawn = _drawn_in_dataset(module)
        if drawn and wants_repeats(module):
            message = (
                f"has workers but no worker_init_fn, and `{drawn}` is drawn in a dataset:"
                " before torch 1.9 every worker draws the same"
            )
            fix = "worker_init_fn=seed_worker, which seeds from torch.initial_seed()"
            yield Hit(call.node, message, fix)


def _drawn_in_dataset(module: Module) -> str:
    for name in module.called_names:
        if DRAWS.get(name) in ("numpy", "random"):
            for call in module.calls(name):
                home = call.frame.class_of_method
                if home is not None and method_names(home) & {"__getitem__", "__iter__"}:
                    return name
    return ""


@rule("OPL303", "worker-seed-ignores-torch", "warning", ["worker_init_fn"])
def worker_seed_ignores_torch(module: Module) -> Iterator[Hit]:
    """A worker_init_fn that seeds with something else than what torch hands to each worker in each epoch."""
    for call in module.every_call:
        given = call.keyword("worker_init_fn")
        if isinstance(given, ast.Name):
            function: ast.AST | None = module.function_named(given.id)
            if function is None:
                value = module.value_of(given, call.frame)
                function = value if isinstance(value, ast.Lambda) else None
        else:
            function = given if isinstance(given, ast.Lambda) else None
        if function is None:
            continue
        for seed in _seeds_in(module, function):
            message = "does not depend on torch.initial_seed(): the workers draw the same numbers in every epoch"
            yield Hit(seed, f"this worker seed {message}", "torch.initial_seed() % 2**32")


def _seeds_in(module: Module, function: ast.AST) -> Iterator[ast.expr]:
    """The seeds that a worker function sets, if nothing in it asks torch for the worker's own."""
    inside = list(ast.walk(function))
    asks = {each.attr for each in inside if isinstance(each, ast.Attribute)} | {
        each.id for each in inside if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load)
    }
    if asks & {"initial_seed", "get_worker_info"}:
        return
    for call in module.calls("numpy.random.seed", "random.seed", "torch.manual_seed"):
        seed = seed_argument(call)
        if seed is None or call.node not in inside or module.literal(seed, call.frame) is None:
            continue
        if not _asks_outside(seed):
            yield seed


def _asks_outside(seed: ast.expr) -> bool:
    """Whether the seed is computed by a function we do not see."""
    return any(
        isinstance(each, ast.Call)
        and not words_of(each.func) & {"get_state", "int", "hash", "str", "abs", "np", "numpy"}
        for each in ast.walk(seed)
    )
