"""The batch of a training step nobody gave: what the model's forward takes, and targets found by trying.

the forward runs on solved inputs   ->  they go to the leaves of the batch that bear their names, or come first
its output                          ->  targets to try for the leaves that are left (class indices, values, ...)
no forward of its own, or no luck   ->  all leaves at once, as arguments of one module around the step
"""

from __future__ import annotations

import inspect
import itertools
import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from opscan.errors import InputError, OpscanError
from opscan.solving.failure import failure_of
from opscan.solving.slots import given_by_name, names_of
from opscan.solving.solve import Attempt, solve_inputs
from opscan.steps.batch import Batch, Leaf
from opscan.steps.found import Found, all_shown, found_target, line_for, renamed
from opscan.steps.step import Criterion, TrainingStep
from opscan.steps.targets import target_choices
from opscan.target.build import Target
from opscan.target.inputs import Inputs, InputSpec, make_inputs, shown_shape

Attempting = Callable[[Callable[..., Any]], Attempt]
"""Makes the function that runs a call on meta."""

_OF_TARGETS = re.compile(r"y\d*|y_?(true|batch|b)|yb|tgts?|gts?|truth|(\w+_)?(targets?|labels?|classes|answers?|gt)\d*")
_MOST_TRIALS = 48
_SHOWN = 3
_MAKER = "a function that makes the batch: --inputs mod:make_batch"
_BROADCASTS = "Using a target size"  # torch warns so, and goes on with a loss nobody means (torch/nn/functional.py)


@dataclass(frozen=True, slots=True)
class Stepping:
    """A step whose arguments are to be found: `batch` is how it reads them.

    `known` are leaves that the model declares, in the first part of its batch. `classes_first` says whether integer
    targets are tried before floating ones.
    """

    target: Target
    step: TrainingStep
    batch: Batch
    criterion: Criterion | None = None
    classes_first: bool = True
    has_forward: bool = True
    known: Mapping[str, InputSpec] = field(default_factory=dict)


class _Careful:
    """Runs a step where a target that only broadcasts against the output is an error."""

    def __init__(self, step: TrainingStep) -> None:
        self.step = step

    def __call__(self, **data: object) -> object:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message=_BROADCASTS)
            return self.step(**data)


def solve_step(
    stepping: Stepping,
    attempting: Attempting,
    given: Mapping[str, object],
    offered: Inputs | None,
    budget_s: float = 10.0,
) -> Inputs:
    """The arguments of a step. `given` are leaves by name; `offered` are inputs of the forward.

    Raises InputError when nothing runs.
    """
    deadline = time.monotonic() + budget_s
    attempt = attempting(_Careful(stepping.step))
    errors: list[str] = []
    kinds: set[tuple[str, bool]] = set()
    try:
        candidates = _by_forward(stepping, attempting, given, offered, budget_s / 2)
        for found in itertools.islice(candidates, _MOST_TRIALS):
            made = _inputs_of(stepping, found)
            try:
                attempt((), dict(made.kwargs))
            except OpscanError:
                raise
            except (Exception, SystemExit) as error:  # the user's step may raise anything
                failure = failure_of(error, ())
                kinds.add((failure.kind, failure.of_shapes))
                errors.append(f"{all_shown(found)}: {failure.error} ({failure.place})")
            else:
                return made
            if time.monotonic() > deadline:
                break
    except InputError as error:
        errors.append(error.what)
    if kinds and not any(of_shapes for _, of_shapes in kinds):  # other shapes would not help
        raise _unsolved(stepping, errors)
    try:
        return _jointly(stepping, attempting, given, max(1.0, deadline - time.monotonic()))
    except InputError as error:
        raise _unsolved(stepping, errors or [error.what]) from error


def _unsolved(stepping: Stepping, errors: Sequence[str]) -> InputError:
    names = ", ".join(leaf.name for leaf in stepping.batch.leaves)
    shown = "".join(f"\n    {each}" for each in dict.fromkeys(errors[:_SHOWN]))
    what = f"no batch found that the step runs on; it reads {stepping.batch.shown() or names}"
    hint = f"Give {_MAKER}, or its parts, as in --input {_first(stepping)}=2x3x32x32. Tried first:{shown}"
    return InputError(what, stepping.target.label, hint)


def _first(stepping: Stepping) -> str:
    return next((leaf.name for leaf in stepping.batch.leaves), "x")


def _inputs_of(stepping: Stepping, found: Mapping[str, Found]) -> Inputs:
    values = {name: each.value for name, each in found.items()}
    arguments = stepping.batch.assembled(values)
    criterion = stepping.criterion
    lines = [each.line for each in found.values() if each.line]
    if criterion is not None and criterion.name in values:
        arguments[criterion.name] = values[criterion.name]
    shown = stepping.batch.shown()
    if shown:
        lines.append(f"{shown} (as the step reads it; --inputs mod:make_batch)")
    return Inputs((), arguments, tuple(lines), assumed=any(each.line for each in found.values()))


