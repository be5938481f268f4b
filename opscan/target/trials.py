"""The calls to try: in order before anything is known, and after a failure what its error suggests."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from opscan.target.clues import Mismatch, mismatch_in, named_sizes, nearer_sizes, refused_by
from opscan.target.forms import AXES, SMALLEST_IMAGE, Form, axes_of, sizes_of
from opscan.target.hints import Hints
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

    def replanned(self, plan: Plan) -> Trial:
        sizes = {**next(sizes_of(plan, self.hints.sizes)), **dict(self.sizes)}
        return Trial(self.slots, plan, tuple((axis, sizes[axis]) for axis in axes_of(plan)), self.hints)


def first_trials(ways: tuple[Slots, ...], layers: tuple[LayerForm, ...], hints: Hints) -> Iterator[Trial]:
    """Every trial in order: a few sizes of each plan, then more sizes of each."""
    plans = [(slots, plan) for slots in ways for plan in _plans(slots, layers, hints)]
    for start, stop in _PASSES:
        for slots, plan in plans:
            for sizes in itertools.islice(sizes_of(plan, hints.sizes), start, stop):
                yield Trial(slots, plan, tuple(sizes.items()), hints)


def next_trials(trial: Trial, error: BaseException, arguments: tuple[object, ...]) -> list[Trial]:
    """The trials that the error of this one suggests, the likeliest first."""
    return [*_reformed(trial, error, arguments), *_rewidened(trial, error), *_resized(trial, error)]


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


def _plans(slots: Slots, layers: tuple[LayerForm, ...], hints: Hints) -> list[Plan]:
    """A form for each slot: first the n-th of every slot in step, then combinations, those of likely forms first."""
    choices = [parameter_forms(slot.name, layers, hints) for slot in slots]
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
