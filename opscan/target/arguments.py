"""The arguments a constructor or factory is called with: given ones first, then well-known values."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from opscan.errors import TargetError
from opscan.target.wellknown import UNKNOWN, well_known

_CONFIG_NAMES = ("config", "cfg", "conf", "args", "opt", "opts", "options", "hparams", "params", "settings")


@dataclass(frozen=True, slots=True)
class Arguments:
    """What to call with, and a line for each value nobody gave."""

    args: tuple[object, ...]
    kwargs: dict[str, object]
    assumptions: tuple[str, ...] = ()

    def __str__(self) -> str:
        given = [repr(value) for value in self.args] + [f"{name}={value!r}" for name, value in self.kwargs.items()]
        return f"({', '.join(given)})"


@dataclass(frozen=True, slots=True)
class Given:
    """What the user gave: in the target's parentheses, and with --init."""

    text: str
    args: tuple[object, ...]
    kwargs: dict[str, object]
    init: Mapping[str, object]


def fill_arguments(function: Callable[..., object], given: Given) -> Arguments:
    """Bind what was given, then fill each required parameter that is left.

    Raises TargetError for a name the constructor does not have, one given twice, and a required parameter whose name
    is not well known.
    """
    signature = signature_of(function)
    if signature is None:
        return Arguments(given.args, {**given.kwargs, **given.init})
    bound = _bind(function, signature, given)
    assumptions = []
    for name in unfilled(signature, bound.arguments):
        value = assumed_value(function, signature.parameters[name])
        if value is UNKNOWN:
            raise TargetError(
                f"{_label(function)} needs a value for {name!r}", given.text, _how_to_give(signature.parameters[name])
            )
        bound.arguments[name] = value
        assumptions.append(_assumption(name, value))
    return Arguments(bound.args, dict(bound.kwargs), tuple(assumptions))


def signature_of(function: Callable[..., object]) -> inspect.Signature | None:
    """The signature with annotations evaluated where that is possible; None where Python knows none."""
    with suppress(Exception):  # an annotation may name what is imported for type checkers only, and raise anything
        return inspect.signature(function, eval_str=True)
    try:
        return inspect.signature(function)
    except (ValueError, TypeError):
        return None


def unfilled(signature: inspect.Signature, filled: Mapping[str, object]) -> list[str]:
    """The names of required parameters that are not in `filled`."""
    variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    required = [p for p in signature.parameters.values() if p.default is p.empty and p.kind not in variadic]
    return [parameter.name for parameter in required if parameter.name not in filled]


def assumed_value(function: Callable[..., object], parameter: inspect.Parameter) -> object:
    """A well-known value, a configuration object built with no arguments, or UNKNOWN."""
    value = well_known(parameter.name, parameter.annotation)
    return value if value is not UNKNOWN else _default_config(function, parameter)


def _default_config(function: Callable[..., object], parameter: inspect.Parameter) -> object:
    """An instance of the parameter's annotation, or of the model class's `config_class` (as in transformers)."""
    if parameter.name.lower().rpartition("_")[2] not in _CONFIG_NAMES:
        return UNKNOWN
    kind = parameter.annotation
    if not isinstance(kind, type) or kind is UNKNOWN or kind.__module__ == "builtins":
        kind = getattr(function, "config_class", None)
    with suppress(Exception):  # a configuration that needs arguments: the user has to give it
        return kind() if isinstance(kind, type) else UNKNOWN
    return UNKNOWN


def _assumption(name: str, value: object) -> str:
    if isinstance(value, (bool, int, float, str, list, tuple)):
        return f"{name}={value!r} (constructor argument, assumed; --init {name}=...)"
    kind = type(value).__name__
    return f"{name}={kind}() (constructor argument, assumed; write a factory to give another: mod:make_model)"


def _how_to_give(parameter: inspect.Parameter) -> str:
    if parameter.name.lower().rpartition("_")[2] in _CONFIG_NAMES:
        return f"Write a factory that makes {parameter.name!r} and returns the model, and name it: mod:make_model"
    return f"Give it with --init {parameter.name}=VALUE (an object: write a factory, mod:make_model)"


def _bind(function: Callable[..., object], signature: inspect.Signature, given: Given) -> inspect.BoundArguments:
    """Bind the given arguments by name; required ones may be missing."""
    twice = [name for name in given.init if name in given.kwargs]
    if twice:
        raise TargetError(f"{twice[0]!r} is given twice", given.text, "Give it in the parentheses or with --init.")
    takes_any = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    for name in [*given.kwargs, *given.init]:
        if name not in signature.parameters and not takes_any:
            raise _unknown_name(name, function, signature, given.text)
    try:
        return signature.bind_partial(*given.args, **given.kwargs, **given.init)
    except TypeError as error:
        hint = f"Its parameters are {_shown(signature)}"
        raise TargetError(f"the arguments do not fit {_label(function)}: {error}", given.text, hint) from error


def _unknown_name(name: str, function: Callable[..., object], signature: inspect.Signature, text: str) -> TargetError:
    near = difflib.get_close_matches(name, signature.parameters, n=3)
    hint = f"Did you mean {' or '.join(near)}?" if near else f"Its parameters are {_shown(signature)}"
    return TargetError(f"{_label(function)} has no parameter {name!r}", text, hint)


def _shown(signature: inspect.Signature) -> str:
    return f"({', '.join(signature.parameters)})"


def _label(function: Callable[..., object]) -> str:
    return getattr(function, "__qualname__", type(function).__name__)
