"""What the error of a constructor says about its arguments: which one it means, and what else to give it."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace

from torch import nn

from opscan.target.arguments import signature_of
from opscan.target.conditions import goals_at, other_values, solutions
from opscan.target.guesses import guessed_value
from opscan.target.raised import Place, places_of, value_in
from opscan.target.wellknown import UNKNOWN, well_known

_MOST = 24  # changes from one error
_MOST_BLAMED = 4
_MOST_BLIND = 3
_RAISING_HELPERS = 3  # frames: a condition may be checked in a function that was called for it

_WANTS_SEVERAL = re.compile(
    r"not iterable|non-iterable|not subscriptable|has no len|must be an iterable"
    r"|(?:be|expected) (?:an? |of type )?(?:tuple|list|seq)",
    re.I,
)
_WANTS_ONE = re.compile(r"'(?:list|tuple)'|unhashable|type (?:list|tuple)\b")
_MISSING = re.compile(r"missing \d+ required (?:positional|keyword-only) arguments?: (.*)")
_QUOTED = re.compile(r"['\"`]([\w.\-/]+)['\"`]")

Change = dict[str, object]


def revisions(error: BaseException, function: Callable[..., object], values: Mapping[str, object]) -> list[Change]:
    """Changes of the assumed `values` that the error suggests, the likeliest first."""
    places = places_of(error)
    found: dict[str, Change] = {}
    for change in _all(error, places, function, values):
        found.setdefault(repr(change), change)
        if len(found) >= _MOST:
            break
    return list(found.values())


def _all(
    error: BaseException, places: tuple[Place, ...], function: Callable[..., object], values: Mapping[str, object]
) -> Iterator[Change]:
    yield from _missing(error, function, values)
    yield from _read_from(error, function, values)
    yield from _classes(places, values)
    for place in places[:_RAISING_HELPERS]:
        for goal in goals_at(place):
            for name, value in solutions(goal, place):
                yield from _put(name, value_in(place, name), value, values)
    blamed = list(dict.fromkeys(_blamed(places, values)))[:_MOST_BLAMED]
    for name in blamed:
        yield from ({name: value} for value in _said(error, places, values[name]))
    for name in blamed:
        others = other_values(values[name])
        yield from ({name: value} for value, _ in zip(others, range(_MOST_BLIND), strict=False))


def _classes(places: tuple[Place, ...], values: Mapping[str, object]) -> Iterator[Change]:
    """A class instead of its instance, where the constructor called it: it wanted something to make modules with."""
    called = [place.frame.f_locals.get("self") for place in places]
    for name, value in values.items():
        if isinstance(value, nn.Module) and any(each is value for each in called):
            yield {name: type(value)}


def _read_from(error: BaseException, function: Callable[..., object], values: Mapping[str, object]) -> Iterator[Change]:
    """A configuration with the attribute that was missed."""
    if not isinstance(error, AttributeError) or error.name is None:
        return
    for name, value in values.items():
        if error.obj is not value or isinstance(value, (type, nn.Module)) or not hasattr(value, "__dict__"):
            continue
        parameter = inspect.Parameter(error.name, inspect.Parameter.KEYWORD_ONLY)
        guess = guessed_value(function, parameter)
        yield {name: SimpleNamespace(**{**vars(value), error.name: 2 if guess is UNKNOWN else guess})}


def _put(name: str, old: object, new: object, values: Mapping[str, object]) -> Iterator[Change]:
    """The arguments that a value in some frame came from, with the new one in its place."""
    if name in values:
        yield {name: new}
    for argument, held in values.items():
        if argument == name or isinstance(old, bool) or old is None:
            continue
        if type(held) is type(old) and held == old:
            yield {argument: new}
        elif isinstance(held, (list, tuple)) and old in held:
            yield {argument: type(held)(new if each == old else each for each in held)}


def _blamed(places: tuple[Place, ...], values: Mapping[str, object]) -> Iterator[str]:
    """The arguments the error is about: those in the expression that failed, then those handed on to where it did."""
    for place in places:
        direct = [name for name in place.names if name in values]
        yield from direct
        for name in place.names if not direct else ():
            held = value_in(place, name)
            alike = (each for each, value in values.items() if type(value) is type(held) and value == held)
            yield from alike if held is not None and not isinstance(held, bool) else ()


def _said(error: BaseException, places: tuple[Place, ...], value: object) -> Iterator[object]:
    """Values that the message, or the failing expression, names."""
    text = str(error)
    numbers = [int(number) for number in re.findall(r"\d+", text)]
    lengths = dict.fromkeys((*(number for number in numbers if 1 < number <= 12), 4, 3, 2))
    if isinstance(value, (int, float)) and _WANTS_SEVERAL.search(text):
        yield from (kind([value] * length) for length in lengths for kind in (list, tuple))
    if isinstance(value, (list, tuple)) and value:
        if _WANTS_ONE.search(text):
            yield from (value[0], tuple(value))
        yield from (type(value)([*value, *[value[-1]] * length][:length]) for length in lengths if length != len(value))
    if "not callable" in text and not callable(value):
        yield from (nn.ReLU, nn.ReLU())
    if isinstance(value, nn.Identity):
        yield from (nn.Linear(64, 64), nn.Conv2d(3, 64, 3, padding=1))
    if isinstance(value, str) or value is None:
        yield from (word for word in _QUOTED.findall(text) if word != value)
        yield from _keys(error, places)
    if isinstance(error, IndexError) and isinstance(value, int) and not isinstance(value, bool):
        yield from (each for each in (2, 3, 1) if each != value)
    if isinstance(error, IndexError) and isinstance(value, (list, tuple)) and value:
        yield from (type(value)([*value, *[value[-1]] * more]) for more in (1, 2, 4))


def _keys(error: BaseException, places: tuple[Place, ...]) -> Iterator[str]:
    """The keys of a mapping in which a word was looked up in vain."""
    if not isinstance(error, KeyError) or not places:
        return
    scope = {**places[0].frame.f_globals, **places[0].frame.f_locals}
    for node in ast.walk(places[0].path[-1]):
        held = (
            scope.get(node.value.id) if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) else None
        )
        if isinstance(held, Mapping):
            yield from (key for key in held if isinstance(key, str))


def _missing(error: BaseException, function: Callable[..., object], values: Mapping[str, object]) -> Iterator[Change]:
    """Arguments that are handed on by `**kwargs`, and were missed further inside."""
    signature = signature_of(function)
    if signature is None or not any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values()):
        return
    names = []
    if isinstance(error, TypeError) and (match := _MISSING.search(str(error))):
        names = [name for name in _QUOTED.findall(match[1]) if name not in signature.parameters]
    elif isinstance(error, KeyError) and error.args and str(error.args[0]).isidentifier():
        names = [str(error.args[0])]
    elif isinstance(error, (AssertionError, ValueError)):
        names = [name for name in _QUOTED.findall(str(error)) if well_known(name) is not UNKNOWN][:1]
        names = [name for name in names if name not in values]
    parameters = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY) for name in names]
    change = {each.name: guessed_value(function, each) for each in parameters}
    if change and UNKNOWN not in change.values():
        yield change
