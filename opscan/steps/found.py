"""A value that was found for a leaf of a batch, with the line and the flag that say so."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from opscan.target.inputs import DTYPES, InputSpec, flag, make_inputs, parse_input, shown_shape


@dataclass(frozen=True, slots=True)
class Found:
    """A value with the line that says what was assumed; no line for a value that was given."""

    value: object
    line: str = ""


def all_shown(found: Mapping[str, Found]) -> str:
    """`x=float32:2x784 y=int64:2`."""
    return " ".join(f"{name}={_brief(each.value)}" for name, each in found.items())


def _brief(value: object) -> str:
    if isinstance(value, torch.Tensor):
        return f"{str(value.dtype).removeprefix('torch.')}:{shown_shape(value.shape)}"
    return type(value).__name__


def renamed(name: str, found: Found) -> Found:
    """The value under the name the step gives it, with a flag of that name."""
    if not found.line:  # it was given or offered
        return found
    spec = _spec_in(name, found.line) or _spec_of(name, found.value)
    if spec is None:
        return Found(found.value, f"{name} is {found.line}")
    return Found(found.value, line_for(spec))


def line_for(spec: InputSpec, what: str = "input") -> str:
    """What a report says of an input that was assumed."""
    bound = "" if spec.bound is None else f", values below {spec.bound}"
    bound += "" if spec.value is None else f", all {spec.value}"
    return f"{spec.name} = {spec.dtype} {shown_shape(spec.shape)}{bound} ({what}, assumed; {flag(spec)})"


def _spec_in(name: str, line: str) -> InputSpec | None:
    """The word of the flag that a line of the solver's ends in."""
    flags = re.search(r"; --input (.+)\)$", line)
    words = shlex.split(flags[1]) if flags else []
    return replace(parse_input(words[0]), name=name) if len(words) == 1 else None


def _spec_of(name: str, value: object) -> InputSpec | None:
    """The word that makes this tensor again; None where no word does."""
    if not isinstance(value, torch.Tensor):
        return None
    dtype = str(value.dtype).removeprefix("torch.")
    if dtype not in DTYPES:
        return None
    spec = InputSpec(tuple(value.shape), dtype, name=name)
    if value.is_meta or not spec.is_integer or not value.numel():
        return spec if value.is_meta else None
    low, high = int(value.min()), int(value.max())
    spec = InputSpec(spec.shape, dtype, None if low == high else high + 1, name, low if low == high else None)
    made = make_inputs([spec]).kwargs[name]
    return spec if isinstance(made, torch.Tensor) and torch.equal(made, value) else None


def found_target(name: str, spec: InputSpec) -> Found:
    """The tensor of a target that is tried."""
    named = InputSpec(spec.shape, spec.dtype, spec.bound, name, spec.value)
    return Found(next(iter(make_inputs([named]).kwargs.values())), line_for(named, "target"))
