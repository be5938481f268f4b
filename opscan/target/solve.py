"""Inputs nobody gave: shapes are tried on the meta device until the forward runs.

    the forward's parameters (slots)  ->  forms for each (names, layers)  ->  sizes for each form (forms)  ->  trials
    the error of a failed trial       ->  what to try next (clues)

The first trial that runs wins. Everything is tried in a fixed order, so the answer is the same each time.
"""

from __future__ import annotations

import io
import re
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, field

import torch
from torch import nn

from opscan.blame import one_line, user_line
from opscan.errors import InputError
from opscan.target.build import Target
from opscan.target.forms import BATCH
from opscan.target.inputs import Inputs, InputSpec, flag, make_inputs, shown_shape
from opscan.target.layers import model_forms
from opscan.target.slots import Slot, Slots, ways_to_call
from opscan.target.trials import Trial, first_trials, next_trials

Attempt = Callable[[tuple[object, ...], dict[str, object]], object]

_DEEPEST = 6  # how many clues are followed, one from the other
_ENOUGH_BUGGY = 40  # trials, with a bug in the forward seen among them
_ENOUGH_ALIKE = 400  # trials that all failed alike: no shape will help
_ENOUGH_BETTER = 24  # trials made in the hope of a better input than a doubtful one
_SHOWN_ERRORS = 3
_SHAPE_WORDS = re.compile(r"shape|size|dim|channel|expect|broadcast|multipl|length|index|unpack|range|assert", re.I)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a trial failed. `place` is the user's file and line; `is_bug` says that no input would help."""

    shapes: str
    error: str
    place: str
    is_bug: bool

    def __str__(self) -> str:
        return f"{self.shapes or 'no input'}: {self.error}" + (f" ({self.place})" if self.place else "")


class _LongBatchError(Exception):
    """The forward ran, but made its batch longer: `x.view(-1, 2048)` splits an image that is too large into several."""


@dataclass(slots=True)
class _Search:
    """What has been tried. Of failures that differ in numbers only the first one is kept."""

    attempt: Attempt
    deadline: float
    tried: dict[tuple[InputSpec, ...], None] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)
    doubtful: Trial | None = None
    doubtful_at: int = 0

    def is_over(self) -> bool:
        if self.doubtful is not None and len(self.tried) > self.doubtful_at + _ENOUGH_BETTER:
            return True
        broken = self.broken()
        if broken and len(self.tried) >= (_ENOUGH_BUGGY if broken.is_bug else _ENOUGH_ALIKE):
            return True
        return bool(self.tried) and time.monotonic() > self.deadline

    def broken(self) -> Failure | None:
        """The failure that is the forward's own: a bug, or the only one there is, if it does not speak of shapes."""
        failures = list(self.failures.values())
        alike = failures if len(failures) == 1 and not _SHAPE_WORDS.search(failures[0].error) else []
        return next((failure for failure in failures if failure.is_bug), next(iter(alike), None))


def solve_inputs(target: Target, attempt: Attempt, budget_s: float = 20.0) -> Inputs:
    """Find inputs the target's forward runs on.

    `attempt(args, kwargs)` runs it and raises what it raises. If it returns the output, a batch that came out longer
    than it went in is doubted, and a better size looked for. It is called up to some thousand times, so it has to leave
    the model as it was. Raises InputError if nothing runs within `budget_s` seconds, or if the forward itself fails.
    """
    ways = ways_to_call(target)
    if target.model is None:
        return Inputs()
    trials = first_trials(ways, model_forms(target.model))
    search = _Search(attempt, time.monotonic() + budget_s)
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):  # the user's forward may print at every trial
        warnings.simplefilter("ignore")
        solved = _first_that_runs(search, trials)
    if solved is None:
        raise _unsolved(target, search, max(ways, key=len))
    made = make_inputs(solved.specs)
    return Inputs(made.args, made.kwargs, _assumptions(solved), assumed=bool(solved.slots))


