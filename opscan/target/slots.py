"""Which of a forward's parameters have to be given, and how."""

from __future__ import annotations

from dataclasses import dataclass
from inspect import Parameter

from opscan.errors import InputError
from opscan.target.arguments import signature_of
from opscan.target.build import Target

# Models from transformers have no required parameter; one or two of these are what they need.
_MAIN_OPTIONAL = ("input_ids", "decoder_input_ids", "pixel_values", "input_values", "input_features")


@dataclass(frozen=True, slots=True)
class Slot:
    """One argument of a call."""

    name: str
    keyword: bool = False


Slots = tuple[Slot, ...]


def ways_to_call(target: Target) -> tuple[Slots, ...]:
    """The sets of arguments worth trying: the required ones, then those with an optional one that may be the input.

    Raises InputError for a step that has required parameters: they may be anything.
    """
    parameters = _parameters(target)
    required = tuple(_slot(parameter) for parameter in parameters if _is_required(parameter))
    if target.model is None:
        return _ways_to_step(target, required)
    if any(parameter.kind is Parameter.VAR_POSITIONAL for parameter in parameters):
        several = (Slot("input1"), Slot("input2"))
        return (*required, several[0]), (*required, *several), required
    optional = [Slot(parameter.name, keyword=True) for parameter in parameters if not _is_required(parameter)]
    main = [slot for slot in optional if slot.name in _MAIN_OPTIONAL]
    ways = [required, (*required, *optional[:1]), (*required, *main[:1]), (*required, *main)]
    return tuple(dict.fromkeys(ways))


def _ways_to_step(target: Target, required: Slots) -> tuple[Slots, ...]:
    if not required:
        return ((),)
    names = ", ".join(slot.name for slot in required)
    hint = "Give one --input for each, as in --input 2x3x32x32, or a function that makes them: --inputs mod:make_batch"
    raise InputError(f"the step takes {names}, and no inputs are given", target.label, hint)


def _parameters(target: Target) -> list[Parameter]:
    function = target.model.forward if target.model is not None and target.call is target.model else target.call
    signature = signature_of(function)
    parameters = signature.parameters.values() if signature else ()
    return [parameter for parameter in parameters if parameter.kind is not Parameter.VAR_KEYWORD]


def _is_required(parameter: Parameter) -> bool:
    return parameter.default is parameter.empty and parameter.kind is not Parameter.VAR_POSITIONAL


def _slot(parameter: Parameter) -> Slot:
    return Slot(parameter.name, keyword=parameter.kind is Parameter.KEYWORD_ONLY)
