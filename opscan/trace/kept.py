"""What was, so that it can be again: snapshots of objects, containers, tables and caches, restored in place."""

from __future__ import annotations

import dis
import functools
import os
import random
import sys
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from types import CellType, CodeType, FunctionType
from typing import Any

import torch

from opscan.trace.reach import CONTAINERS, LONGEST, items_of, named_by, slots_of

DEPTH = 12
"""How deep nested containers are looked through."""


class KeptContents:
    """What containers, random number generators and arrays among some values hold."""

    def __init__(self, values: Iterable[Any], depth: int = DEPTH) -> None:
        self._containers: list[tuple[Any, list[tuple[Any, Any]]]] = []
        self._generators: list[tuple[Callable[[Any], object], Any]] = []
        self._arrays: list[tuple[Any, Any]] = []
        for value in values:
            self._keep(value, depth)

    def _keep(self, value: Any, depth: int) -> None:
        if (state := _state_of_generator(value)) is not None:
            self._generators.append(state)
        elif _is_array(value):
            self._arrays.append((value, value.copy()))
        elif depth and isinstance(value, CONTAINERS) and len(value) <= LONGEST:
            if not isinstance(value, tuple):
                self._containers.append((value, items_of(value)))
            for _, item in items_of(value):
                self._keep(item, depth - 1)

    def restore(self) -> None:
        """Put everything back, in place; what is as it was is not touched."""
        for container, items in self._containers:
            if not _are_same(items_of(container), items):
                _refill(container, items)
        for put_back, state in self._generators:
            put_back(state)
        for array, values in self._arrays:
            array[...] = values


class KeptObject:
    """An object's class, its attributes, and what these hold."""

    def __init__(self, holder: Any) -> None:
        self.holder = holder
        self.attributes = dict(holder.__dict__)
        self._cls = type(holder)
        self._contents = KeptContents(self.attributes.values())

    def restore(self) -> None:
        """Put everything back, value by value."""
        if type(self.holder) is not self._cls:
            self.holder.__class__ = self._cls
        self.holder.__dict__.clear()
        self.holder.__dict__.update(self.attributes)
        self._contents.restore()


class KeptSlots:
    """What the slots of an object without attributes hold."""

    def __init__(self, holder: Any) -> None:
        self._holder = holder
        self._slots = slots_of(holder)
        self._contents = KeptContents(self._slots.values())

    def restore(self) -> None:
        """Fill the slots again, also those of a frozen dataclass; those that were empty are emptied."""
        now = slots_of(self._holder)
        for name in now.keys() - self._slots.keys():
            object.__delattr__(self._holder, name)
        for name, value in self._slots.items():
            if now.get(name, _NOTHING) is not value:
                object.__setattr__(self._holder, name, value)
        self._contents.restore()


class KeptClass:
    """The attributes of a class, and what these hold: some count on the class, or cache there."""

    def __init__(self, cls: type) -> None:
        self._cls = cls
        self._attributes = dict(vars(cls))
        self._contents = KeptContents(self._attributes.values(), _SHALLOW)

    def restore(self) -> None:
        """Set back the attributes that are others now, and take off the new ones."""
        for name, value in self._attributes.items():
            if vars(self._cls).get(name, _NOTHING) is not value:
                setattr(self._cls, name, value)
        for name in [each for each in vars(self._cls) if each not in self._attributes]:
            delattr(self._cls, name)
        self._contents.restore()


class KeptFunction:
    """What a function can write to: its attributes, variables around it, globals; and what these and its defaults hold.

    Of globals it names those count that its code assigns to. What was imported meanwhile stays: see KeptContents.
    """

    def __init__(self, function: FunctionType) -> None:
        self._function = function
        self._attributes = dict(function.__dict__)
        self._cells = [(cell, _content(cell)) for cell in function.__closure__ or ()]
        self._globals = {name: function.__globals__.get(name, _NOTHING) for name in _assigned_in(function.__code__)}
        named = (
            *named_by(function).values(),
            *(function.__defaults__ or ()),
            *(function.__kwdefaults__ or {}).values(),
        )
        self._contents = KeptContents((each for each in named if not _is_shared(each)), _SHALLOW)

    def restore(self) -> None:
        """Put everything back."""
        if not _are_same(list(self._function.__dict__.items()), list(self._attributes.items())):
            _refill(self._function.__dict__, list(self._attributes.items()))
        for cell, content in self._cells:
            if _content(cell) is not content:
                _set_content(cell, content)
        for name, value in self._globals.items():
            if value is not _NOTHING:
                self._function.__globals__[name] = value
            else:
                self._function.__globals__.pop(name, None)
        self._contents.restore()


_SHALLOW = 2
"""How deep containers are looked through that a function names or a class holds; deeper ones hold constants."""
_NOTHING: Any = object()


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # nothing yet
        return _NOTHING


def _set_content(cell: CellType, content: Any) -> None:
    if content is _NOTHING:
        del cell.cell_contents
    else:
        cell.cell_contents = content


@functools.lru_cache(maxsize=4096)
def _assigned_in(code: CodeType) -> tuple[str, ...]:
    """The globals that code assigns to, or deletes, that of functions made within it included."""
    own = (each.argval for each in dis.get_instructions(code) if each.opname in ("STORE_GLOBAL", "DELETE_GLOBAL"))
    within = (name for each in code.co_consts if isinstance(each, CodeType) for name in _assigned_in(each))
    return tuple(dict.fromkeys((*own, *within)))


def _is_shared(value: Any) -> bool:
    """Whether a container belongs to the interpreter or to torch, of which other code keeps its own record."""
    return value is sys.modules or value is sys.path or value is os.environ


def _state_of_generator(value: Any) -> tuple[Callable[[Any], object], Any] | None:
    """How to put back the state of a random number generator, and that state; None for anything else."""
    if isinstance(value, torch.Generator):
        return value.set_state, value.get_state()
    if isinstance(value, random.Random):
        return value.setstate, value.getstate()
    numpy: Any = sys.modules.get("numpy.random")
    if numpy is not None and isinstance(value, numpy.RandomState):
        return value.set_state, value.get_state()
    if numpy is not None and isinstance(value, numpy.Generator):
        return functools.partial(setattr, value.bit_generator, "state"), value.bit_generator.state
    return None


def _are_same(now: list[tuple[Any, Any]], was: list[tuple[Any, Any]]) -> bool:
    return len(now) == len(was) and all(
        new[0] is old[0] and new[1] is old[1] for new, old in zip(now, was, strict=True)
    )


class KeptCache:
    """A function's lru_cache: what a trace computed for it has no values, so it must not stay there."""

    def __init__(self, cache: functools._lru_cache_wrapper[Any]) -> None:
        self._cache = cache
        self._misses = cache.cache_info().misses

    def restore(self) -> None:
        """Empty the cache, if anything was added to it."""
        if self._cache.cache_info().misses != self._misses:
            self._cache.cache_clear()


def _refill(container: Any, items: list[tuple[Any, Any]]) -> None:
    container.clear()
    if isinstance(container, dict):  # not Counter.update, which counts, nor one of the user's
        (OrderedDict if isinstance(container, OrderedDict) else dict).update(container, items)
    else:
        (container.extend if isinstance(container, list | deque) else container.update)(item for _, item in items)


def _is_array(value: Any) -> bool:
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, numpy.ndarray) and value.dtype != object and value.flags.writeable
