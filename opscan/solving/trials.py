"""The calls to try: in order before anything is known, and after a failure what its error suggests."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from opscan.solving.clues import Mismatch
from opscan.solving.forms import Form, axes_of, sizes_of
from opscan.solving.hints import Hints
from opscan.solving.modalities import config_forms
from opscan.solving.names import parameter_forms, special_forms
from opscan.solving.slots import Slot, Slots
from opscan.target.inputs import InputSpec

_PASSES = (
    (0, 1),
    (1, 3),
    (3, 12),
    (12, 60),
    (60, None),
)  # how many sizes a plan gets before the next plan has its turn
_MOST_PLANS = 128
_PLANS_IN_STEP = 4

_NUMBERS = (Form((), "int64", value=1), Form((), "int64", value=0))  # a tensor of one whole number serves as one

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

    def fixed(self, position: int, axis: str) -> Trial:
        """With the axis of one slot at the size it has, whatever size the others get."""
        form = self.plan[position]
        size = dict(self.sizes)[axis]
        return self.reformed(position, replace(form, dims=tuple(size if dim == axis else dim for dim in form.dims)))

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


def all_forms(name: str, hints: Hints) -> tuple[Form, ...]:
    """The forms a parameter of this name may have: by the configuration, then by its name and the layers."""
    known = (*config_forms(name, hints.configs, hints.names), *parameter_forms(name, hints.layers, hints))
    return tuple(dict.fromkeys(known))


def _plans(slots: Slots, hints: Hints) -> list[Plan]:
    """A form for each slot: first the n-th of every slot in step, then combinations, those of likely forms first."""
    choices = [(_NUMBERS if slot.is_number else ()) + all_forms(slot.name, hints) for slot in slots]
    steps = [
        forms[:1] if slot.is_number or special_forms(slot.name, hints) else forms
        for slot, forms in zip(slots, choices, strict=True)
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


def _spec(slot: Slot, form: Form, sizes: dict[str, int], hints: Hints) -> InputSpec:
    """The slot's input. The edges of a graph have two rows always, and point to as many nodes as there are."""
    if slot.name == "edge_index":
        spec = form.at(sizes)
        spec = replace(spec, bound=spec.bound and hints.batch)
    else:
        spec = form.at(sizes, hints.batch)
    return replace(spec, name=slot.name) if slot.keyword else spec
