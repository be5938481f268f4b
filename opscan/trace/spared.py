"""Keep torch._dynamo and sympy from being imported for nothing.

# Note [Sparing imports]
Many meta kernels are Python references wrapped in `torch._disable_dynamo`, whose wrapper imports torch._dynamo at its
first call only to ask for a version of the function that dynamo will not compile (torch 2.13 and 2.15:
torch/_compile.py, torch/_prims_common/wrappers.py). Others check a size with `torch._check`, which imports
torch.fx.experimental.symbolic_shapes, and so sympy, only to ask whether a condition that is a plain bool holds (torch
2.6 to 2.15: `_check_with` in torch/__init__.py, `expect_true` in symbolic_shapes.py), or sympy to ask whether a number
is an expression (`elementwise_dtypes` in torch/_prims_common/__init__.py). The first import takes longer
than `import torch` itself, the second a quarter of it, and a trace compiles nothing and has no symbols. So while a
trace runs, and only if they were not imported before, stand-ins answer. Any other use of these modules (a model that
calls torch.compile) gets the real one at once. Afterwards the stand-ins are gone, and so are the answers that wrappers
had cached.
"""

from __future__ import annotations

import functools
import importlib
import operator
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import ModuleType
from typing import Any

import torch.fx.experimental

_CACHE = "__dynamo_disable"
_DECIDES = (
    *("expect_true", "guard_bool", "guard_or_false", "guard_or_true", "guard_size_oblivious", "definitely_true"),
    "statically_known_true",
)
_ADVISE = ("_advise_is_size", "_advise_is_bounded")
"""Say something of a symbol, and nothing of a plain number."""

_ASKED_FOR_OFTEN = ("guarding_hint_or_throw", "has_guarding_hint", "free_unbacked_symbols", "guard_int")
"""Imported by meta kernels, and not called where nothing is symbolic."""


class _StandIn(ModuleType):
    """For everything that it has no answer for it steps aside for the real module."""

    is_package = False

    def __init__(self, name: str, parent: ModuleType | None = None) -> None:
        super().__init__(name)
        self._parent = parent

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and not (name == "__path__" and self.is_package):
            raise AttributeError(name)  # who looks through all modules (inspect) wants nothing of it
        return self._real(name)

    def _real(self, name: str) -> Any:
        self.leave()
        return getattr(importlib.import_module(self.__name__), name)

    def enter(self) -> None:
        """Stand where the module would."""
        sys.modules[self.__name__] = self
        if self._parent is not None:
            self._parent.__dict__[self.__name__.rpartition(".")[2]] = self

    def leave(self) -> None:
        """Make room for the real module."""
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        last = self.__name__.rpartition(".")[2]
        if self._parent is not None and self._parent.__dict__.get(last) is self:
            del self._parent.__dict__[last]


class _Dynamo(_StandIn):
    """Answers `disable(fn)` with `fn`."""

    is_package = True

    def __init__(self) -> None:
        super().__init__("torch._dynamo", torch)
        self.disabled: list[Callable[..., Any]] = []

    def disable(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Callable[..., Any]:
        self.disabled.append(fn)
        return fn

    def leave(self) -> None:
        super().leave()
        for fn in self.disabled:
            fn.__dict__.pop(_CACHE, None)
        self.disabled.clear()


class _Symbols(_StandIn):
    """Answers what asks whether a condition holds with the condition, if that is a plain bool; and joins conditions."""

    def __init__(self) -> None:
        super().__init__("torch.fx.experimental.symbolic_shapes", torch.fx.experimental)
        for name in _DECIDES:
            setattr(self, name, self._answer(name))
        for name in _ASKED_FOR_OFTEN:
            setattr(self, name, functools.partial(self._asked, name))
        for name in _ADVISE:
            setattr(self, name, functools.partial(self._advise, name))
        self.sym_eq = self._equal
        self.is_nested_int = lambda size: type(size) is not int and self._real("is_nested_int")(size)
        self.sym_and = lambda *conditions: functools.reduce(operator.and_, conditions)
        self.sym_or = lambda *conditions: functools.reduce(operator.or_, conditions)

    def _asked(self, name: str, *args: Any, **kwargs: Any) -> Any:
        return self._real(name)(*args, **kwargs)

    def _advise(self, name: str, size: Any, *args: Any, **kwargs: Any) -> Any:
        return None if type(size) is int else self._real(name)(size, *args, **kwargs)

    def _equal(self, one: Any, other: Any) -> Any:
        if all(isinstance(each, tuple | list) and {type(size) for size in each} <= {int} for each in (one, other)):
            return list(one) == list(other)
        return self._real("sym_eq")(one, other)

    def _answer(self, name: str) -> Callable[..., Any]:
        def decide(condition: Any, *args: Any, **kwargs: Any) -> Any:
            return condition if type(condition) is bool else self._real(name)(condition, *args, **kwargs)

        return decide


class _Sympy(_StandIn):
    """Has the class that arguments are asked to be of."""

    is_package = True

    class Basic:
        """Nothing is one."""

    def __init__(self) -> None:
        super().__init__("sympy")


@contextmanager
def imports_spared() -> Iterator[None]:
    """While active, meta kernels do not import torch._dynamo or sympy."""
    with ExitStack() as stack:
        for kind in (_Dynamo, _Symbols, _Sympy):
            stand_in = kind()
            if stand_in.__name__ not in sys.modules:
                stack.callback(stand_in.leave)
                stand_in.enter()
        yield
