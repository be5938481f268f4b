"""Inputs that the model or its module offers, so that nobody has to give them.

    opscan_inputs                  a function or a value beside the model, or of its class       the user's own
    [tool.opscan.inputs]           in pyproject.toml, by target                                  the user's own
    example_input_array            of a LightningModule
    example_inputs, dummy_inputs   a method or an attribute; of transformers, the class's own
    inputs, input_shape            of a Keras model

An offer of the user's own has to run; of the others, one that does not is passed over, and a line says so.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from opscan.blame import one_line, user_line
from opscan.config import InputRule
from opscan.errors import InputError
from opscan.steps.keras import keras_batch, keras_inputs
from opscan.target.build import Target
from opscan.target.inputs import Inputs, call_batch_maker, make_inputs, parse_input, shown_shape
from opscan.target.keras import is_keras

OWN_NAME = "opscan_inputs"


@dataclass(frozen=True, slots=True)
class Offer:
    """`source` says where it stands; `make` gives the inputs, or None. `own` is the user's, made for what is called."""

    source: str
    make: Callable[[], Inputs | None]
    own: bool = False

    def inputs(self) -> Inputs | None:
        """The inputs, or None where there are none after all. Raises InputError if making them fails."""
        try:
            return self.make()
        except InputError:
            raise
        except (Exception, SystemExit) as error:  # code of the user's or of a library's
            raise InputError(f"{self.source} raised {one_line(error)}", user_line(error), "Correct it.") from error

    def line(self, inputs: Inputs) -> str:
        """What a report says when it is used."""
        named = [*((None, value) for value in inputs.args), *inputs.kwargs.items()]
        shown = ", ".join(f"{name} {_brief(value)}" if name else _brief(value) for name, value in named)
        return f"inputs from {self.source}: {shown} (--input or --inputs gives others)"


def offers_of(target: Target, configured: Sequence[InputRule] = ()) -> Iterator[Offer]:
    """What is offered, in the order in which it is to be tried."""
    yield from _own(target)
    for rule in configured:
        if rule.fits(target.label):
            yield Offer(rule.source, partial(_configured, rule), own=True)
            break
    if target.model is not None:
        yield from _of_model(target.model)


def _own(target: Target) -> Iterator[Offer]:
    """opscan_inputs of the class, of the module the target was named in, and of the class's module."""
    model = target.model
    found = getattr(type(model), OWN_NAME, None) if model is not None else None
    if found is not None:
        value = getattr(model, OWN_NAME)
        yield Offer(f"{OWN_NAME} of {type(model).__name__}", lambda: _made(value, model, OWN_NAME), own=True)
        return
    homes = [target.home, getattr(target.call, "__module__", ""), type(model).__module__ if model is not None else ""]
    for home in dict.fromkeys(filter(None, homes)):
        value = getattr(sys.modules.get(home), OWN_NAME, None)
        if value is not None:
            yield Offer(f"{OWN_NAME} of {home}", partial(_made, value, model, OWN_NAME), own=True)
            return


def _of_model(model: nn.Module) -> Iterator[Offer]:
    kind = type(model).__name__
    for name in ("example_input_array", "example_inputs", "dummy_inputs"):
        owner = next((each for each in type(model).__mro__ if name in vars(each)), None)
        if (owner is not None and owner.__name__ != "PreTrainedModel") or name in vars(model):
            yield Offer(f"{name} of {kind}", partial(_attribute, model, name))
    if is_keras(model) and (specs := keras_inputs(model)):
        values = make_inputs(specs.values()).kwargs
        (data,) = keras_batch(model, specs).assembled(values).values()
        x: Any = data[0]  # type: ignore[index]  # (inputs, targets), as fit takes them
        yield Offer(f"the input specification of {kind}", lambda: Inputs((x,)))


def _attribute(model: nn.Module, name: str) -> Inputs | None:
    return _made(getattr(model, name), model, name)


def _made(value: Any, model: nn.Module | None, name: str) -> Inputs | None:
    """Inputs from a value, or from a function of nothing or of the model that makes one."""
    if callable(value) and not isinstance(value, Mapping | torch.Tensor):
        parameters = inspect.signature(value).parameters.values()
        wants = [each for each in parameters if each.default is each.empty and each.kind not in _VARIADIC]
        if len(wants) > 1:
            raise InputError(f"{name} takes {len(wants)} arguments", name, "Let it take none, or the model.")
        value = value(model) if wants else value()
    if isinstance(value, str):
        return _of_words((value,))
    if isinstance(value, list | tuple) and value and all(isinstance(each, str) for each in value):
        return _of_words(value)
    if isinstance(value, Mapping):
        return Inputs((), {str(key): each for key, each in value.items()})
    if isinstance(value, list | tuple):
        return Inputs(tuple(value)) if value else None
    return None if value is None else Inputs((value,))


_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _configured(rule: InputRule) -> Inputs:
    return call_batch_maker(rule.maker) if rule.maker else _of_words(rule.words)


def _of_words(words: Sequence[str]) -> Inputs:
    made = make_inputs([parse_input(word) for word in words])
    return Inputs(made.args, made.kwargs)


def _brief(value: object) -> str:
    if isinstance(value, torch.Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} {shown_shape(value.shape)}"
    if isinstance(value, list | tuple):
        return f"({', '.join(map(_brief, value))})"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_brief(each)}" for key, each in value.items()) + "}"
    return type(value).__name__
