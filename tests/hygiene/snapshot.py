"""What can be observed at one moment, facet by facet, and how two moments differ.

    with unchanged(model, inputs):
        opscan.check(model, inputs)

A facet is a function that returns data: dicts and sequences of values that compare, of `Same` for an object whose
identity counts, and of `Names` for what a module or a class binds. A difference names the facet and the path in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from operator import is_
from types import ModuleType
from typing import Any

_SHOWN = 120


@dataclass(frozen=True)
class Facet:
    """One thing that is to stay as it was; `holds` says in a few words what belongs to it."""

    name: str
    holds: str
    read: Callable[[], Any]


FACETS: dict[str, Facet] = {}
"""What can be observed of the process."""


def facet(name: str, holds: str) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    """Make a function without arguments a facet of the process."""

    def register(read: Callable[[], Any]) -> Callable[[], Any]:
        FACETS[name] = Facet(name, holds, read)
        return read

    return register


class Same:
    """An object by its identity; it is held, so that no other takes its address."""

    __slots__ = ("thing",)

    def __init__(self, thing: object) -> None:
        self.thing = thing

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other.thing is self.thing

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{type(self.thing).__name__} at {id(self.thing):#x}: {_short(self.thing)}>"


class Known(dict[str, Any]):
    """What may get new keys."""


class Upto:
    """A set that may lose members, and must not gain any."""

    __slots__ = ("_members",)

    def __init__(self, members: Iterable[object]) -> None:
        self._members = frozenset(members)

    def __eq__(self, later: object) -> bool:
        return isinstance(later, Upto) and later._members <= self._members

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return repr(sorted(map(str, self._members)))


class Most(int):
    """A number that may fall, and must not rise: frozen objects are counted as long as they live."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, later: object) -> bool:
        return isinstance(later, int) and int(later) <= int(self)

    def __ne__(self, later: object) -> bool:
        return not self == later


class Names:
    """What names stand for, by identity: quick to take and to compare, for tens of thousands. Counters do not count."""

    __slots__ = ("_bound",)

    def __init__(self, bound: Mapping[str, object]) -> None:
        self._bound = dict(bound)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Names):
            return False
        same = len(self._bound) == len(other._bound) and all(map(is_, self._bound.values(), other._bound.values()))
        return (same and self._bound.keys() == other._bound.keys()) or self.named() == other.named()

    __hash__ = None  # type: ignore[assignment]

    def named(self) -> dict[str, Same]:
        """The names one by one; without counters, modules, and what was warned of."""
        return {
            name: Same(thing)
            for name, thing in self._bound.items()
            if not isinstance(thing, int | ModuleType) and name != "__warningregistry__"
        }


def differences(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """The smallest parts that differ, each with the way to it."""
    if isinstance(before, Names) and isinstance(after, Names):
        if before != after:
            yield from differences(before.named(), after.named(), path)
    elif isinstance(before, dict) and isinstance(after, dict):
        for key in (*before, *(key for key in after if key not in before)):
            if key not in after:
                yield f"{path}/{key}: gone, was {_short(before[key])}"
            elif key not in before and isinstance(before, Known):
                continue
            elif key not in before:
                yield f"{path}/{key}: new, {_short(after[key])}"
            else:
                yield from differences(before[key], after[key], f"{path}/{key}")
        if list(before) != list(after) and before.keys() == after.keys():
            yield f"{path}: in another order"
    elif isinstance(before, list | tuple) and isinstance(after, list | tuple) and len(before) == len(after):
        for position, pair in enumerate(zip(before, after, strict=True)):
            yield from differences(*pair, f"{path}/{position}")
    elif before != after:
        yield f"{path}: {_short(before)} -> {_short(after)}"


def _short(value: object) -> str:
    try:
        text = repr(value)
    except Exception as error:  # a test's own object may have any __repr__
        text = f"<{type(value).__name__}, repr raises {type(error).__name__}>"
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "..."


class Snapshot:
    """All facets of the process at this moment, and all that can be observed of `belongings` and what they reach."""

    def __init__(self, *belongings: object) -> None:
        from tests.hygiene.belongings import observed

        self._belongings = belongings
        self.state = {**process(), "belongings": observed(belongings)}

    def changes(self) -> list[str]:
        """What is different now; nothing where all is as it was."""
        return list(differences(self.state, Snapshot(*self._belongings).state))


def process() -> dict[str, Any]:
    """Every facet of the process, as it is now."""
    from tests.hygiene import python_state, torch_state  # noqa: F401  # they register their facets

    return {name: each.read() for name, each in FACETS.items()}


class Watch:
    """Scans one after the other: what one leaves is what the next one finds, so that each facet is read once a scan."""

    def __init__(self) -> None:
        self._process = process()
        self.scans = 0

    def changes(self, scan: Callable[[], object], *belongings: object) -> list[str]:
        """What a scan changes of the process and of these."""
        from tests.hygiene.belongings import observed

        before = {**self._process, "belongings": observed(belongings)}
        scan()
        self.scans += 1
        self._process = process()
        return list(differences(before, {**self._process, "belongings": observed(belongings)}))


@contextmanager
def unchanged(*belongings: object) -> Iterator[None]:
    """Fail if the block leaves anything changed, also where it raises."""
    before = Snapshot(*belongings)
    try:
        yield
    finally:
        changes = before.changes()
        assert not changes, "\n".join(["changed:", *changes])