def _first_that_runs(search: _Search, trials: Iterator[Trial]) -> Trial | None:
    """Run trials until one succeeds; what a failure suggests comes before the next in line."""
    for first in trials:
        stack = [(first, 0)]
        while stack:
            trial, depth = stack.pop()
            if trial.specs in search.tried:
                continue
            if search.is_over():
                return search.doubtful
            arguments, error = _run(search, trial)
            if error is None:
                return trial
            if depth < _DEEPEST:
                stack += [(each, depth + 1) for each in reversed(next_trials(trial, error, arguments))]
    return search.doubtful


def _run(search: _Search, trial: Trial) -> tuple[tuple[object, ...], BaseException | None]:
    """Try one call; the arguments in the order of its slots, and the error if there was one."""
    search.tried[trial.specs] = None
    made = make_inputs(trial.specs)
    try:
        _check_batch(search.attempt(made.args, made.kwargs), trial)
    except _LongBatchError as error:
        search.doubtful, search.doubtful_at = search.doubtful or trial, search.doubtful_at or len(search.tried)
        return (), error
    except (Exception, SystemExit) as error:  # the user's forward may raise anything
        _note(search, Failure(_shown(trial.specs), one_line(error), user_line(error), _is_bug(error)))
        return (*made.args, *made.kwargs.values()), error
    return (), None


def _check_batch(output: object, trial: Trial) -> None:
    """Doubt an output whose batch is a multiple of the one that went in, where an image's size was tried."""
    if not isinstance(output, torch.Tensor) or not output.ndim or "S" not in dict(trial.sizes):
        return
    length = output.shape[0]
    if length > BATCH and length % BATCH == 0:
        raise _LongBatchError(f"a batch of {BATCH} came out as {length}")


def _note(search: _Search, failure: Failure) -> None:
    key = re.sub(r"\d+", "N", failure.error) + failure.place
    search.failures.setdefault(key, failure)


def _is_bug(error: BaseException) -> bool:
    """An undefined name, a module without the attribute, a missing forward: never a matter of shapes."""
    if isinstance(error, AttributeError):
        return isinstance(error.obj, nn.Module)
    if isinstance(error, NotImplementedError):
        return "meta" not in str(error).lower()  # else an op the meta device cannot run
    return isinstance(error, (NameError, ImportError)) and not isinstance(error, UnboundLocalError)


def _assumptions(trial: Trial) -> tuple[str, ...]:
    return tuple(_assumption(slot, spec) for slot, spec in zip(trial.slots, trial.specs, strict=True))


def _assumption(slot: Slot, spec: InputSpec) -> str:
    bound = "" if spec.bound is None else f", values below {spec.bound}"
    return f"{slot.name} = {spec.dtype} {shown_shape(spec.shape)}{bound} (input, assumed; {flag(spec)})"


def _shown(specs: tuple[InputSpec, ...]) -> str:
    return " ".join(map(str, specs))


def _unsolved(target: Target, search: _Search, slots: Slots) -> InputError:
    """The error that says what was tried and what to give."""
    first = next(filter(None, search.tried), ())
    flags = " ".join(map(flag, first)) or "--input 2x3x32x32"
    how = f"Give the input, as in {flags} (or a function that makes it: --inputs mod:make_batch)."
    if broken := search.broken():
        what = f"the forward fails, whatever the input: {broken.error}"
        return InputError(
            what, broken.place or target.label, f"Correct it. If it needs a special input: {how[0].lower()}{how[1:]}"
        )
    names = ", ".join(slot.name for slot in slots)
    errors = "".join(f"\n    {failure}" for failure in list(search.failures.values())[:_SHOWN_ERRORS])
    return InputError(
        f"no input found that forward({names}) runs on; tried {len(search.tried)} shapes",
        target.label,
        f"{how} The likeliest ones failed so:{errors}",
    )
