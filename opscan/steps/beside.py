"""What stands beside a step in its module: the model, optimizer and criterion its parameters are to be.

Each comes with a line that says what was taken. Names are looked up in the function's own globals.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from inspect import Parameter
from types import CodeType, FunctionType
from typing import Any

import torch
from torch import nn

from opscan.errors import InputError
from opscan.target.arguments import signature_of

_MAKES_MODEL = re.compile(r"(make|build|create|get|load|init)_?(\w+_)?(model|net|network)", re.I)
_MAKES_OPTIMIZER = re.compile(r"(make|build|create|get|configure|init)_?(\w+_)?(optimizers?|optim|opt)", re.I)
_OPTIMIZER = re.compile(r"\boptim\.([A-Z]\w+)\(|\b(SGD|Adam|AdamW|RMSprop|Adagrad)\(")
_CRITERION = re.compile(r"\bnn\.(\w+Loss)\(")
_WHOLE = "--inputs mod:make_batch may give it"


def model_named_by(step: Callable[..., Any], parameter: Parameter) -> tuple[object, str]:
    """The class, factory or instance that the parameter's model is made from, and its name.

    In this order: the parameter's annotation; an instance beside the step, the one of the parameter's name first; a
    function that makes models; the one class there that no other is built of; the one that is imported there. Raises
    InputError if none of these says it.
    """
    kind = parameter.annotation
    if isinstance(kind, type) and issubclass(kind, nn.Module) and kind is not nn.Module:
        return kind, kind.__name__
    beside = _globals_of(step)
    for found in (
        _instances(beside, parameter.name),
        _factories(beside, step),
        _outermost(_without_steps(_classes(beside, step, here=True))),
        _classes(beside, step, here=False),
    ):
        if len(found) == 1:
            name, value = next(iter(found.items()))
            return value, name
        if found:
            raise _which_model(step, parameter, tuple(found))
    raise _which_model(step, parameter, ())


def _which_model(step: Callable[..., Any], parameter: Parameter, names: tuple[str, ...]) -> InputError:
    there = f"there are {', '.join(names)}" if names else "there is no nn.Module beside it"
    label = getattr(step, "__qualname__", type(step).__name__)
    name = parameter.name
    hint = (
        f"Name it: --init {name}={names[0] if names else 'mod:Model'}, or annotate it ({name}: Model),"
        f" or give all arguments: --inputs mod:make_batch, which returns ({name}, ...)"
    )
    return InputError(f"{label} takes a {parameter.name}, and which one is not clear: {there}", label, hint)


def _globals_of(step: Callable[..., Any]) -> Mapping[str, object]:
    function = inspect.unwrap(getattr(step, "__func__", step))
    if not isinstance(function, FunctionType):
        return {}
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    return {**function.__globals__, **{name: cell.cell_contents for name, cell in cells if _is_filled(cell)}}


def _is_filled(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018 - the look is what raises
    except ValueError:
        return False
    return True


def _instances(beside: Mapping[str, object], name: str) -> dict[str, nn.Module]:
    """Models that are there already, each once; losses are no models."""
    found = {key: each for key, each in beside.items() if isinstance(each, nn.Module) and not _is_loss(type(each))}
    if name in found:
        return {name: found[name]}
    return {key: each for key, each in found.items() if key == next(k for k, e in found.items() if e is each)}


def _is_loss(kind: type) -> bool:
    return kind.__module__ == "torch.nn.modules.loss" or kind.__name__.endswith("Loss")


def _factories(beside: Mapping[str, object], step: Callable[..., Any]) -> dict[str, FunctionType]:
    functions = {
        name: each
        for name, each in beside.items()
        if isinstance(each, FunctionType) and each.__module__ == step.__module__ and each is not step
    }
    made = {name: each for name, each in functions.items() if _MAKES_MODEL.fullmatch(name) or _returns_model(each)}
    return {name: each for name, each in made.items() if not _wants_data(each)}


def _returns_model(function: FunctionType) -> bool:
    signature = signature_of(function)
    returned = signature.return_annotation if signature else None
    return isinstance(returned, type) and issubclass(returned, nn.Module)


def _wants_data(function: FunctionType) -> bool:
    """Whether it takes a model itself, as what trains or wraps one does."""
    signature = signature_of(function)
    parameters = signature.parameters.values() if signature else ()
    return any(each.name in ("model", "net", "batch", "x") and each.default is each.empty for each in parameters)


def _classes(beside: Mapping[str, object], step: Callable[..., Any], here: bool) -> dict[str, type[nn.Module]]:
    """Classes of models defined in the step's module, or imported there from elsewhere than torch."""
    found = {}
    for name, each in beside.items():
        if isinstance(each, type) and issubclass(each, nn.Module) and not _is_loss(each):
            root = each.__module__.partition(".")[0]
            if each.__module__ == step.__module__ if here else root not in ("torch", step.__module__):
                found[name] = each
    return found


