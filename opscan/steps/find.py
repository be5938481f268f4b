"""The inputs of what is called: given, offered, or solved for, in this order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import nn

from opscan.blame import one_line, user_line
from opscan.config import InputRule
from opscan.errors import InputError, OpscanError
from opscan.solving.solve import solve_inputs
from opscan.steps.batch import Batch
from opscan.steps.offers import Offer, offers_of
from opscan.steps.settle import Settled
from opscan.steps.shown import shown_inputs
from opscan.steps.step import TrainingStep, batch_of
from opscan.steps.stepping import Attempting, Stepping, solve_step
from opscan.target.inputs import Inputs
from opscan.target.roles import Argument, roles_of


def find_inputs(
    settled: Settled,
    given: Inputs | None,
    attempting: Attempting,
    configured: Sequence[InputRule] = (),
    with_loss: bool = False,
    hasty: bool = False,
) -> Inputs:
    """The arguments to call the target with.

    `attempting` makes a function that runs a call on meta. `configured` are the inputs of [tool.opscan.inputs]. What is
    offered counts where nothing is given; whatever is missing then is solved for, and `with_loss` labels as well for a
    model that computes its own loss. Raises InputError when nothing runs, and when inputs of the user's own do not;
    with `hasty` EarlyError, soon, where another configuration may be what is wanted.
    """
    finder = _Finder(settled, attempting, with_loss, hasty)
    if given is not None and (given.args or given.kwargs):
        return finder.from_given(given)
    declared = settled.stepping is not None and bool(settled.stepping.known)
    for offer in offers_of(settled.target, configured):
        found = finder.from_offer(offer) if offer.own or not declared else None
        if found is not None:
            return replace(found, assumptions=(*finder.notes, *found.assumptions))
    found = finder.solved()
    return replace(found, assumptions=(*finder.notes, *found.assumptions))


@dataclass(slots=True)
class _Finder:
    """One search; `notes` say which offers were passed over."""

    settled: Settled
    attempting: Attempting
    with_loss: bool
    hasty: bool = False
    notes: list[str] = field(default_factory=list)

    def from_given(self, given: Inputs) -> Inputs:
        stepping = self.settled.stepping or self._apart(given)
        if stepping is None:
            return self._completed(given)
        whole = _whole(given, stepping, self.settled.roles)
        if whole is not None and stepping.criterion is None:
            return replace(given, args=(), kwargs=whole)
        return self._stepped(stepping, _leaves_given(given, stepping, whole), None)

    def from_offer(self, offer: Offer) -> Inputs | None:
        """What an offer comes to; None, with a note, where it is not the user's own and does not run."""
        try:
            offered = offer.inputs()
            return None if offered is None else self._taken(offer, offered)
        except InputError as error:
            if offer.own:
                raise
            self.notes.append(f"{error.what} (passed over)")
            return None

    def _taken(self, offer: Offer, offered: Inputs) -> Inputs:
        stepping, target = self.settled.stepping, self.settled.target
        line = offer.line(offered)
        if stepping is None or offer.own:
            inputs = self.from_given(offered)
            self._check(inputs, offer)
        else:
            forward = replace(target, call=stepping.step.model) if stepping.step.model is not None else target
            self._check(offered, offer, forward.call if stepping.has_forward else None)
            inputs = self._stepped(stepping, {}, offered)
        return replace(inputs, assumptions=(line, *inputs.assumptions))

    def _apart(self, given: Inputs) -> Stepping | None:
        """The forward as one that takes its argument apart, where parts of it are given by their names."""
        apart = _taking_apart(self.settled) if given.kwargs and not given.args else None
        parts = set() if apart is None else {leaf.name for leaf in apart.batch.leaves}
        return apart if set(given.kwargs) <= parts - set(apart.batch.readings if apart else ()) else None

    def _check(self, inputs: Inputs, offer: Offer, call: Callable[..., object] | None = None) -> None:
        """Raise InputError if what was offered does not run."""
        try:
            self.attempting(call or self.settled.target.call)(inputs.args, dict(inputs.kwargs))
        except OpscanError:
            raise
        except (Exception, SystemExit) as error:
            hint = "Correct it, or give others with --input or --inputs."
            raise InputError(f"{offer.source} does not run: {one_line(error)}", user_line(error), hint) from error

    def solved(self) -> Inputs:
        stepping, target = self.settled.stepping, self.settled.target
        if stepping is not None:
            return self._stepped(stepping, {}, None)
        apart = _taking_apart(self.settled)
        if apart is not None:
            return solve_step(apart, self.attempting, {}, None)
        shown = shown_inputs(target, self.attempting(target.call))
        if shown is not None:
            return shown
        return self._completed(None)

    def _completed(self, given: Inputs | None) -> Inputs:
        target = self.settled.target
        return solve_inputs(target, self.attempting(target.call), given, with_loss=self.with_loss, hasty=self.hasty)

    def _stepped(self, stepping: Stepping, given: Mapping[str, object], offered: Inputs | None) -> Inputs:
        return solve_step(stepping, self.attempting, given, offered)


