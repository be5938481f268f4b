"""Conditions that code states of its arguments, read from an `assert` or from the `if` around a `raise`, and solved.

The condition is evaluated again with another value for one of its names, until it comes out as the code wants it.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Iterable, Iterator, KeysView, Mapping
from dataclasses import dataclass
from typing import Any

from opscan.target.raised import Place, name_of, value_in

_COMMON = (1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 224, 256, 384, 512, 768, 1024)
_FRACTIONS = (0.0, 0.1, 0.5, 0.9, 1.0, 2.0)
_LONGEST = 12  # elements of a sequence
_MOST_EACH = 3  # values suggested for one name


@dataclass(frozen=True, slots=True)
class Goal:
    """An expression, and the truth value it should have had."""

    expression: ast.expr
    wanted: bool


def goals_at(place: Place) -> Iterator[Goal]:
    """What should have held where the frame stopped; nothing where it did not stop by its own statement."""
    last = place.path[-1]
    if isinstance(last, ast.Assert):
        yield Goal(last.test, True)
    if not isinstance(last, ast.Raise):
        return
    for node, inner in zip(place.path[-2::-1], place.path[:0:-1], strict=False):
        if isinstance(node, ast.If):
            yield Goal(node.test, inner not in node.body)
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            return


def solutions(goal: Goal, place: Place) -> Iterator[tuple[str, object]]:
    """Names of the frame and values for them with which the condition comes out as wanted."""
    expression = ast.Expression(_Plain().visit(ast.parse(ast.unparse(goal.expression), mode="eval").body))
    code = compile(ast.fix_missing_locations(expression), "<condition>", "eval")
    names = list(dict.fromkeys(name for node in ast.walk(goal.expression) if (name := name_of(node))))
    held = {name: value_in(place, name) for name in names if name in place.frame.f_locals or value_in(place, name)}
    scope = {**place.frame.f_globals, **place.frame.f_locals, **held}
    numbers = _numbers_in(goal.expression, held.values())
    for name in names:
        if name not in held:
            continue
        fitting = (each for each in other_values(held[name], numbers) if _comes_out(code, {**scope, name: each}, goal))
        yield from ((name, value) for value, _ in zip(fitting, range(_MOST_EACH), strict=False))
    for name in names:  # one of several words: a string that the expression itself lists
        if isinstance(held.get(name), (str, int, type(None))):
            words = dict.fromkeys(_words_in(goal.expression, scope))
            yield from ((name, word) for word in words if _comes_out(code, {**scope, name: word}, goal))


class _Plain(ast.NodeTransformer):
    """`self.width` becomes `width`, so that a value can be put in its place."""

    def visit_Attribute(self, node: ast.Attribute) -> ast.expr:
        name = name_of(node)
        return ast.Name(name, ast.Load()) if name else ast.Attribute(self.visit(node.value), node.attr, node.ctx)


def _comes_out(code: Any, scope: dict[str, object], goal: Goal) -> bool:
    try:
        return bool(eval(code, scope)) == goal.wanted  # the code's own condition, which it evaluated itself
    except Exception:  # another value may not fit it at all
        return False


def _numbers_in(expression: ast.expr, held: Iterable[object]) -> list[int]:
    """The whole numbers a condition speaks of: written in it, held by its names, and the lengths of sequences."""
    written = [node.value for node in ast.walk(expression) if isinstance(node, ast.Constant)]
    values = [*written, *held]
    lengths = [len(value) for value in values if isinstance(value, (list, tuple))]
    inner = [each for value in values if isinstance(value, (list, tuple)) for each in value]
    plain = [value for value in (*values, *inner) if isinstance(value, int) and not isinstance(value, bool)]
    return list(dict.fromkeys((*plain, *lengths, *(length + 1 for length in lengths))))


def _words_in(expression: ast.expr, scope: dict[str, object]) -> Iterator[str]:
    for node in ast.walk(expression):
        held: object = node.value if isinstance(node, ast.Constant) else None
        if isinstance(node, (ast.Name, ast.Attribute, ast.Call)):
            held = _evaluated(node, scope)
        held = held.keys() if isinstance(held, Mapping) else held
        many = held if isinstance(held, (list, tuple, set, frozenset, KeysView)) else [held]
        yield from (each for each in many if isinstance(each, str))


def _evaluated(node: ast.expr, scope: dict[str, object]) -> object:
    try:
        return eval(compile(ast.Expression(node), "<condition>", "eval"), scope)  # a part of that same condition
    except Exception:
        return None


def other_values(value: object, numbers: Iterable[int] = ()) -> Iterator[object]:
    """Other values of the same kind, the nearest first, then of the kinds it may be taken for."""
    numbers = [number for number in numbers if 0 < number <= 4096]
    if isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield from _near(value, numbers)
        lengths = dict.fromkeys((*(number for number in numbers if 1 < number <= _LONGEST), 4, 3, 2))
        yield from (kind([value] * length) for length in lengths for kind in (list, tuple))
    elif isinstance(value, float):
        yield from (each for each in _FRACTIONS if each != value)
    elif isinstance(value, (list, tuple)) and value:
        yield from _sequences(value, numbers)
    elif value is None:
        yield from (64, 2, True, 0.1)


def _near(value: int, numbers: list[int]) -> list[int]:
    multiples = [math.ceil(value / number) * number for number in numbers]
    products = [value * number for number in numbers if number <= 64]
    every = dict.fromkeys((*multiples, *numbers, *products, *_COMMON, value + 1, value - 1))
    return sorted((each for each in every if each != value and each >= 0), key=lambda each: _distance(each, value))


def _distance(one: int, other: int) -> float:
    return abs(math.log2(max(one, 0.5) / max(other, 0.5)))


def _sequences(value: list[Any] | tuple[Any, ...], numbers: list[int]) -> Iterator[object]:
    kind = type(value)
    yield (tuple if kind is list else list)(value)
    wanted = [number for number in numbers if number <= _LONGEST]
    for length in dict.fromkeys((*wanted, len(value) - 1, len(value) + 1, *range(1, 7))):
        if 0 < length != len(value):
            yield from (each([*value, *[value[-1]] * length][:length]) for each in (kind, tuple))
    if isinstance(value[0], int):
        yield from (kind([each] * len(value)) for each in _near(value[0], numbers))
        yield kind(value[0] * 2**position for position in range(len(value)))
    yield value[0]
