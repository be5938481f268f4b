"""Which drop-in answers a finding at one of its places."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import NamedTuple

from opscan.finding import Line, Place
from opscan.rules.dropins import DropIn, load_dropins


class Choice(NamedTuple):
    """A drop-in for what a place calls or builds: `of` by its public name, at `line`."""

    dropin: DropIn
    of: str
    line: Line | None
    is_module: bool


@cache
def _by_original() -> Mapping[tuple[str, str], DropIn]:
    return {
        (of, rule): dropin for dropin in load_dropins().by_name.values() for of in dropin.of for rule in dropin.rules
    }


def choose(rule: str, place: Place) -> Choice | None:
    """The drop-in to put at a place: for the module, where torch's own runs there, or for the call; None without one.

    Of the functions that lead to the op the outermost that a drop-in stands in for is taken: it is what the user wrote.
    """
    found = _by_original()
    module = found.get((place.stock, rule))
    if module is not None:
        return Choice(module, place.stock, place.constructed, True)
    for name in place.public:
        if (name, rule) in found:
            return Choice(found[name, rule], name, None if place.stock else place.called, False)
    return None