def _taking_apart(settled: Settled) -> Stepping | None:
    """A forward that takes apart what it is given, as one that reads `data.x` and `data.edge_index` does."""
    model = settled.target.model
    if model is None or settled.target.call is not model:
        return None
    batch = batch_of(model.forward, roles_of(model.forward))
    if not any(reading.kind in ("mapping", "object") and reading.parts for reading in batch.readings.values()):
        return None
    return Stepping(settled.target, TrainingStep(model, model, {}), batch, has_forward=False)


def _whole(given: Inputs, stepping: Stepping, roles: tuple[Argument, ...]) -> dict[str, object] | None:
    """The step's data by parameter name, if that is what was given; None if single leaves were."""
    names = list(stepping.batch.readings)
    by_role = {each.name: value for each, value in zip(roles, given.args, strict=False)}
    bound = [each.name for each in roles if each.name not in names]
    if len(given.args) == len(roles) and bound and not any(_misplaced(each, by_role) for each in roles):
        return {name: value for name, value in by_role.items() if name in names}
    if given.kwargs and not given.args and set(names) <= set(given.kwargs) and set(given.kwargs) <= {*names, *bound}:
        return {name: given.kwargs[name] for name in names}
    if len(names) != 1:
        return dict(zip(names, given.args, strict=True)) if len(given.args) == len(names) else None
    batch = _one_batch(given, stepping.batch, names[0])
    return None if batch is None else {names[0]: batch}


def _misplaced(argument: Argument, values: Mapping[str, object]) -> bool:
    value = values[argument.name]
    if argument.role == "index":
        return not isinstance(value, int)
    return argument.role == "model" and not isinstance(value, nn.Module)


def _one_batch(given: Inputs, batch: Batch, name: str) -> object:
    """The one argument that is data, if it was given as a whole."""
    reading = batch.readings[name]
    parts = len(reading.parts)
    if given.kwargs and not given.args:
        keys = {part.key for part in reading.parts}
        is_mapping = reading.kind == "keywords" or (reading.kind == "mapping" and keys <= set(given.kwargs))
        return dict(given.kwargs) if is_mapping else None
    if given.kwargs:
        return None
    if len(given.args) == 1:
        only = given.args[0]
        return only if not isinstance(only, torch.Tensor) or not parts else None
    return (
        tuple(given.args) if reading.kind == "whole" or (reading.kind == "tuple" and len(given.args) == parts) else None
    )


def _leaves_given(given: Inputs, stepping: Stepping, whole: dict[str, object] | None) -> dict[str, object]:
    """What was given by the names of the batch's leaves; positional ones in their order. Raises InputError."""
    if whole is not None:
        return whole
    names = [leaf.name for leaf in stepping.batch.leaves]
    unknown = [name for name in given.kwargs if name not in names]
    if unknown or len(given.args) > len(names):
        what = f"the step reads no {unknown[0]!r}" if unknown else f"{len(given.args)} inputs are given"
        hint = f"It reads {', '.join(names)}; give some of these, as in --input {names[0] if names else 'x'}=2x3x32x32"
        raise InputError(what, "--input", hint)
    free = [name for name in names if name not in given.kwargs]
    return {**given.kwargs, **dict(zip(free, given.args, strict=False))}
