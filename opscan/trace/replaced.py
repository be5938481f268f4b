"""Attributes of other modules replaced for a while, also where a module that is imported meanwhile has taken them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any


@contextmanager
def replaced(places: Sequence[tuple[Any, str, Any]]) -> Iterator[None]:
    """While active each `owner.name` is `own`, of places (owner, name, own); then they are what they were."""
    originals = [(owner, name, getattr(owner, name)) for owner, name, _ in places]
    own_to_original = {id(own): original for (_, _, own), (_, _, original) in zip(places, originals, strict=True)}
    with handed_back(lambda value: own_to_original.get(id(value), value)):
        for owner, name, own in places:
            setattr(owner, name, own)
        try:
            yield
        finally:
            for owner, name, original in originals:
                setattr(owner, name, original)


@contextmanager
def handed_back(original_of: Callable[[Any], Any]) -> Iterator[None]:
    """Afterwards the names of modules that were imported meanwhile stand for `original_of` what they stood for.

    `from torch import compile` in such a module would keep what stood there for the time of the import.
    """
    known = set(sys.modules)
    try:
        yield
    finally:
        for module in [sys.modules[each] for each in sys.modules.keys() - known]:
            names = getattr(module, "__dict__", None) or {}
            for name, value in list(names.items()):
                original = original_of(value)
                if original is not value:
                    names[name] = original
