"""The calls to try: in order before anything is known, and after a failure what its error suggests."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace

from opscan.target.clues import Mismatch, mismatch_in, named_sizes, nearer_sizes, refused_by
from opscan.target.forms import AXES, SMALLEST_IMAGE, Form, axes_of, sizes_of
from opscan.target.inputs import InputSpec
from opscan.target.layers import LayerForm
from opscan.target.names import parameter_forms, special_forms
from opscan.target.slots import Slot, Slots

_PASSES = ((0, 3), (3, 12), (12, 60), (60, None))  # how many sizes a plan gets before the next plan has its turn
_MOST_PLANS = 128
_PLANS_IN_STEP = 4

Plan = tuple[Form, ...]


@dataclass(frozen=True, slots=True)
class Trial:
    """One call to try: a form for each slot, a size for each axis; and the mismatch that suggested the sizes."""

    slots: Slots
    plan: Plan
    sizes: tuple[tuple[str, int], ...]
    mismatch: Mismatch = ()

    @property
    def specs(self) -> tuple[InputSpec, ...]:
        sizes = dict(self.sizes)
        return tuple(_named(form.at(sizes), slot) for slot, form in zip(self.slots, self.plan, strict=True))

    def resized(self, axis: str, size: int) -> Trial:
        return replace(self, sizes=tuple({**dict(self.sizes), axis: size}.items()))

    def reformed(self, position: int, form: Form) -> Trial:
        """With another form for one slot; an axis it brings in starts at its first common size."""
        plan = (*self.plan[:position], form, *self.plan[position + 1 :])
        sizes = {**next(sizes_of(plan)), **dict(self.sizes)}
        return Trial(self.slots, plan, tuple((axis, sizes[axis]) for axis in axes_of(plan)))


def first_trials(ways: tuple[Slots, ...], layers: tuple[LayerForm, ...]) -> Iterator[Trial]:
    """Every trial in order: a few sizes of each plan, then more sizes of each."""
    plans = [(slots, plan) for slots in ways for plan in _plans(slots, layers)]
    for start, stop in _PASSES:
        for slots, plan in plans:
            for sizes in itertools.islice(sizes_of(plan), start, stop):
                yield Trial(slots, plan, tuple(sizes.items()))


def next_trials(trial: Trial, error: BaseException, arguments: tuple[object, ...]) -> list[Trial]:
    """The trials that the error of this one suggests, the likeliest first."""
    return [*_reformed(trial, error, arguments), *_resized(trial, error)]


def _reformed(trial: Trial, error: BaseException, arguments: tuple[object, ...]) -> list[Trial]:
    """With a form of the layer that refused one of the arguments."""
    refused = refused_by(error, arguments)
    return [trial.reformed(refused[0], form) for form in refused[1]] if refused else []


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


def _plans(slots: Slots, layers: tuple[LayerForm, ...]) -> list[Plan]:
    """A form for each slot: first the n-th of every slot in step, then combinations, those of likely forms first."""
    choices = [parameter_forms(slot.name, layers) for slot in slots]
    steps = [forms[:1] if special_forms(slot.name) else forms for slot, forms in zip(slots, choices, strict=True)]
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
    return max(form.dims.count(axis) for form in plan)


def _named(spec: InputSpec, slot: Slot) -> InputSpec:
    return replace(spec, name=slot.name) if slot.keyword else spec
