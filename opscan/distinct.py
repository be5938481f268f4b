"""Whether an index can hold one value twice, told from the op that made it."""

from __future__ import annotations

import operator
from collections.abc import Set
from typing import Any

from torch import fx

from opscan.trace.graph import Trace, storages_of
from opscan.trace.traits import traits_of

_SORTS = {"sort", "topk"}
_SAME_VALUES = {"view", "_unsafe_view", "clone", "alias", "detach", "unsqueeze", "squeeze"}


def never_repeats(node: fx.Node, written: Set[int]) -> bool:
    """Whether no two of its values are equal, whatever the batch: a permutation, or the places of the largest values.

    Those are the indices that sorting all values of a 1-D tensor returns, and randperm. Ops that keep the values are
    followed back; an index in memory that is `written` to is not.
    """
    at: Any = node
    while isinstance(at, fx.Node) and written.isdisjoint(storages_of(at)):
        if at.target is operator.getitem:  # one of several results
            source: Any = at.args[0]
            return bool(at.args[1] == 1) and traits_of(source.target).name in _SORTS and _is_line(source.args[0])
        name = traits_of(at.target).name if "opscan" in at.meta else ""
        if name not in _SAME_VALUES:
            return name == "randperm"
        at = at.args[0]
    return False


def _is_line(value: Any) -> bool:
    return isinstance(value, fx.Node) and len(value.meta["tensors"].shape) == 1


def written_storages(trace: Trace) -> frozenset[int]:
    """The memory that any op of the trace writes to, by number."""
    written: set[int] = set()
    for node in trace.ops():
        for position in traits_of(node.target).writes_at:
            target = node.args[position] if position < len(node.args) else None
            if isinstance(target, fx.Node):
                written.update(storages_of(target))
    return frozenset(written)
