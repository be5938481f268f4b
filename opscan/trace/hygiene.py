"""Leave the process as it was: random numbers, determinism flags, defaults and warning filters."""

from __future__ import annotations

import functools
import gc
import random
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from types import FunctionType
from typing import Any

import torch
from torch.nn.modules import module as module_hooks

from opscan.trace.asked import AskedStrict
from opscan.trace.kept import KeptContents
from opscan.trace.modes import modes_closed
from opscan.trace.process import settings_unchanged
from opscan.trace.replaced import replaced

_eager: list[None] = []
"""One for each block under way in which nothing is compiled."""


def _compiled_later(model: Any = None, **how: Any) -> Any:
    """What stands for torch.compile, called with a model or to decorate one.

    A function that outlives the block, of a module that is imported in it, is compiled when it is called afterwards.
    """
    if model is None:
        return functools.partial(_compiled_later, **how)
    if not isinstance(model, FunctionType):
        return model
    compiled = functools.cache(lambda: torch.compile(model, **how))

    @functools.wraps(model)
    def later(*args: Any, **kwargs: Any) -> Any:
        return (model if _eager else compiled())(*args, **kwargs)

    return later


@contextmanager
def _compiled_code_eager() -> Iterator[None]:
    """What torch.compile has wrapped runs uncompiled, and nothing new is wrapped, nor torch._dynamo imported for it."""
    stance = torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else nullcontext()
    _eager.append(None)
    try:
        with replaced([(torch, "compile", _compiled_later)]), stance:
            yield
    finally:
        _eager.pop()


@contextmanager
def collector_rests() -> Iterator[None]:
    """While active, the cyclic garbage collector does not run by itself.

    What goes through a whole graph makes many small objects and no cycles. The collector would walk the graph for them:
    0.3 s for 40,000 ops, more than judging them takes (CPython 3.11).
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        (gc.enable if collecting else gc.disable)()


def _states() -> Any:
    loaded: Any = sys.modules.get("torch.distributed._composable_state")
    return loaded._module_state_mapping if loaded is not None else {}


@contextmanager
def states_unchanged() -> Iterator[None]:
    """Afterwards the modules that fully_shard has put a state beside are those that had one before.

    Source: torch/distributed/_composable_state.py, torch 2.6 to 2.15.
    """
    known = {id(each) for each in list(_states())}
    try:
        yield
    finally:
        table = _states()
        for module in [each for each in list(table) if id(each) not in known]:
            del table[module]


@contextmanager
def hooks_unchanged() -> Iterator[None]:
    """Afterwards the hooks for all modules and for all optimizers are those that were there before."""
    owners = [vars(module_hooks), vars(sys.modules["torch.optim.optimizer"])]
    named = [each for owner in owners for name, each in owner.items() if name.startswith("_global_")]
    tables = KeptContents(named, depth=1)
    full = module_hooks._global_is_full_backward_hook
    try:
        yield
    finally:
        tables.restore()
        module_hooks._global_is_full_backward_hook = full


@contextmanager
def unchanged_process(asked: AskedStrict | None = None, strict: bool | None = None) -> Iterator[None]:
    """Restore, value by value, all process-wide state a trace touches, however it ends.

    Inside, strict mode is off, and `asked` hears what the code would have it (see Note [Strict mode in a trace]); or,
    given `strict`, it is on or off for real. The cyclic garbage collector rests.
    """
    was_strict = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    cpu_rng, python_rng = torch.get_rng_state(), random.getstate()
    cuda_rng = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
    numpy_random = sys.modules.get("numpy.random")
    numpy_rng = numpy_random.get_state() if numpy_random else None
    try:
        with (
            collector_rests(),
            warnings.catch_warnings(),
            settings_unchanged(),
            hooks_unchanged(),
            modes_closed(),
            _compiled_code_eager(),
            states_unchanged(),
        ):
            warnings.simplefilter("ignore")
            torch._C._set_deterministic_algorithms(bool(strict))
            torch.set_anomaly_enabled(False)  # meta has no values to check
            with (asked or AskedStrict()).listening() if strict is None else nullcontext():
                yield
    finally:
        torch._C._set_deterministic_algorithms(was_strict, warn_only=warn_only)
        torch.set_rng_state(cpu_rng)
        random.setstate(python_rng)
        if cuda_rng is not None:
            torch.cuda.set_rng_state_all(cuda_rng)
        if numpy_random:
            numpy_random.set_state(numpy_rng)
