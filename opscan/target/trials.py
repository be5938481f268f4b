"""The calls to try: in order before anything is known, and after a failure what its error suggests."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from opscan.target.clues import Mismatch, mismatch_in, named_sizes, nearer_sizes, refused_by
from opscan.target.configs import number
from opscan.target.forms import AXES, BATCH, SMALLEST_IMAGE, Form, axes_of, sizes_of
from opscan.target.hints import Hints
from opscan.target.inputs import InputSpec
from opscan.target.missing import frames_of, missing_arguments
from opscan.target.modalities import config_forms
from opscan.target.names import parameter_forms, special_forms
from opscan.target.slots import Slot, Slots

_PASSES = ((0, 3), (3, 12), (12, 60), (60, None))  # how many sizes a plan gets before the next plan has its turn
_MOST_PLANS = 128
_PLANS_IN_STEP = 4
_CHOICES = 4
_MOST_MISSING, _FORMS_OF_MISSING = 3, 3

Plan = tuple[Form, ...]


@dataclass(frozen=True, slots=True)
class Trial:
    """One call to try: a form for each slot, a size for each axis; and the mismatch that suggested the sizes."""

    slots: Slots
    plan: Plan
    sizes: tuple[tuple[str, int], ...]
    hints: Hints = field(default_factory=Hints)
    mismatch: Mismatch = ()

    @property
    def specs(self) -> tuple[InputSpec, ...]:
        sizes = dict(self.sizes)
        return tuple(_spec(slot, form, sizes, self.hints) for slot, form in zip(self.slots, self.plan, strict=True))

    def resized(self, axis: str, size: int) -> Trial:
        return replace(self, sizes=tuple({**dict(self.sizes), axis: size}.items()))

    def reformed(self, position: int, form: Form) -> Trial:
        """With another form for one slot; an axis it brings in starts at its first common size."""
        return self.replanned((*self.plan[:position], form, *self.plan[position + 1 :]))

    def extended(self, name: str, form: Form) -> Trial:
        """With one argument more, by its name."""
        slots = (*self.slots, Slot(name, keyword=True))
        return replace(self, slots=slots).replanned((*self.plan, form))

    def replanned(self, plan: Plan) -> Trial:
        sizes = {**next(sizes_of(plan, self.hints.sizes)), **dict(self.sizes)}
        return Trial(self.slots, plan, tuple((axis, sizes[axis]) for axis in axes_of(plan)), self.hints)


def first_trials(ways: tuple[Slots, ...], hints: Hints) -> Iterator[Trial]:
    """Every trial in order: a few sizes of each plan, then more sizes of each."""
    plans = [(slots, plan) for slots in ways for plan in _plans(slots, hints)]
    for start, stop in _PASSES:
        for slots, plan in plans:
            for sizes in itertools.islice(sizes_of(plan, hints.sizes), start, stop):
                yield Trial(slots, plan, tuple(sizes.items()), hints)


def next_trials(trial: Trial, error: BaseException, arguments: tuple[object, ...]) -> list[Trial]:
    """The trials that the error of this one suggests, the likeliest first."""
    said = told_trials(trial, error)
    completed = _completed(trial, error)
    if said or completed:
        return [*said, *completed]
    return [*_reformed(trial, error, arguments), *_rewidened(trial, error), *_resized(trial, error)]


def told_trials(trial: Trial, error: BaseException) -> list[Trial]:
    """What a message says in words: another batch, another number of tokens of a kind."""
    message = str(error)
    if re.search(r"batch sizes? > 1", message) and trial.hints.batch != 1:
        return [replace(trial, hints=replace(trial.hints, batch=1))]
    if "number of <eos> tokens" in message:
        return _ending(trial)
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
        for form in all_forms(name, trial.hints)[:_FORMS_OF_MISSING]
    ]


def all_forms(name: str, hints: Hints) -> tuple[Form, ...]:
    """The forms a parameter of this name may have: by the configuration, then by its name and the layers."""
    known = (*config_forms(name, hints.configs, hints.names), *parameter_forms(name, hints.layers, hints))
    return tuple(dict.fromkeys(known))


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
    return [trial.replanned(_widened(trial.plan, widths)) for widths in found if min(widths.values()) > 0]


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


def _plans(slots: Slots, hints: Hints) -> list[Plan]:
    """A form for each slot: first the n-th of every slot in step, then combinations, those of likely forms first."""
    choices = [all_forms(slot.name, hints) for slot in slots]
    steps = [
        forms[:1] if special_forms(slot.name, hints) else forms for slot, forms in zip(slots, choices, strict=True)
    ]
    in_step = [_nth(steps, n) for n in range(max(map(len, steps), default=1))]
    most = int(_MOST_PLANS ** (1 / max(len(slots), 1)))
    mixed = sorted(itertools.product(*(enumerate(forms[:most]) for forms in choices)), key=_rank)
    return list(
        dict.fromkeys((*in_step[:_PLANS_IN_STEP], *(tuple(form for _, form in each) for each in mixed), *in_step))
    )


def _nth(choices: list[tuple[Form, ...]], n: int) -> Plan:
    return tuple(forms[min(n, len(forms) - 1)] for forms in choices)


def _rank(ranked: tuple[tuple[int, Form], ...]) -> int:
    return sum(rank for rank, _ in ranked)


def _count(axis: str, plan: Plan) -> int:
    return max(1, max(form.dims.count(axis) for form in plan))


def _spec(slot: Slot, form: Form, sizes: dict[str, int], hints: Hints) -> InputSpec:
    """The slot's input. The edges of a graph have two rows always, and point to as many nodes as there are."""
    if slot.name == "edge_index":
        spec = form.at(sizes)
        spec = replace(spec, bound=spec.bound and hints.batch)
    else:
        spec = form.at(sizes, hints.batch)
    return replace(spec, name=slot.name) if slot.keyword else spec
