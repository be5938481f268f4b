"""Why trials fail, and what to say when all of them did."""

from __future__ import annotations

import linecache
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from traceback import walk_tb

import torch
from torch import nn

from opscan.blame import one_line, user_line
from opscan.errors import InputError
from opscan.solving.slots import Slots
from opscan.target.build import Target
from opscan.target.inputs import InputSpec, flag

_SHOWN_ERRORS = 3
_TORCH = Path(torch.__file__).parent
_MAKER = "a function that makes the arguments: --inputs mod:make_batch"
_SHAPE_WORDS = re.compile(r"shape|size|dim|channel|expect|broadcast|multipl|length|index|unpack|range|assert", re.I)
_UNPACKED = re.compile(r"\s*\(?\s*\w+(?:\s*,\s*\w+)+\s*,?\s*\)?\s*=\s*(\w+)\s*(?:#.*)?")
_KEYED = re.compile(r"(\w+)\[\s*[\"'](\w+)[\"']\s*\]")


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a trial failed. `place` is the user's file and line.

    `is_bug` says that no input would help, `no_tensor` that the forward wants something that is no tensor, and what.
    `of_shapes` says that other shapes may help.
    """

    shapes: str
    error: str
    place: str
    is_bug: bool = False
    no_tensor: str = ""
    of_shapes: bool = True

    def __str__(self) -> str:
        return f"{self.shapes or 'no input'}: {self.error}" + (f" ({self.place})" if self.place else "")

    @property
    def kind(self) -> str:
        """The same for failures that differ in numbers only."""
        return re.sub(r"\d+", "N", self.error) + self.place


def failure_of(error: BaseException, specs: tuple[InputSpec, ...]) -> Failure:
    """What the error of a trial with these inputs says."""
    return Failure(
        shapes=" ".join(map(str, specs)),
        error=one_line(error),
        place=user_line(error),
        is_bug=_is_bug(error),
        no_tensor=_no_tensor(error),
        of_shapes=isinstance(error, UnboundLocalError) or bool(_SHAPE_WORDS.search(one_line(error))),
    )


def _is_bug(error: BaseException) -> bool:
    """An undefined name, a module without the attribute, a missing forward: never a matter of shapes."""
    if isinstance(error, AttributeError):
        return isinstance(error.obj, nn.Module)
    if isinstance(error, NotImplementedError):  # torch raises it for dtypes, ranks and devices an op does not take
        return "missing the required" in str(error) or not _is_from_torch(error)
    return isinstance(error, (NameError, ImportError)) and not isinstance(error, UnboundLocalError)


def _is_from_torch(error: BaseException) -> bool:
    """Whether torch, or the dispatch mode the trial ran under, raised it."""
    files = [frame.f_code.co_filename for frame, _ in walk_tb(error.__traceback__)]
    from_python = bool(files) and Path(files[-1]).is_relative_to(_TORCH)
    return from_python or re.search(r"not implemented for|\bmeta\b", str(error), re.I) is not None


def _no_tensor(error: BaseException) -> str:
    """What the forward takes its tensor for, if it is something else: it was indexed with a text, or taken apart."""
    frames = list(reversed(list(walk_tb(error.__traceback__))))
    lines = [linecache.getline(frame.f_code.co_filename, number) for frame, number in frames]
    if isinstance(error, (TypeError, IndexError)) and re.search(r"invalid data type 'str'|got str", str(error)):
        keyed = next(filter(None, map(_KEYED.search, lines)), None)
        return f"{keyed[1]} is a mapping: it reads {keyed[1]}[{keyed[2]!r}]" if keyed else "an input is a mapping"
    unpacked = _UNPACKED.fullmatch(lines[0].rstrip("\n")) if lines else None
    if unpacked and isinstance(error, ValueError) and "unpack" in str(error):
        taken = frames[0][0].f_locals.get(unpacked[1])
        return f"{unpacked[1]} is a tuple, which it unpacks" if isinstance(taken, torch.Tensor) else ""
    return ""


def unsolved(
    target: Target, slots: Slots, tried: Sequence[tuple[InputSpec, ...]], failures: Sequence[Failure]
) -> InputError:
    """The error that says what was tried and what to give."""
    fatal = fatal_among(failures)
    if fatal is not None and fatal.no_tensor:
        return InputError(f"{fatal.no_tensor}; a tensor was tried", fatal.place or target.label, f"Give {_MAKER}")
    if fatal is not None:
        what = f"the forward fails, whatever the input: {fatal.error}"
        missing = fatal.error.startswith(("ImportError", "ModuleNotFoundError"))
        mend = "Install what it needs" if missing else "Correct it"
        hint = f"{mend}, or if it needs a special input give {_MAKER}"
        return InputError(what, fatal.place or target.label, hint)
    example = " ".join(map(flag, next(filter(None, tried), ()))) or "--input 2x3x32x32"
    errors = "".join(f"\n    {failure}" for failure in failures[:_SHOWN_ERRORS])
    return InputError(
        f"no input found that forward({', '.join(slot.name for slot in slots)}) runs on; tried {len(tried)} shapes",
        target.label,
        f"Give the shapes, written as in {example}, or {_MAKER}. The likeliest ones failed so:{errors}",
    )


def fatal_among(failures: Sequence[Failure]) -> Failure | None:
    """The failure that is the forward's own: one that no tensor mends, or the only one, if not of shapes."""
    own = next((failure for failure in failures if failure.no_tensor or failure.is_bug), None)
    return own or (failures[0] if len(failures) == 1 and not failures[0].of_shapes else None)
