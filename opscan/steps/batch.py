"""A batch from its leaves: the tensors a step takes out of its arguments, put back in as it takes them out."""

from __future__ import annotations

import sys
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from types import SimpleNamespace
from typing import Any

from opscan.steps.reading import Kind, Part, Reading


@dataclass(frozen=True, slots=True)
class Leaf:
    """One value to be found: its path from the parameter inwards, and a name no other leaf has."""

    path: tuple[int | str, ...]
    name: str
    kind: str = "whole"


@dataclass(frozen=True, slots=True)
class Batch:
    """The arguments a step takes as data, by name, with how it reads them and how they are annotated."""

    readings: Mapping[str, Reading]
    annotations: Mapping[str, object]

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        """The values to be found, in the order they are read."""
        found: list[Leaf] = []
        for name, reading in self.readings.items():
            found += _leaves(Part(name, name, reading), ())
        return tuple(_named_apart(found))

    def assembled(self, values: Mapping[str, object]) -> dict[str, object]:
        """The arguments made of values by leaf name."""
        paths = {leaf.path: values[leaf.name] for leaf in self.leaves if leaf.name in values}
        return {
            name: _assembled(reading, (name,), paths, self.annotations.get(name))
            for name, reading in self.readings.items()
        }

    def shown(self) -> str:
        """How the arguments are made of the leaves: `batch = (x, y)`; nothing where each is one tensor."""
        names = {leaf.path: leaf.name for leaf in self.leaves}
        made = [(name, _shown(reading, (name,), names)) for name, reading in self.readings.items()]
        return ", ".join(f"{name} = {text}" for name, text in made if name != text)


def _leaves(part: Part, outer: tuple[int | str, ...]) -> Iterator[Leaf]:
    path = (*outer, part.key)
    if not part.reading.parts:
        yield Leaf(path, part.name, part.reading.kind)
    for each in part.reading.parts:
        yield from _leaves(each, path)


def _named_apart(leaves: list[Leaf]) -> Iterator[Leaf]:
    used: set[str] = set()
    for leaf in leaves:
        base = leaf.name if leaf.name.isidentifier() and leaf.name.strip("_") else "unused"
        name = next(each for n in range(len(leaves) + 1) if (each := f"{base}{n + 1}" if n else base) not in used)
        used.add(name)
        yield Leaf(leaf.path, name, leaf.kind)


def _assembled(
    reading: Reading, path: tuple[int | str, ...], values: Mapping[tuple[int | str, ...], object], annotation: object
) -> Any:
    if not reading.parts:
        return values.get(path)
    parts = {part.key: _assembled(part.reading, (*path, part.key), values, None) for part in reading.parts}
    if reading.kind == "mapping":
        return parts
    if reading.kind == "object":
        return _object_of({str(key): value for key, value in parts.items()}, annotation)
    return [*parts.values()] if reading.kind == "iterable" else tuple(parts.values())


def _object_of(parts: dict[str, object], annotation: object) -> object:
    """The object its annotation says, else a Data of torch_geometric where that is loaded."""
    if isinstance(annotation, type) and (is_dataclass(annotation) or hasattr(annotation, "_fields")):
        return annotation(**parts)
    geometric: Any = sys.modules.get("torch_geometric.data")
    return geometric.Data(**parts, num_graphs=1) if geometric else SimpleNamespace(**parts)


def _shown(reading: Reading, path: tuple[int | str, ...], names: Mapping[tuple[int | str, ...], str]) -> str:
    if not reading.parts:
        return names[path]
    parts = {part.key: _shown(part.reading, (*path, part.key), names) for part in reading.parts}
    if reading.kind == "mapping":
        return "{" + ", ".join(f"{key!r}: {text}" for key, text in parts.items()) + "}"
    if reading.kind == "object":
        return f"an object with {', '.join(map(str, parts))}"
    inner = ", ".join(parts.values())
    return f"[{inner}]" if reading.kind == "iterable" else f"({inner}{',' if len(parts) == 1 else ''})"


def reading_of_annotation(annotation: object) -> Reading | None:
    """The parts that a dataclass, a NamedTuple or a TypedDict says it has."""
    if not isinstance(annotation, type):
        return None
    names: tuple[str, ...] = ()
    if is_dataclass(annotation):
        names = tuple(each.name for each in fields(annotation) if each.init)
    elif issubclass(annotation, tuple):
        names = getattr(annotation, "_fields", ())
    elif typing.is_typeddict(annotation):
        names = tuple(annotation.__annotations__)
    kind: Kind = "mapping" if typing.is_typeddict(annotation) else "object"
    whole = Reading()
    return Reading(kind, tuple(Part(name, name, whole) for name in names)) if names else None
