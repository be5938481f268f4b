"""Values of JSON as what the annotations say they are: the one place where a stored document is believed or not."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from functools import cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

_LARGEST = 2**64
"""No size, count or distance in units in the last place is larger."""


def typed(kind: Any, value: Any, where: str = "") -> Any:
    """A value as `kind`: dataclasses and named tuples out of dictionaries, tuples out of lists, the rest as it is.

    A key that may be None need not be there. Raises ValueError naming the place and what was expected.
    """
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return _one_of(arguments, value, where)
    if origin is Literal:
        if isinstance(value, str) and value in arguments:
            return value
    elif origin is tuple:
        if isinstance(value, list):
            return tuple(typed(arguments[0], each, f"{where}[{at}]") for at, each in enumerate(value))
    elif origin is not None and issubclass(origin, Mapping):
        if isinstance(value, dict):
            return {key: typed(arguments[1], each, f"{where}.{key}") for key, each in value.items()}
    elif dataclasses.is_dataclass(kind) or hasattr(kind, "_fields"):
        if isinstance(value, dict):
            return _built(kind, value, where)
    elif _is_plain(kind, value):
        return value
    raise ValueError(f"{where.lstrip('.') or 'the document'} is {_shown(value)}, not {_name(kind)}")


def _one_of(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and type(None) in kinds:
        return None
    kinds = tuple(kind for kind in kinds if kind is not type(None))
    for kind in kinds[:-1]:
        try:
            return typed(kind, value, where)
        except ValueError:
            continue
    return typed(kinds[-1], value, where)


def _built(kind: Any, value: dict[str, Any], where: str) -> Any:
    hints = _hints(kind)
    for key in value:
        if key not in hints:
            raise ValueError(f"{where.lstrip('.') or 'the document'} has {_shown(key)}, which means nothing")
    given = {key: typed(hints[key], each, f"{where}.{key}") for key, each in value.items()}
    unsaid: dict[str, Any] = {key: None for key, hint in hints.items() if type(None) in get_args(hint)}
    try:
        return kind(**{**unsaid, **given})
    except TypeError as error:
        raise ValueError(f"{where.lstrip('.') or 'the document'} lacks something: {error}") from error


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _is_plain(kind: Any, value: Any) -> bool:
    if isinstance(value, bool):
        return kind is bool
    if isinstance(value, int):
        return kind in (int, float) and abs(value) <= _LARGEST
    return isinstance(value, kind) and not (isinstance(value, float) and not math.isfinite(value))


def _name(kind: Any) -> str:
    return str(getattr(kind, "__name__", kind))


def _shown(value: Any) -> str:
    text = repr(value) if not isinstance(value, int) or abs(value) <= _LARGEST else "a huge number"
    return text if len(text) <= 60 else f"{text[:57]}..."
