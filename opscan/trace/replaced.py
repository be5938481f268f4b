"""Attributes of other modules replaced for a while."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any


@contextmanager
def replaced(places: Sequence[tuple[Any, str, Any]]) -> Iterator[None]:
    """While active each `owner.name` is `own`, of places (owner, name, own); then they are what they were."""
    originals = [(owner, name, getattr(owner, name)) for owner, name, _ in places]
    for owner, name, own in places:
        setattr(owner, name, own)
    try:
        yield
    finally:
        for owner, name, original in originals:
            setattr(owner, name, original)
