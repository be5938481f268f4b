"""Classes that modules are given: their own with a drop-in below it, or with calls replaced while forward runs.

Note [A module keeps everything but its class]
A module is changed by giving it another class, so parameters, buffers, hooks, names in the state_dict, and every place
that holds the module, stay what they were; taking it back is giving it the class it had. A class made here goes by the
name of the user's, is a subclass of it, and is made once; it is pickled as what it was made from.
"""

from __future__ import annotations

import functools
import importlib
from functools import cache
from typing import Any

from torch import nn

from opscan.replacements.substituting import Substituting

_MADE_FROM = "_opscan_made_from"


def dropin_class(cls: Any, name: str) -> type[nn.Module]:
    """The class with the forward of `opscan.replacements.<name>`: that itself, or a subclass of `cls` where `cls` is a
    user's own subclass of what is replaced."""
    dropin: Any = getattr(importlib.import_module("opscan.replacements"), name)
    made: type[nn.Module] = dropin if cls in dropin.__mro__ else _mixed(cls, dropin)
    return made


@cache
def _mixed(cls: Any, dropin: Any) -> type[nn.Module]:
    """`cls` with the drop-in between it and torch's class."""
    return type(cls.__name__, (cls, dropin), _described(cls, (cls, dropin.__name__, True)))


def calling_class(cls: Any, names: frozenset[str]) -> type[nn.Module]:
    """`cls` with calls of what these drop-ins stand for replaced while its forward runs, beside those it had."""
    base, already, is_module = getattr(cls, _MADE_FROM, (cls, frozenset(), False))
    return _calling(cls, names) if is_module else _calling(base, already | names)


@cache
def _calling(cls: Any, names: frozenset[str]) -> type[nn.Module]:
    forward = cls.forward

    @functools.wraps(forward)
    def substituted(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        with Substituting(names):
            return forward(self, *args, **kwargs)

    return type(cls.__name__, (cls,), {**_described(cls, (cls, names, False)), "forward": substituted})


def _described(cls: type, made_from: tuple[Any, ...]) -> dict[str, Any]:
    return {
        "__module__": cls.__module__,
        "__qualname__": cls.__qualname__,
        "__doc__": cls.__doc__,
        "__reduce_ex__": _reduce_ex,
        _MADE_FROM: made_from,
    }


def _reduce_ex(self: nn.Module, protocol: Any) -> Any:
    """As usual, but for the class, which no module has by name."""
    usual: Any = object.__reduce_ex__(self, protocol)
    return (_made_again, getattr(type(self), _MADE_FROM), *usual[2:])


def _made_again(cls: type[nn.Module], how: Any, is_module: bool) -> nn.Module:
    made = dropin_class(cls, how) if is_module else calling_class(cls, how)
    return made.__new__(made)
