"""Keep torch._dynamo from being imported for nothing.

# Note [Sparing torch._dynamo]
Many meta kernels are Python references wrapped in `torch._disable_dynamo`, whose wrapper imports torch._dynamo at its
first call only to ask for a version of the function that dynamo will not compile (torch 2.13 and 2.15:
torch/_compile.py, torch/_prims_common/wrappers.py). That import takes longer than `import torch` itself, and a trace
compiles nothing. So while a trace runs, and only if torch._dynamo was not imported before, a stand-in answers
`disable(fn)` with `fn`. Any other use of torch._dynamo (a model that calls torch.compile) gets the real module at
once. Afterwards the stand-in is gone, and so are the answers the wrappers had cached.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import torch

_NAME = "torch._dynamo"
_CACHE = "__dynamo_disable"


class _StandIn(ModuleType):
    """Answers `disable`; for everything else steps aside for the real module."""

    def __init__(self) -> None:
        super().__init__(_NAME)
        self.disabled: list[Callable[..., Any]] = []

    def disable(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Callable[..., Any]:
        self.disabled.append(fn)
        return fn

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__path__":  # who looks through all modules (inspect) wants nothing of it
            raise AttributeError(name)
        self.leave()
        return getattr(importlib.import_module(_NAME), name)

    def leave(self) -> None:
        if sys.modules.get(_NAME) is self:
            del sys.modules[_NAME]
        if torch.__dict__.get("_dynamo") is self:
            del torch.__dict__["_dynamo"]
        for fn in self.disabled:
            fn.__dict__.pop(_CACHE, None)
        self.disabled.clear()


@contextmanager
def dynamo_spared() -> Iterator[None]:
    """While active, wrapping a function in torch._disable_dynamo does not import torch._dynamo."""
    if _NAME in sys.modules:
        yield
        return
    stand_in = _StandIn()
    sys.modules[_NAME] = stand_in
    torch.__dict__["_dynamo"] = stand_in
    try:
        yield
    finally:
        stand_in.leave()
