"""Inputs nobody gave: shapes are tried on the meta device until the forward runs.

    the forward's parameters (slots)  ->  forms for each (names, layers)  ->  sizes for each form (forms)  ->  trials
    sizes that are written down       ->  what to try first (hints)
    the error of a failed trial       ->  what to try next (clues), or that no trial will do (failure)

The first trial that runs wins. Everything is tried in a fixed order, so the answer is the same each time.
"""

from __future__ import annotations

import io
import itertools
import math
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, field

import torch

from opscan.errors import InputError, OpscanError
from opscan.solving.failure import Failure, failure_of, fatal_among, unsolved
from opscan.solving.hints import hints_for
from opscan.solving.labels import has_loss, label_names, labelled, may_have_loss
from opscan.solving.mended import next_trials
from opscan.solving.slots import Slot, given_by_name, names_of, optional_of, ways_to_call
from opscan.solving.trials import Trial, all_forms, first_trials
from opscan.target.build import Target
from opscan.target.entries import mendings
from opscan.target.inputs import Inputs, InputSpec, flag, make_inputs, shown_shape

Attempt = Callable[[tuple[object, ...], dict[str, object]], object]

_LARGEST = 2**30  # elements of an input
_DEEPEST = 6  # how many clues are followed, one from the other
_ENOUGH_NO_TENSOR = 8  # trials, with something that is no tensor asked for in one of them
_ENOUGH_ALIKE = 40  # trials that all failed alike, or among them a bug in the forward: no shape will help
_ENOUGH_EXTENDED, _MOST_MENDED = 8, 2  # trials made for a loss or an image, and of those that one failure suggests
_MEDIA = ("pixel_values", "input_features", "input_values")
_INSTEAD = ("images", "inputs_embeds")
_ENOUGH_MENDABLE = 6  # more trials, once another configuration may be what is wanted
_ENOUGH_BETTER = 24  # trials made in the hope of a better input than a doubtful one


class EarlyError(InputError):
    """The search ended early: the first trials failed at an entry of the model's configuration."""


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
    output: object = None
    first_error: BaseException | None = None
    hasty: bool = False
    mendable: BaseException | None = None
    mendable_at: int = 0

    def is_over(self) -> bool:
        if self.hasty and self.mendable is not None and len(self.tried) >= self.mendable_at + _ENOUGH_MENDABLE:
            return True
        if self.doubtful is not None and len(self.tried) > self.doubtful_at + _ENOUGH_BETTER:
            return True
        fatal = fatal_among(list(self.failures.values()))
        if fatal and len(self.tried) >= (_ENOUGH_NO_TENSOR if fatal.no_tensor else _ENOUGH_ALIKE):
            return True
        return bool(self.tried) and time.process_time() > self.deadline

    def failed(self, trial: Trial, error: BaseException) -> None:
        """Note why a trial failed."""
        failure = failure_of(error, trial.specs)
        is_new = failure.kind not in self.failures
        self.failures.setdefault(failure.kind, failure)
        self.first_error = self.first_error or (error if trial.specs else None)
        if is_new and self.mendable is None and any(mendings(error, trial.hints.configs)):
            self.mendable, self.mendable_at = error, len(self.tried)


def solve_inputs(
    target: Target,
    attempt: Attempt,
    given: Inputs | None = None,
    budget_s: float = 10.0,
    with_loss: bool = True,
    hasty: bool = False,
) -> Inputs:
    """Find inputs the target's forward runs on, besides those that are `given`.

    A model that takes labels, and returns a loss if it has them, gets them too, unless `with_loss` is False.

    `attempt(args, kwargs)` runs it and raises what it raises. If it returns the output, a batch that came out longer
    than it went in is doubted, and a better size looked for. It is called up to some thousand times, so it has to leave
    the model as it was; and not at all if nothing is left to be found: the given inputs are then returned unchanged.
    Raises InputError if nothing runs within `budget_s` seconds of this process's time (a busy machine finds what an
    idle one does), or if the forward itself fails; with `hasty` EarlyError after some trials, if the first one failed
    at an entry of the model's configuration.
    """
    given = given or Inputs()
    ways = ways_to_call(target, given)
    labels = label_names(optional_of(target, given)) if with_loss and target.call is target.model else ()
    if target.model is None or (ways == ((),) and (given.args or given.kwargs) and not labels):
        return given
    hints = hints_for(
        target, frozenset(names_of(target)), given_by_name(target, given), tuple(optional_of(target, given))
    )
    trials = first_trials(ways, hints)
    search = _Search(
        lambda args, kwargs: attempt((*given.args, *args), {**given.kwargs, **kwargs}),
        time.process_time() + budget_s,
        hasty=hasty,
    )
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):  # the user's forward may print at every trial
        warnings.simplefilter("ignore")
        first = next(trials)
        solved = _media_at_once(search, first) or _first_that_runs(search, itertools.chain([first], trials))
        lost: tuple[str, ...] = ()
        if solved is not None and solved.hints.configs:
            solved = _with_media(search, solved)
        left = tuple(name for name in labels if solved is not None and name not in {slot.name for slot in solved.slots})
        if solved is not None and left and may_have_loss(search.output) and not has_loss(search.output):
            solved, lost = _with_loss(search, solved, left)
    if solved is None:
        failures = list(search.failures.values())
        error = unsolved(target, max(ways, key=len), list(search.tried), failures)
        if hasty and search.mendable is not None:
            error = EarlyError(error.what, error.where, error.hint)
        raise error from search.mendable or search.first_error
    made = make_inputs(solved.specs)
    return Inputs(
        (*given.args, *made.args),
        {**given.kwargs, **made.kwargs},
        (*given.assumptions, *_assumptions(solved), *lost),
        assumed=bool(solved.slots),
    )


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
                found = next_trials(trial, error, arguments)
                stack += [(each, depth + (len(each.slots) == len(trial.slots))) for each in reversed(found)]
    return search.doubtful


