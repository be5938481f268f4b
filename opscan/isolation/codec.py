"""Values as data, and back: what another process hands in is read by the type it should have; nothing of it is run.

A dataclass and a NamedTuple are lists of their fields in order, a mapping is a list of pairs, a Version is its text.
"""

from __future__ import annotations

import json
import types
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass
from functools import cache, partial
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from packaging.version import InvalidVersion, Version

_LARGEST = 1 << 63
_encode = json.JSONEncoder(separators=(",", ":")).encode  # bound here: the code that is looked at may put others there
_MAPPINGS = (dict, Mapping)
_SEQUENCES: dict[Any, Callable[[Any], Any]] = {tuple: tuple, list: list, frozenset: frozenset}


class DataError(Exception):
    """Something is not of the type it should be, and so cannot be sent, or is not taken for what came."""


@dataclass(frozen=True, slots=True)
class Codec:
    """How values of one type become what JSON holds (`plain`), and come of it again (`value`); of which `parts`."""

    plain: Callable[[Any], Any]
    value: Callable[[Any], Any]
    parts: Callable[[], Sequence[Codec]] = tuple


def prepare(kind: Any) -> None:
    """Make the codec of a type now, before code runs that may take away what it is made with."""
    todo = [codec_of(kind)]
    while todo:
        with suppress(NameError, TypeError):  # of a type that is never sent, though a field has it
            todo += todo.pop().parts()


def to_data(value: Any, kind: Any) -> bytes:
    """A value of a type as bytes. Raises DataError if it is not of that type."""
    try:
        return _encode(codec_of(kind).plain(value)).encode("ascii")
    except (TypeError, ValueError, AttributeError, RecursionError) as error:
        raise DataError(f"cannot be sent: {error}") from error


def from_data(data: bytes, kind: Any) -> Any:
    """The value of a type that bytes hold. Raises DataError for any others, whatever they are."""
    try:
        return codec_of(kind).value(json.loads(data))
    except (ValueError, RecursionError) as error:
        raise DataError(f"no JSON: {error}") from error


@cache
def codec_of(kind: Any) -> Codec:
    """The codec of a type. Raises TypeError for one that has none."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    if origin is Literal:
        return Codec(partial(_one_of, arguments), partial(_one_of, arguments))
    if origin in (Union, types.UnionType):
        return _union([codec_of(each) for each in arguments])
    if origin in _SEQUENCES and arguments[1:] in ((), (...,)):
        return _sequence(origin, codec_of(arguments[0]))
    if origin is tuple:
        return _record(tuple, lambda: arguments, list)
    if origin in _MAPPINGS:
        return _mapping(*map(codec_of, arguments))
    if is_dataclass(kind):
        names = [field.name for field in fields(kind)]
        return _record(kind, lambda: _types(kind, names), lambda value: [getattr(value, name) for name in names])
    if isinstance(kind, type) and hasattr(kind, "_fields"):
        return _record(kind, lambda: _types(kind, kind._fields), list)
    raise TypeError(f"no codec for {kind!r}")


def _types(kind: Any, names: Any) -> list[Any]:
    hints = get_type_hints(kind)
    return [hints[name] for name in names]


def _record(kind: Any, kinds: Callable[[], Any], parts: Callable[[Any], list[Any]]) -> Codec:
    """Of fields that each have a type of their own; `kinds` tells them when the first value comes by."""

    @cache
    def inner() -> list[Codec]:
        return [codec_of(each) for each in kinds()]

    def plain(value: Any) -> list[Any]:
        if not isinstance(value, kind):
            raise DataError(f"{type(value).__name__} is no {kind.__name__}")
        return [codec.plain(each) for codec, each in zip(inner(), parts(value), strict=True)]

    def value(data: Any) -> Any:
        if type(data) is not list or len(data) != len(inner()):
            raise DataError(f"no {kind.__name__}")
        found = [codec.value(each) for codec, each in zip(inner(), data, strict=True)]
        return tuple(found) if kind is tuple else kind(*found)

    return Codec(plain, value, inner)


def _sequence(kind: Any, inner: Codec) -> Codec:
    made, is_simple = _SEQUENCES[kind], inner in _AS_THEY_ARE

    def plain(value: Any) -> list[Any]:
        if not isinstance(value, kind):
            raise DataError(f"{type(value).__name__} is no {kind.__name__}")
        ordered = sorted(value) if kind is frozenset else value
        return list(ordered) if is_simple else [inner.plain(each) for each in ordered]

    def value(data: Any) -> Any:
        if type(data) is not list:
            raise DataError(f"no {kind.__name__}")
        return made([inner.value(each) for each in data])

    return Codec(plain, value, lambda: (inner,))


def _mapping(key: Codec, inner: Codec) -> Codec:
    def plain(value: Any) -> list[Any]:
        return [[key.plain(name), inner.plain(each)] for name, each in value.items()]

    def value(data: Any) -> Any:
        if type(data) is not list or not all(type(pair) is list and len(pair) == 2 for pair in data):
            raise DataError("no mapping")
        return {key.value(name): inner.value(each) for name, each in data}

    return Codec(plain, value, lambda: (key, inner))


def _union(members: list[Codec]) -> Codec:
    plain, value = [each.plain for each in members], [each.value for each in members]
    return Codec(partial(_first, plain), partial(_first, value), lambda: members)


def _first(ways: list[Callable[[Any], Any]], value: Any) -> Any:
    for way in ways:
        try:
            return way(value)
        except DataError:
            continue
    raise DataError(f"{type(value).__name__} is none of the types there may be")


def _one_of(words: tuple[Any, ...], value: Any) -> Any:
    for word in words:
        if type(value) is type(word) and value == word:
            return word
    raise DataError(f"{value!r:.80} is none of {', '.join(map(repr, words))}")


def _of_type(kind: Any, value: Any) -> Any:
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise DataError(f"{type(value).__name__} is of another type")
    return value


def _number(value: Any) -> int:
    if type(value) is not int or not -_LARGEST <= value < _LARGEST:
        raise DataError("no number of 64 bits")
    return value


def _real(value: Any) -> float:
    if type(value) not in (int, float):
        raise DataError("no number")
    return float(value)


def _text(value: Any) -> str:
    """A text that can be written to any stream: half a surrogate pair, which UTF-8 has not, is written as an escape."""
    if type(value) is not str:
        raise DataError("no text")
    return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode("utf-8")


def _version(value: Any) -> Version:
    try:
        return Version(_text(value))
    except InvalidVersion as error:
        raise DataError("no version") from error


_SIMPLE: dict[Any, Codec] = {
    bool: Codec(partial(_of_type, bool), partial(_of_type, bool)),
    int: Codec(partial(_of_type, int), _number),
    float: Codec(partial(_of_type, (int, float)), _real),
    str: Codec(partial(_of_type, str), _text),
    Version: Codec(str, _version),
    type(None): Codec(partial(_of_type, type(None)), partial(_of_type, type(None))),
}
_AS_THEY_ARE = (_SIMPLE[int], _SIMPLE[str], _SIMPLE[bool])
