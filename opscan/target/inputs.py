"""The inputs a target is called with: what `--input`, `--inputs` and the Python API give, as tensors.

    --input WORD   WORD = [NAME=][DTYPE:]SHAPE[<BOUND or =VALUES]

    2x3x32x32   float16:2x3   'ids=int64:2x16<1000'   lengths=int64:2=16   ids=int64:2x8=9*7,2   t=int64:scalar=0

SHAPE is sizes joined by x, or the word `scalar`. DTYPE is float32 if left out. Integers count up from 0 and start
again at BOUND (2 if left out), or are VALUES: one or several joined by commas, V*COUNT for V so many times, from the
front again when they are used up. Booleans alternate. A word with NAME is a keyword argument, the others are
positional.
"""

from __future__ import annotations

import ast
import itertools
import math
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch

from opscan.blame import one_line, user_line
from opscan.errors import InputError, TargetError
from opscan.target.load import load_object
from opscan.target.spec import parse_target

DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        *(torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.complex128),
        *(torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8, torch.bool),
    )
}
GRAMMAR = (
    "Write [NAME=][DTYPE:]SHAPE[<BOUND or =VALUES], for example 2x3x32x32, 'ids=int64:2x16<1000', lengths=int64:2=16"
    " or ids=int64:2x8=9*7,2."
)
DEFAULT_BOUND = 2

_WORD = re.compile(
    r"(?:(?P<name>[^\W\d]\w*)=)?(?:(?P<dtype>\w+):)?(?P<shape>scalar|N(?:xN)*)"
    r"(?:<(?P<bound>N)|=(?P<values>-?N(?:\*N)?(?:,-?N(?:\*N)?)*))?".replace("N", "[0-9]{1,20}")
)
_MOST_BYTES = 2**62
"""Of a tensor on meta, which takes none: torch counts them in 64 bits."""
_MOST_INTEGERS = 2**28
"""Integers and booleans are there for real: so many are at most 2 GiB."""
_PLAIN_WORDS = {"true": True, "false": False, "none": None}


@dataclass(frozen=True, slots=True)
class InputSpec:
    """One tensor: `shape` in elements; an integer one counts below `bound` (None: the default), or has values.

    It is all `value`, or the `values` in order, each so many times, and again from the front.
    """

    shape: tuple[int, ...]
    dtype: str = "float32"
    bound: int | None = None
    name: str | None = None
    value: int | None = None
    values: tuple[tuple[int, int], ...] = ()

    def __str__(self) -> str:
        """The word that `parse_input` reads back."""
        name = f"{self.name}=" if self.name else ""
        dtype = "" if self.dtype == "float32" else f"{self.dtype}:"
        bound = "" if self.bound is None else f"<{self.bound}"
        values = f"={self.shown_values}" if self.shown_values else ""
        return f"{name}{dtype}{shown_shape(self.shape)}{bound}{values}"

    @property
    def shown_values(self) -> str:
        """`16`, `9*7,2`, or nothing."""
        if self.value is not None:
            return str(self.value)
        return ",".join(str(value) if count == 1 else f"{value}*{count}" for value, count in self.values)

    @property
    def is_integer(self) -> bool:
        dtype = DTYPES[self.dtype]
        return dtype != torch.bool and not dtype.is_floating_point and not dtype.is_complex


@dataclass(frozen=True, slots=True)
class Inputs:
    """What to call with. `assumed` says that nobody gave them: they were solved for."""

    args: tuple[object, ...] = ()
    kwargs: dict[str, object] = field(default_factory=dict)
    assumptions: tuple[str, ...] = ()
    assumed: bool = False


def shown_shape(shape: Iterable[int]) -> str:
    """`2x3x32x32`, or `scalar`."""
    return "x".join(map(str, shape)) or "scalar"


def flag(spec: InputSpec) -> str:
    """`--input WORD`, quoted for a shell (`<` has to be)."""
    return f"--input {shlex.quote(str(spec))}"


def parse_input(text: str) -> InputSpec:
    """Read one `--input` word. Raises InputError quoting it."""
    match = _WORD.fullmatch(text.strip())
    if match is None:
        raise InputError(f"cannot read the input {text!r}", "--input", GRAMMAR)
    dtype = match["dtype"] or "float32"
    if dtype not in DTYPES:
        raise InputError(f"unknown dtype {dtype!r} in {text!r}", "--input", f"Use one of: {', '.join(DTYPES)}.")
    shape = () if match["shape"] == "scalar" else tuple(map(int, match["shape"].split("x")))
    bound = int(match["bound"]) if match["bound"] else None
    values = _parse_values(match["values"] or "")
    is_one = len(values) == 1 and values[0][1] == 1
    spec = InputSpec(shape, dtype, bound, match["name"], values[0][0] if is_one else None, () if is_one else values)
    _check_range(spec, text)
    return spec


def _parse_values(text: str) -> tuple[tuple[int, int], ...]:
    """`9*7,2` is ((9, 7), (2, 1))."""
    words = [word.partition("*") for word in text.split(",") if word]
    return tuple((int(value), int(count) if count else 1) for value, _, count in words)


def _check_range(spec: InputSpec, text: str) -> None:
    numbers = [value for value, _ in spec.values] if spec.value is None else [spec.value]
    if spec.bound is None and not numbers:
        return
    what = "value" if spec.bound is None else "bound"
    if not spec.is_integer:
        raise InputError(f"only integers take a {what}, not {spec.dtype}: {text!r}", "--input", GRAMMAR)
    range_ = torch.iinfo(DTYPES[spec.dtype])
    least, numbers = (range_.min, numbers) if spec.bound is None else (1, [spec.bound])
    if not all(least <= number <= range_.max for number in numbers):
        raise InputError(f"the {what} in {text!r} is not between {least} and {range_.max}", "--input", GRAMMAR)
    if spec.values and not all(count for _, count in spec.values):
        raise InputError(f"a value in {text!r} stands no time at all", "--input", GRAMMAR)


