"""The inputs that documentation shows: those of the first call in it that runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from opscan.solving.slots import names_of
from opscan.solving.solve import Attempt
from opscan.target.build import Target
from opscan.target.docs.evaluate import real
from opscan.target.docs.examples import Call
from opscan.target.inputs import Inputs, InputSpec, flag, make_inputs

_BATCH = 2


def shown_inputs(target: Target, attempt: Attempt) -> Inputs | None:
    """The inputs of the first call that its documentation shows and that runs; as shown, then with a larger batch."""
    for call in target.shown_calls:
        for args, kwargs in _batches_of(call):
            inputs = _as_inputs(target, args, kwargs)
            try:
                attempt(inputs.args, dict(inputs.kwargs))
            except Exception:  # an example may be older than the code
                continue
            return inputs
    return None


def _batches_of(call: Callable[[], Call]) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    try:
        args, kwargs = call()
    except Exception:  # an example may hang on what its text does not tell
        return
    yield args, kwargs
    specs = [each for each in (*args, *kwargs.values()) if isinstance(each, InputSpec)]
    if specs and all(spec.shape[:1] in ((1,), ()) for spec in specs):  # one sample is too few for a BatchNorm
        yield tuple(map(_doubled, args)), {name: _doubled(value) for name, value in kwargs.items()}


def _doubled(value: object) -> object:
    return replace(value, shape=(_BATCH, *value.shape[1:])) if isinstance(value, InputSpec) and value.shape else value


@dataclass(frozen=True, slots=True)
class _Argument:
    """One argument of a shown call: `name` is its parameter's, `value` a spec, or whatever was written."""

    name: str
    value: object

    def line(self) -> str:
        value = self.value
        if isinstance(value, InputSpec):
            return f"{self.name} = {replace(value, name=None)} (input, as documented; {flag(value)})"
        return f"{self.name} = {_shown(value)} (input, as documented; --inputs mod:make_batch)"


def _as_inputs(target: Target, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Inputs:
    names = (*names_of(target), *(f"input{position}" for position in range(len(args))))
    positional = [_Argument(name, value) for name, value in zip(names, args, strict=False)]
    named = [
        _Argument(name, replace(value, name=name) if isinstance(value, InputSpec) else value)
        for name, value in kwargs.items()
    ]
    return Inputs(
        tuple(map(_tensors, args)),
        {name: _tensors(value) for name, value in kwargs.items()},
        tuple(each.line() for each in (*positional, *named)),
        assumed=True,
    )


def _tensors(value: object) -> object:
    return make_inputs([replace(value, name=None)]).args[0] if isinstance(value, InputSpec) else real(value)


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) < 60 and "\n" not in text else type(value).__name__
