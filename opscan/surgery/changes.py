"""`make_deterministic`: a model whose flagged modules and calls run drop-ins; with a record, and a way back."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Any, get_args
from weakref import WeakKeyDictionary

from torch import nn

from opscan.environment import Strictness
from opscan.finding import Finding, Place
from opscan.remedies.choose import Choice, choose
from opscan.report.report import Report, fails_in
from opscan.rules.dropins import load_dropins
from opscan.rules.load import Ruleset
from opscan.rules.schema import SameValues
from opscan.scan import check
from opscan.surgery.classes import calling_class, dropin_class
from opscan.target.unwrap import unwrapped


@dataclass(frozen=True, slots=True)
class Change:
    """One module that was given another class: drop-ins for the module itself, or for what its forward calls.

    `values` and `gradient` compare with the originals: the weakest of what is claimed for the drop-ins.
    """

    module: str
    type: str
    dropins: tuple[str, ...]
    is_module: bool
    same_values: SameValues

    def __str__(self) -> str:
        names = ", ".join(f"replacements.{name}" for name in self.dropins)
        what = f"is a {names}" if self.is_module else f"calls {names}"
        return f"{self.module or '(model)'} ({self.type}) {what} ({_SAME[self.same_values]})"


_SAME = {"bitwise": "same bits", "rounding": "same values, up to rounding", "different": "other values"}


@dataclass(slots=True)
class Changes:
    """What `make_deterministic` did to a model, and `left`: the findings that are still there, each with the reason."""

    done: tuple[Change, ...] = ()
    left: tuple[tuple[Finding, str], ...] = ()
    _classes: list[tuple[nn.Module, type[nn.Module]]] = field(default_factory=list)

    def put(self, path: str, module: nn.Module, choices: Iterable[Choice]) -> None:
        """Give a module the classes that these drop-ins ask for. See Note [A module keeps everything but its class]."""
        was = type(module)
        dropins = {choice.dropin.name: choice for choice in choices}
        called = frozenset(name for name, choice in dropins.items() if not choice.is_module)
        cls = was
        for name in dropins.keys() - called:
            cls = dropin_class(cls, name)
        if called:
            cls = calling_class(cls, called)
        if cls is was:
            return
        module.__class__ = cls
        self._classes.append((module, was))
        order = get_args(SameValues)
        same = max((choice.dropin.same_values for choice in dropins.values()), key=order.index)
        self.done += (Change(path, was.__name__, tuple(sorted(dropins)), not called, same),)

    def take_back(self, useless: Set[tuple[str, str]]) -> None:
        """Undo what was done to modules for nothing: each by its path and a drop-in that is not reached from there."""
        for at in range(len(self.done) - 1, -1, -1):
            change = self.done[at]
            if any((change.module, name) in useless for name in change.dropins):
                module, cls = self._classes.pop(at)
                module.__class__ = cls
                self.done = (*self.done[:at], *self.done[at + 1 :])

    def undo(self, first: int = 0) -> None:
        """Give every module the class it had, from the change numbered `first` on; parameters stay as they are."""
        for module, cls in reversed(self._classes[first:]):
            module.__class__ = cls
        del self._classes[first:]
        self.done = self.done[:first]

    def __str__(self) -> str:
        lines = [f"done: {each}" for each in self.done]
        lines += [f"left: {finding.op} {finding.verdict} ({finding.rule}): {why}" for finding, why in self.left]
        return "\n".join(lines or ["nothing to change"])


_made: WeakKeyDictionary[nn.Module, Changes] = WeakKeyDictionary()


def changes_of(model: nn.Module) -> Changes:
    """What `make_deterministic` did to a model so far; empty Changes for any other. A copy of a model has none."""
    return _made.get(model, Changes())


def make_deterministic(
    model: nn.Module,
    inputs: tuple[Any, ...] | Mapping[str, Any] | None = None,
    *,
    loss: str | Callable[..., Any] | None = None,
    device: str = "auto",
    torch_version: str | None = None,
    strict: Strictness = None,
    amp: str | None = None,
    rules: str | os.PathLike[str] | Ruleset | None = None,
    allow_different_values: bool = False,
) -> nn.Module:
    """Put drop-ins in place of everything that `opscan.check` finds in a model, and return that same model.

    A module of torch's own becomes its drop-in; in any other module the calls in question are replaced while its
    forward runs. Parameters, buffers, hooks and the keys of the state_dict stay. `changes_of(model)` says what was done
    and what could not be, and its `undo()` takes it back; a second call changes nothing more. The arguments are those
    of `opscan.check`. A drop-in that gives other results, or other gradients, is used only with
    `allow_different_values`.

    Raises what `opscan.check` raises, and TypeError for what is no nn.Module; the model is then as it was.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"make_deterministic takes an nn.Module, not a {type(model).__name__}")

    def look() -> Report:
        return check(
            model, inputs, loss=loss, device=device, torch_version=torch_version, strict=strict, amp=amp,
            rules=rules, run=False,
        )  # fmt: skip

    report = look()
    inner, _ = unwrapped(model, type(model).__name__)  # which is what was scanned, and what places name
    modules = dict(inner.named_modules()) if isinstance(inner, nn.Module) else {}
    wanted: dict[str, list[Choice]] = {}
    for finding, place in _failing(report):
        choice = choose(finding.rule, place)
        if choice is not None and not _obstacle(choice, place, modules, allow_different_values):
            wanted.setdefault(place.module, []).append(choice)
    changes = _made.setdefault(model, Changes())
    before = len(changes.done)
    for path, choices in wanted.items():
        changes.put(path, modules[path], choices)
    if wanted:
        try:
            report = look()
        except BaseException:
            changes.undo(before)
            raise
        changes.take_back(
            {(place.module, name) for finding, place in _failing(report) for name in _name(finding, place)}
        )
    left = {
        (finding.rule, why): (finding, why)
        for finding, place in _failing(report)
        if (why := _why_left(finding, place, modules, allow_different_values))
    }
    changes.left = tuple(left.values())
    return model


def _why_left(finding: Finding, place: Place, modules: Mapping[str, nn.Module], any_values: bool) -> str:
    choice = choose(finding.rule, place)
    if choice is None:
        return load_dropins().without.get(finding.rule, "no drop-in stands for what is called there")
    outside = f"it is not called in a forward of the model: write replacements.{choice.dropin.name} there"
    return _obstacle(choice, place, modules, any_values) or outside


def _name(finding: Finding, place: Place) -> tuple[str, ...]:
    choice = choose(finding.rule, place)
    return () if choice is None else (choice.dropin.name,)


def _failing(report: Report) -> Iterator[tuple[Finding, Place]]:
    for finding in report.findings:
        if fails_in(finding, report.environment.strict):
            yield from ((finding, place) for place in finding.places)


def _obstacle(choice: Choice, place: Place, modules: Mapping[str, nn.Module], any_values: bool) -> str:
    """Why a drop-in is not put at a place; "" if it is."""
    if place.module not in modules:
        return f"it is not in the model: write replacements.{choice.dropin.name} there"
    if choice.dropin.same_values == "different" and not any_values:
        return f"{choice.dropin.name} gives other values: {choice.dropin.differs} (allow_different_values=True)"
    return ""