# -- by the forward


def _by_forward(
    stepping: Stepping, attempting: Attempting, given: Mapping[str, object], offered: Inputs | None, budget_s: float
) -> Iterator[dict[str, Found]]:
    """The batches to try, from inputs the forward runs on."""
    if stepping.known:
        yield from _declared(stepping, attempting, given)
        return
    spread = next((leaf for leaf in stepping.batch.leaves if leaf.kind == "keywords"), None)
    forward = _forward_of(stepping, spread)
    if forward is None:
        return
    model = forward.model
    assert model is not None
    attempt = attempting(model)
    inputs = offered or solve_inputs(forward, attempt, _given_to(forward, given), budget_s)
    output = attempt(inputs.args, dict(inputs.kwargs))
    values = _values(forward, inputs)
    if spread is not None:
        yield from _spread(spread, values, target_choices(output, values, stepping.classes_first))
        return
    placed, left = _placed(stepping.batch.leaves, values, given)
    yield from _completed(stepping, placed, left, output)


def _declared(stepping: Stepping, attempting: Attempting, given: Mapping[str, object]) -> Iterator[dict[str, Found]]:
    """The batches to try where the model says what its inputs are."""
    made = make_inputs(stepping.known.values()).kwargs
    lines = {name: line_for(spec, "input, as the model declares it") for name, spec in stepping.known.items()}
    placed = {name: Found(value, lines[name]) for name, value in made.items()}
    placed |= {name: Found(value) for name, value in given.items()}
    (data,) = stepping.batch.assembled({name: each.value for name, each in placed.items()}).values()
    output = attempting(stepping.step.model)((data[0],), {})  # type: ignore[arg-type, index]
    yield from _completed(stepping, placed, [each for each in stepping.batch.leaves if each.name not in placed], output)


def _completed(
    stepping: Stepping, placed: dict[str, Found], left: Sequence[Leaf], output: object
) -> Iterator[dict[str, Found]]:
    """What is placed, with targets to try for the leaves that are left."""
    outputs: object = list(output.values()) if isinstance(output, Mapping) else output
    several = outputs if isinstance(outputs, list | tuple) and len(outputs) == len(left) else [output] * len(left)
    targets = [target_choices(each, placed, stepping.classes_first) for each in several]
    for choice in _choices(stepping, left, targets):
        found = {**placed, **choice}
        yield {leaf.name: found[leaf.name] for leaf in stepping.batch.leaves} | {
            name: each for name, each in found.items() if stepping.criterion and name == stepping.criterion.name
        }


def _forward_of(stepping: Stepping, spread: Leaf | None) -> Target | None:
    """The module whose forward takes the data: the model, or the one a batch of keyword arguments goes to."""
    model = stepping.step.model
    callee = ""
    if spread is not None:
        callee = stepping.batch.readings[str(spread.path[0])].callee.partition(".")[2]
    inner = _at(model, callee) if callee else model
    if not isinstance(inner, nn.Module) or (inner is model and not stepping.has_forward):
        return None
    arguments = stepping.target.arguments if inner is model else {}
    return Target(stepping.target.label, inner, inner, (), arguments)


def _at(model: object, path: str) -> object:
    for name in path.split("."):
        model = getattr(model, name, None)
    return model


def _given_to(forward: Target, given: Mapping[str, object]) -> Inputs | None:
    """Leaves that were given, for the forward's parameters of the same name, or else for its first ones."""
    names = names_of(forward)
    known = {name: value for name, value in given.items() if name in names}
    rest = [value for name, value in given.items() if name not in names and not _OF_TARGETS.fullmatch(name)]
    free = [name for name in names if name not in known]
    taken = {**known, **dict(zip(free, rest, strict=False))}
    return Inputs((), taken) if taken else None


def _values(forward: Target, inputs: Inputs) -> dict[str, Found]:
    """The forward's inputs by parameter name, each with its line."""
    named = given_by_name(forward, inputs)
    lines = {line.partition(" = ")[0]: line for line in inputs.assumptions}
    positional = {f"input{at}": value for at, value in enumerate(inputs.args[len(names_of(forward)) :], 1)}
    found = {}
    for name, value in {**named, **positional}.items():
        found[name] = Found(value, lines.get(name, ""))
    return found