def _with_loss(search: _Search, solved: Trial, labels: tuple[str, ...]) -> tuple[Trial, tuple[str, ...]]:
    """The trial with labels that bring the model's own loss; where few tries find none, as it was, and a line on it."""
    found = _extended(search, labelled(solved, search.output, labels), lambda: has_loss(search.output))
    if found is not None:
        return found, ()
    said = f"{', '.join(labels)}: none found that the model returns a loss for (--input {labels[0]}=...)"
    return solved, (said,)


def _media_at_once(search: _Search, first: Trial) -> Trial | None:
    """The first trial with an image beside its text: spares the one without. Half of the time is left for that."""
    deadline = search.deadline
    search.deadline = (time.process_time() + deadline) / 2
    with_media = _with_media(search, first) if first.hints.configs else first
    search.deadline = deadline
    return None if with_media is first else with_media


def _with_media(search: _Search, solved: Trial) -> Trial:
    """The trial with the images or the sound that the model takes beside its text, if a few tries find them."""
    taken, output = {slot.name for slot in solved.slots}, search.output
    for name in _MEDIA:
        if name in solved.hints.optional and not taken & {name, *_INSTEAD} and "input_ids" in taken:
            trials = [solved.extended(name, form) for form in all_forms(name, solved.hints)[:_MOST_MENDED]]
            found = _extended(search, iter(trials), lambda: True)
            solved, output = (solved, output) if found is None else (found, search.output)
    search.output = output
    return solved


def _extended(search: _Search, trials: Iterator[Trial], accept: Callable[[], bool]) -> Trial | None:
    """The first of a few trials that runs and is accepted, following what failures say."""
    stack = list(reversed(list(trials)))
    most = len(search.tried) + _ENOUGH_EXTENDED
    while stack and len(search.tried) < most and time.process_time() < search.deadline:
        trial = stack.pop()
        if trial.specs in search.tried:
            continue
        arguments, error = _run(search, trial)
        if error is None and accept():
            return trial
        if error is not None:
            stack += reversed(next_trials(trial, error, arguments)[:_MOST_MENDED])
    return None


def _run(search: _Search, trial: Trial) -> tuple[tuple[object, ...], BaseException | None]:
    """Try one call; the arguments in the order of its slots, and the error if there was one."""
    search.tried[trial.specs] = None
    if any(math.prod(spec.shape) > _LARGEST for spec in trial.specs):
        return (), OverflowError("no input is that large")
    made = make_inputs(trial.specs)
    try:
        search.output = search.attempt(made.args, made.kwargs)
        _check_batch(search.output, trial)
    except _LongBatchError as error:
        search.doubtful, search.doubtful_at = search.doubtful or trial, search.doubtful_at or len(search.tried)
        return (), error
    except OpscanError:  # what cannot be traced at all says so itself
        raise
    except (Exception, SystemExit) as error:  # the user's forward may raise anything
        search.failed(trial, error)
        return (*made.args, *made.kwargs.values()), error
    return (), None


def _check_batch(output: object, trial: Trial) -> None:
    """Doubt an output whose batch is a multiple of the one that went in, where an image's size was tried."""
    if not isinstance(output, torch.Tensor) or not output.ndim or "S" not in dict(trial.sizes):
        return
    length = output.shape[0]
    batch = trial.hints.batch
    if length > batch and length % batch == 0:
        raise _LongBatchError(f"a batch of {batch} came out as {length}")


def _assumptions(trial: Trial) -> tuple[str, ...]:
    return tuple(_assumption(slot, spec) for slot, spec in zip(trial.slots, trial.specs, strict=True))


def _assumption(slot: Slot, spec: InputSpec) -> str:
    values = "" if spec.bound is None else f", values below {spec.bound}"
    values += f", all {spec.value}" if spec.value is not None else f", {spec.shown_values}" if spec.values else ""
    return f"{slot.name} = {spec.dtype} {shown_shape(spec.shape)}{values} (input, assumed; {flag(spec)})"
