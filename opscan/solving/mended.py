"""What to try after a trial that failed: what its error suggests."""

from __future__ import annotations

import re
from dataclasses import replace

from opscan.solving.clues import dimensions_wanted, mismatch_in, named_sizes, nearer_sizes, refused_by
from opscan.solving.forms import AXES, BATCH, SMALLEST_IMAGE
from opscan.solving.tokens import kinds_of_tokens, with_tokens
from opscan.solving.trials import Plan, Trial, all_forms
from opscan.target.configs import number
from opscan.target.missing import frames_of, missing_arguments, texts_of

_CHOICES = 4
_WIDEST = 1 << 20  # features
_MOST_MISSING, _FORMS_OF_MISSING = 3, 3


def next_trials(trial: Trial, error: BaseException, arguments: tuple[object, ...]) -> list[Trial]:
    """The trials that the error of this one suggests, the likeliest first."""
    said = told_trials(trial, error)
    completed = _completed(trial, error)
    if said or completed:
        return [*said, *completed]
    return [
        *_redimensioned(trial, error),
        *_rewidened(trial, error),
        *_reformed(trial, error, arguments),
        *_apart(trial, error),
        *_resized(trial, error),
    ]


def told_trials(trial: Trial, error: BaseException) -> list[Trial]:
    """What a message says in words: another batch, another number of tokens of a kind."""
    message = str(error)
    if re.search(r"batch sizes? > 1", message) and trial.hints.batch != 1:
        return [replace(trial, hints=replace(trial.hints, batch=1))]
    if "too small" in message and "S" in dict(trial.sizes):
        return [trial.resized("S", times * dict(trial.sizes)["S"]) for times in (2, 4)]
    if "number of <eos> tokens" in message:
        return _ending(trial)
    if told := with_tokens(trial, error):
        return told
    if any("num_choices" in frame.f_locals for frame in frames_of(error)):
        return _with_choices(trial)
    return []


def _ending(trial: Trial) -> list[Trial]:
    """With the token that ends a sequence at the end of each."""
    end = number(trial.hints.configs, "eos_token_id", "text decoder")
    forms = [
        replace(form, bound=None, values=((end + 1, sizes["T"] - 1), (end, 1)))
        if slot.name.endswith("input_ids") and form.dims == (BATCH, "T") and not form.values
        else form
        for sizes in [dict(trial.sizes)]
        for slot, form in zip(trial.slots, trial.plan, strict=True)
    ]
    return [trial.replanned(tuple(forms))] if end and tuple(forms) != trial.plan else []


def _with_choices(trial: Trial) -> list[Trial]:
    """With several sequences for each question."""
    forms = [
        replace(form, dims=(BATCH, _CHOICES, *form.dims[1:])) if form.dims == (BATCH, "T") else form
        for form in trial.plan
    ]
    return [trial.replanned(tuple(forms))] if tuple(forms) != trial.plan else []


def _completed(trial: Trial, error: BaseException) -> list[Trial]:
    """With an optional argument that the error shows to be missing."""
    taken = {slot.name for slot in trial.slots}
    missing = missing_arguments(error, [name for name in trial.hints.optional if name not in taken])
    return [
        trial.extended(name, form)
        for name in missing[:_MOST_MISSING]
        for form in (*kinds_of_tokens(name, trial), *all_forms(name, trial.hints))[:_FORMS_OF_MISSING]
    ]


def _redimensioned(trial: Trial, error: BaseException) -> list[Trial]:
    """With a form of as many dimensions as the line takes the input for: `b, t, c, h, w = pixel_values.shape`.

    Only where a configuration says what the sizes are.
    """
    wanted = dimensions_wanted(error) if trial.hints.configs else 0
    texts = texts_of(error)[:1]
    read = {word for text in texts for word in re.findall(r"\w+", text)}
    slots = [n for n, slot in enumerate(trial.slots) if slot.name in read] or [0] * (len(trial.slots) == 1)
    found = [
        (n, form)
        for n in slots
        for form in all_forms(trial.slots[n].name, trial.hints)
        if wanted and len(form.dims) == wanted != len(trial.plan[n].dims)
    ]
    return [trial.reformed(n, form) for n, form in found[:_FORMS_OF_MISSING]]


def _reformed(trial: Trial, error: BaseException, arguments: tuple[object, ...]) -> list[Trial]:
    """With a form of the layer that refused one of the arguments."""
    refused = refused_by(error, arguments)
    return [trial.reformed(refused[0], form) for form in refused[1]] if refused else []


def _rewidened(trial: Trial, error: BaseException) -> list[Trial]:
    """With so many features more or less as the error wants: in one of the inputs, or shared between all of them."""
    wide = [(position, form) for position, form in enumerate(trial.plan) if form.width > 1]
    mismatch = mismatch_in(error)
    if len(mismatch) != 1:  # the message does not say which size came and which was wanted
        return []
    more = mismatch[0][1] - mismatch[0][0]
    found = [{position: form.width + more} for position, form in wide]
    if len(wide) > 1 and more % len(wide) == 0:
        found.append({position: form.width + more // len(wide) for position, form in wide})
    return [trial.replanned(_widened(trial.plan, widths)) for widths in found if _are_possible(widths)]


def _are_possible(widths: dict[int, int]) -> bool:
    """A message about all elements of a tensor may suggest more than anything can hold."""
    return all(0 < width <= _WIDEST for width in widths.values())


def _widened(plan: Plan, widths: dict[int, int]) -> Plan:
    return tuple(
        replace(form, dims=(*form.dims[:-1], widths[position])) if position in widths else form
        for position, form in enumerate(plan)
    )


def _resized(trial: Trial, error: BaseException) -> list[Trial]:
    """With a size that the error names, or that its mismatch suggests unless the last such size did not change it."""
    mismatch = mismatch_in(error)
    known = () if mismatch == trial.mismatch else mismatch
    return [
        replace(trial.resized(axis, better), mismatch=mismatch)
        for axis, size in trial.sizes
        for better in (*named_sizes(error, size), *nearer_sizes(known, size, _count(axis, trial.plan), AXES[axis]))
        if axis != "S" or better >= SMALLEST_IMAGE
    ]


def _apart(trial: Trial, error: BaseException) -> list[Trial]:
    """With images of two sizes, where one is so many times as large as the other: a picture, and its code."""
    size = dict(trial.sizes).get("S", 0)
    slots = [n for n, form in enumerate(trial.plan) if "S" in form.dims]
    ratios = {wanted // came for came, wanted in mismatch_in(error) if came and wanted > came and wanted % came == 0}
    found = [(n, size // ratio) for ratio in ratios for n in reversed(slots) if len(slots) > 1 and size % ratio == 0]
    return [trial.fixed(n, "S").resized("S", smaller) for n, smaller in found if smaller]


def _count(axis: str, plan: Plan) -> int:
    return max(1, max(form.dims.count(axis) for form in plan))
