"""The arguments a constructor or factory is called with: given ones first, then well-known values."""

from __future__ import annotations

import difflib
import inspect
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from opscan.errors import TargetError
from opscan.target.wellknown import UNKNOWN, well_known

_CONFIG_NAMES = ("config", "cfg", "conf", "args", "opt", "opts", "options", "hparams", "params", "settings")
_LONGEST_SHOWN = 60
PRETRAINED = frozenset(
    ("pretrained", "weights", "encoder_weights", "weights_backbone", "pretrained_backbone", "use_pretrained")
)


@dataclass(frozen=True, slots=True)
class Arguments:
    """What to call with, and a line for each value nobody gave."""

    args: tuple[object, ...]
    kwargs: dict[str, object]
    assumptions: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"({self.shown()})"

    def shown(self) -> str:
        """The arguments as a call writes them; of an object only its class."""
        named = [f"{name}={_shown_value(value)}" for name, value in self.kwargs.items()]
        return ", ".join([_shown_value(value) for value in self.args] + named)


def _shown_value(value: object) -> str:
    """A literal as it is written; of an object that shows itself at length, as a configuration does, only its type."""
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN and "\n" not in text else f"{type(value).__name__}(...)"


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
    bound = bind_given(function, signature, given)
    values: dict[str, object] = {}
    for name in unfilled(signature, bound):
        values[name] = assumed_value(function, signature.parameters[name])
        if values[name] is UNKNOWN:
            raise needs_value(function, signature.parameters[name], given.text)
    return filled(signature, bound, values)


def needs_value(function: Callable[..., object], parameter: inspect.Parameter, text: str) -> TargetError:
    """The error for a required parameter nobody knows a value for."""
    return TargetError(f"{_label(function)} needs a value for {parameter.name!r}", text, _how_to_give(parameter))


def filled(signature: inspect.Signature, given: Mapping[str, object], values: Mapping[str, object]) -> Arguments:
    """The call with `given` arguments and assumed `values`, by the names of parameters, and a line for each assumed.

    A default that asks for pretrained weights is left out: nothing is downloaded. A value for a name that is no
    parameter goes where the signature takes any.
    """
    instead = without_pretrained(signature, {**given, **values})
    bound = inspect.BoundArguments(signature, OrderedDict())
    any_ = next((p.name for p in signature.parameters.values() if p.kind is p.VAR_KEYWORD), "")
    for name in signature.parameters:
        for source in (given, instead, values):
            if name in source:
                bound.arguments[name] = source[name]
    if others := {name: value for name, value in values.items() if name not in signature.parameters}:
        bound.arguments[any_] = {**bound.arguments.get(any_, {}), **others}
    lines = [_instead(name, value, signature) for name, value in instead.items()]
    assumed = [_assumption(name, value) for name, value in values.items()]
    return Arguments(bound.args, dict(bound.kwargs), (*assumed, *lines))


def without_pretrained(signature: inspect.Signature, given: Mapping[str, object]) -> dict[str, object]:
    """For each parameter whose default asks for pretrained weights, the value that asks for none."""
    left = (p for p in signature.parameters.values() if p.name in PRETRAINED and p.name not in given)
    asking = [p for p in left if p.default is not p.empty and p.default]
    return {p.name: False if isinstance(p.default, bool) else None for p in asking}


def _instead(name: str, value: object, signature: inspect.Signature) -> str:
    default = signature.parameters[name].default
    return (
        f"{name}={value!r} (constructor argument, instead of {default!r}: no weights are downloaded; --init {name}=...)"
    )


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
    if value is None or isinstance(value, (bool, int, float, str, list, tuple)):
        return f"{name}={value!r} (constructor argument, assumed; --init {name}=...)"
    made = value.__name__ if isinstance(value, type) else f"{type(value).__name__}()"
    return f"{name}={made} (constructor argument, assumed; write a factory to give another: mod:make_model)"


def _how_to_give(parameter: inspect.Parameter) -> str:
    if parameter.name.lower().rpartition("_")[2] in _CONFIG_NAMES:
        return f"Write a factory that makes {parameter.name!r} and returns the model, and name it: mod:make_model"
    return f"Give it with --init {parameter.name}=VALUE (an object: write a factory, mod:make_model)"


def bind_given(function: Callable[..., object], signature: inspect.Signature, given: Given) -> Mapping[str, object]:
    """The given arguments by the names of their parameters; required ones may be missing. Raises TargetError."""
    twice = [name for name in given.init if name in given.kwargs]
    if twice:
        raise TargetError(f"{twice[0]!r} is given twice", given.text, "Give it in the parentheses or with --init.")
    takes_any = any(p.kind is p.VAR_KEYWORD for p in signature.parameters.values())
    for name in [*given.kwargs, *given.init]:
        if name not in signature.parameters and not takes_any:
            raise _unknown_name(name, function, signature, given.text)
    try:
        return signature.bind_partial(*given.args, **given.kwargs, **given.init).arguments
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