def _check_size(spec: InputSpec) -> None:
    dtype = DTYPES[spec.dtype]
    size = math.prod(each for each in spec.shape if each)  # strides do not count a size of 0
    if size * dtype.itemsize > _MOST_BYTES:
        raise InputError(f"too large: {spec}", "--input", f"A tensor has at most {_MOST_BYTES:,} bytes.")
    if not (dtype.is_floating_point or dtype.is_complex) and size > _MOST_INTEGERS:
        hint = f"Integers and booleans are made for real: {_MOST_INTEGERS:,} at most."
        raise InputError(f"too large: {spec}", "--input", hint)


def make_inputs(specs: Iterable[InputSpec]) -> Inputs:
    """The tensors: floats and complex on the meta device, integers and booleans concrete on the CPU.

    The values are the same each time and no random number is drawn. Raises InputError if a name comes twice, and for
    sizes that no memory holds.
    """
    specs = tuple(specs)
    for spec in specs:
        _check_size(spec)
    names = [spec.name for spec in specs if spec.name]
    if twice := {name for name in names if names.count(name) > 1}:
        raise InputError(f"the input {min(twice)!r} is given twice", "--input", "Give each name once.")
    args = tuple(_tensor(spec) for spec in specs if not spec.name)
    kwargs: dict[str, object] = {spec.name: _tensor(spec) for spec in specs if spec.name}
    guessed = [spec for spec in specs if spec.is_integer and spec.bound is None and not spec.shown_values]
    notes = tuple(f"{spec}: values 0 and 1 (assumed; --input {shlex.quote(f'{spec}<N')})" for spec in guessed)
    return Inputs(args, kwargs, notes)


def _tensor(spec: InputSpec) -> torch.Tensor:
    dtype = DTYPES[spec.dtype]
    if dtype.is_floating_point or dtype.is_complex:
        return torch.empty(spec.shape, dtype=dtype, device="meta")
    if spec.value is not None:
        return torch.full(spec.shape, spec.value, dtype=dtype, device="cpu")
    size = math.prod(spec.shape)
    if spec.values:
        listed = itertools.chain.from_iterable(itertools.repeat(value, count) for value, count in spec.values)
        once = torch.tensor(list(itertools.islice(listed, size)), dtype=dtype, device="cpu")
        return once.repeat(-(-size // max(len(once), 1)))[:size].reshape(spec.shape)
    counted = torch.arange(size, device="cpu")
    values = counted % 2 == 0 if dtype == torch.bool else counted % (spec.bound or DEFAULT_BOUND)
    return values.to(dtype).reshape(spec.shape)


def parse_init(words: Iterable[str]) -> dict[str, object]:
    """Read the words of `--init`: `a=1 sizes=(1,2) name=resnet`.

    A value is a Python literal, or true, false or none in any case, or else a plain string. Raises TargetError.
    """
    given: dict[str, object] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name.strip().isidentifier():
            raise TargetError(f"cannot read {word!r}", "--init", "Write NAME=VALUE, for example num_classes=10.")
        if name.strip() in given:
            raise TargetError(f"{name.strip()!r} is given twice", "--init", "Give each name once.")
        given[name.strip()] = _value(value.strip())
    return given


def _value(text: str) -> object:
    if text.lower() in _PLAIN_WORDS:
        return _PLAIN_WORDS[text.lower()]
    try:
        value: object = ast.literal_eval(text)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return text
    return value


def call_batch_maker(text: str) -> Inputs:
    """The inputs that `--inputs mod:make_batch` names: a value, or a function that makes one.

    A tuple or list is positional arguments, a mapping is keyword arguments, anything else is one argument.
    Raises TargetError if it cannot be loaded, InputError if the function raises.
    """
    spec = parse_target(text)
    made = load_object(spec)
    if callable(made) and not isinstance(made, Mapping):
        try:
            made = made(*spec.args, **spec.kwargs)
        except (Exception, SystemExit) as error:
            what = f"{text} raised {one_line(error)}"
            raise InputError(what, user_line(error) or "--inputs", "It is called to make one batch.") from error
    if isinstance(made, Mapping):
        return _from_mapping(made, InputError(f"{text} made a mapping with keys that are not names", "--inputs"))
    return Inputs(tuple(made) if isinstance(made, (tuple, list)) else (made,))


def inputs_from_object(value: object) -> Inputs:
    """The inputs given in Python: a tuple of positional arguments, a mapping of keyword arguments, or one tensor.

    They are passed on unchanged. Raises TypeError for anything else.
    """
    if isinstance(value, Mapping):
        return _from_mapping(value, TypeError("the keys of inputs must be argument names"))
    if isinstance(value, torch.Tensor):
        return Inputs((value,))
    if not isinstance(value, tuple):
        kind = type(value).__name__
        raise TypeError(f"inputs must be a tuple of arguments, a dict of keyword arguments or a tensor, not {kind}")
    return Inputs(value)


def _from_mapping(value: Mapping[object, object], otherwise: Exception) -> Inputs:
    if not all(isinstance(name, str) for name in value):
        raise otherwise
    return Inputs((), {str(name): argument for name, argument in value.items()})