def _placed(
    leaves: Sequence[Leaf], values: Mapping[str, Found], given: Mapping[str, object]
) -> tuple[dict[str, Found], list[Leaf]]:
    """The forward's inputs at the leaves of the batch; and the leaves that are left, for targets."""
    placed = {leaf.name: Found(given[leaf.name]) for leaf in leaves if leaf.name in given}
    named = [leaf.name for leaf in leaves if leaf.name in values and leaf.name not in placed]
    placed |= {name: renamed(name, values[name]) for name in named}
    known = {id(each.value) for each in placed.values()}
    waiting = [each for name, each in values.items() if name not in placed and id(each.value) not in known]
    free = [leaf for leaf in leaves if leaf.name not in placed and not _OF_TARGETS.fullmatch(leaf.name)]
    for leaf, each in zip(free, waiting, strict=False):
        placed[leaf.name] = renamed(leaf.name, each)
    return placed, [leaf for leaf in leaves if leaf.name not in placed]


def _choices(
    stepping: Stepping, left: Sequence[Leaf], targets: Sequence[Sequence[InputSpec]]
) -> Iterator[dict[str, Found]]:
    """Values for the leaves that are left: the same kind for all of them first, then each combination."""
    names = [leaf.name for leaf in left]
    criterion = stepping.criterion
    losses: Sequence[Callable[..., Any] | None] = criterion.choices if criterion else (None,)
    rows = dict.fromkeys([*zip(*targets, strict=False), *itertools.product(*targets)])
    for row, loss in itertools.product(rows, losses):
        found = {name: found_target(name, spec) for name, spec in zip(names, row, strict=True)}
        if criterion is not None and loss is not None:
            line = "" if len(losses) == 1 else f"{criterion.name} = {type(loss).__name__}() (assumed; {_MAKER})"
            found[criterion.name] = Found(loss, line)
        yield found


def _spread(leaf: Leaf, values: Mapping[str, Found], targets: Sequence[InputSpec]) -> Iterator[dict[str, Found]]:
    """A batch that is the keyword arguments of a forward: without labels if that runs, else with some."""
    lines = "; ".join(each.line.partition(" (")[0] for each in values.values() if each.line)
    inputs = {name: each.value for name, each in values.items()}
    said = f"{leaf.name} = {{{lines}}} (assumed; {_MAKER})"
    for spec in targets:
        labels = make_inputs([spec]).args[0]
        text = f"labels = {spec.dtype} {shown_shape(spec.shape)}"
        yield {leaf.name: Found({**inputs, "labels": labels}, said.replace("}", f"; {text}}}", 1))}
    yield {leaf.name: Found(inputs, said)}


# -- all leaves at once


class _Around(nn.Module):
    """The step as a module whose forward takes the leaves of its batch, so that the solver can find them."""

    def __init__(self, stepping: Stepping, names: Mapping[str, str]) -> None:
        super().__init__()
        self.inside = stepping.step.model
        step, batch = stepping.step, stepping.batch

        def forward(*args: object, **kwargs: object) -> object:
            given = signature.bind(*args, **kwargs).arguments
            return step(**batch.assembled({names[name]: value for name, value in given.items()}))

        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        signature = inspect.Signature([inspect.Parameter(name, kind) for name in names])
        forward.__signature__ = signature  # type: ignore[attr-defined]  # inspect reads it
        self.step = step
        self.forward = forward


def _jointly(stepping: Stepping, attempting: Attempting, given: Mapping[str, object], budget_s: float) -> Inputs:
    names = {_solvers_name(leaf.name): leaf.name for leaf in stepping.batch.leaves}
    around = _Around(stepping, names)
    target = Target(stepping.target.label, around, around, (), stepping.target.arguments)
    known = {name: given[leaf] for name, leaf in names.items() if leaf in given}
    losses = stepping.criterion.choices if stepping.criterion else (None,)
    for at, loss in enumerate(losses):
        if stepping.criterion is not None:
            stepping.step.bound[stepping.criterion.name] = loss
        try:
            inputs = solve_inputs(
                target, attempting(around), Inputs((), known) if known else None, budget_s / len(losses)
            )
        except InputError:
            if at == len(losses) - 1:
                raise
            continue
        finally:
            if stepping.criterion is not None:
                stepping.step.bound.pop(stepping.criterion.name)
        values = {names[name]: each for name, each in _values(target, inputs).items()}
        found = {name: renamed(name, each) if each.line else each for name, each in values.items()}
        if stepping.criterion is not None:
            found[stepping.criterion.name] = Found(loss)
        return _inputs_of(stepping, found)
    raise AssertionError("there is always one loss to try")


def _solvers_name(leaf: str) -> str:
    """A target goes by that name for the solver, whatever the step calls it."""
    return f"{leaf}found_target" if _OF_TARGETS.fullmatch(leaf) or leaf == "unused" else leaf
