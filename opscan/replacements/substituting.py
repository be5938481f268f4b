"""Drop-ins in place of their originals, wherever the originals are called while a block runs."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

from torch.overrides import TorchFunctionMode

from opscan import traced_for
from opscan.rules.dropins import load_dropins


class Substituting(TorchFunctionMode):
    """While it is active, calls of torch's functions run the drop-ins of these names; all where none is given.

    Modules of torch's are reached through the functions they call. Inside a drop-in nothing is replaced. Raises
    ValueError for a name that no drop-in has.
    """

    def __init__(self, names: Iterable[str] | None = None) -> None:
        super().__init__()
        self._table = _table(frozenset(load_dropins().by_name if names is None else names))

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return self._table.get(func, func)(*args, **(kwargs or {}))


@cache
def _table(names: frozenset[str]) -> Mapping[Any, Callable[..., Any]]:
    known = load_dropins().by_name
    for name in sorted(names - set(known)):
        raise ValueError(f"opscan.replacements has no {name!r}")
    home = importlib.import_module("opscan.replacements")
    return {
        original: getattr(home, name)
        for name in names
        for of in known[name].of
        if (original := _public(of)) is not None and not isinstance(original, type)
    }


def _public(name: str) -> Any:
    """What a public dotted name stands for; None where this torch, or an optional package, does not have it."""
    package, *parts = name.split(".")
    try:
        found: Any = importlib.import_module(package)
        for part in parts:
            found = getattr(found, part)
    except (ImportError, AttributeError):
        return None
    return getattr(found, traced_for.DOOR_TO, found)