def _without_steps(classes: dict[str, type[nn.Module]]) -> dict[str, type[nn.Module]]:
    """Those without a training_step of their own, which need no step beside them; all, if none is left."""
    return {name: each for name, each in classes.items() if not hasattr(each, "training_step")} or classes


def _outermost(classes: dict[str, type[nn.Module]]) -> dict[str, type[nn.Module]]:
    """Those that no other is built of or derived from."""
    inner = {
        name
        for outer in classes.values()
        for name, each in classes.items()
        if each is not outer and (issubclass(outer, each) or name in _names_in(outer))
    }
    return {name: each for name, each in classes.items() if name not in inner} or classes


def _names_in(kind: type) -> set[str]:
    """The global names that the methods of a class use."""
    functions = [each for each in vars(kind).values() if isinstance(each, FunctionType)]
    return {name for function in functions for code in _codes(function.__code__) for name in code.co_names}


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def optimizer_for(step: Callable[..., Any], parameter: Parameter, model: nn.Module) -> tuple[object, str]:
    """The optimizer there is, or one over the model's parameters: of the annotation, the module's factory, its text."""
    kind = parameter.annotation
    beside = _globals_of(step)
    there = beside.get(parameter.name)
    if isinstance(there, torch.optim.Optimizer) and _is_over(there, model):
        return there, ""
    if not (isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer) and kind is not torch.optim.Optimizer):
        factory = next((name for name, each in beside.items() if _is_factory_of(each, name, step)), "")
        made = _called(beside[factory], model) if factory else None
        if isinstance(made, torch.optim.Optimizer):
            return made, f"{parameter.name} = {factory}(model) (beside the step; {_WHOLE})"
        kind = _in_text(step, _OPTIMIZER, torch.optim) or torch.optim.Adam
    made = _made_over(kind, model)
    return made, f"{parameter.name} = {kind.__name__}(model.parameters()) (assumed; {_WHOLE})"


def _is_over(optimizer: torch.optim.Optimizer, model: nn.Module) -> bool:
    ours = {id(each) for each in model.parameters()}
    return any(id(each) in ours for group in optimizer.param_groups for each in group["params"])


def _is_factory_of(value: object, name: str, step: Callable[..., Any]) -> bool:
    return isinstance(value, FunctionType) and value is not step and bool(_MAKES_OPTIMIZER.fullmatch(name))


def _called(factory: Any, model: nn.Module) -> object:
    """What the factory makes of the model, or of its parameters; None where it wants something else."""
    for argument in (model, model.parameters()):
        try:
            return factory(argument)
        except Exception:
            continue
    return None


def _made_over(kind: Any, model: nn.Module) -> Any:
    try:
        return kind(model.parameters())
    except TypeError:  # a learning rate is required: SGD before torch 2.0, and others' own
        return kind(model.parameters(), lr=1e-3)


def _in_text(step: Callable[..., Any], pattern: re.Pattern[str], home: Any) -> Any:
    """The first class the step's module speaks of that torch has."""
    module = sys.modules.get(step.__module__)
    try:
        text = inspect.getsource(module) if module is not None else ""
    except (OSError, TypeError):
        return None
    names = ("".join(filter(None, match.groups())) for match in pattern.finditer(text))
    return next((kind for name in names if isinstance(kind := getattr(home, name, None), type)), None)


_LOSSES = (nn.CrossEntropyLoss, nn.MSELoss, nn.BCEWithLogitsLoss, nn.NLLLoss)


def criterion_for(step: Callable[..., Any], parameter: Parameter) -> tuple[tuple[Callable[..., Any], ...], str]:
    """The criterion beside the step, or else those to try; with a line for one that only its module's text names."""
    kind = parameter.annotation
    if isinstance(kind, type) and issubclass(kind, nn.Module) and kind is not nn.Module:
        return (kind(),), ""
    there = _globals_of(step).get(parameter.name)
    if callable(there):
        return (there,), ""
    named = _in_text(step, _CRITERION, nn)
    return ((named or _LOSSES[0])(),) if named else tuple(each() for each in _LOSSES), ""
