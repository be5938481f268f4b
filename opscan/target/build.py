"""From what the user names to a Target: something to call, and the module in it if there is one.

What the name stands for decides:
    nn.Module subclass       constructed; required arguments nobody gave are assumed (see `arguments`)
    method of such a class   the class is constructed; the method is a step on the instance
    class with `__call__`    constructed; the instance is a callable step
    nn.Module instance       used as is; a method of one is a step on it
    other callable           a factory or a step, see `_is_factory`
A wrapper of torch's (compiled, parallel) stands for the module in it.
"""

from __future__ import annotations

import inspect
import io
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext, redirect_stdout, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from typing import Self

import torch
from torch import nn

from opscan.blame import one_line, user_line
from opscan.errors import OpscanError, TargetError
from opscan.target.arguments import Arguments, Given, assumed_value, fill_arguments, signature_of, unfilled
from opscan.target.configs import configs_of
from opscan.target.construct import HopelessError, Made, constructions, is_out_of_memory
from opscan.target.docs.examples import Call
from opscan.target.keras import backend_of_keras, is_keras
from opscan.target.load import load_module, look_up
from opscan.target.mend import mend
from opscan.target.offline import offline
from opscan.target.roles import roles_of
from opscan.target.spec import TargetSpec, parse_target
from opscan.target.unwrap import unwrapped
from opscan.target.wellknown import UNKNOWN
from opscan.trace.unwritten import unwritten_remembered

Constructing = Callable[[], AbstractContextManager[object]]


def _no_others() -> Iterator[Target]:
    return iter(())


def _not_mended(error: BaseException) -> Target | None:
    return None


@dataclass(frozen=True, slots=True)
class Target:
    """What is scanned.

    `call` takes the inputs: `model` itself, or a step. `model` is None for a step that belongs to no module.
    `assumptions` has a line for each constructor argument nobody gave; `arguments` are all it was constructed with,
    by name, defaults included. `home` is the module it was named in. `shown_calls` are the calls that the documentation
    shows of what was constructed; `others` goes on to further constructions, with other values for what nobody gave,
    and `mended` makes one from an error of the forward's, if that is for want of an entry in a configuration.
    """

    label: str
    call: Callable[..., object]
    model: nn.Module | None
    assumptions: tuple[str, ...] = ()
    arguments: Mapping[str, object] = field(default_factory=dict)
    home: str = ""
    shown_calls: tuple[Callable[[], Call], ...] = ()
    others: Callable[[], Iterator[Target]] = _no_others
    mended: Callable[[BaseException], Target | None] = _not_mended


def build_target(
    target: TargetSpec | str, init: Mapping[str, object] | None = None, constructing: Constructing = nullcontext
) -> Target:
    """Load what `target` names and make it callable.

    `init` holds constructor arguments (`--init`). `constructing` makes the context the user's constructor runs in; if
    it fails in there it runs once more without, and that attempt's error counts. Raises TargetError.
    """
    spec = parse_target(target) if isinstance(target, str) else target
    module = load_module(spec)
    built = _build(look_up(module, spec), spec, init or {}, constructing)
    return replace(built, home=module.__name__)


def make_model(found: object, name: str, constructing: Constructing = nullcontext, beside: str = "") -> Target:
    """A Target for a class, a factory or an instance that stands beside a step, or for the target that `name` names.

    A name without a module is looked up in that of the target `beside`. Raises TargetError.
    """
    if found is None:
        text = name if ":" in name else f"{beside.rpartition(':')[0]}:{name}"
        return build_target(text, {}, constructing)
    given = Given(name, (), {}, {})
    if isinstance(found, nn.Module):
        return target_from_object(found, name)
    if isinstance(found, type):
        return _from_class(found, given, constructing)
    return _from_factory(found, given, constructing, must_be=True)  # type: ignore[arg-type]  # a callable, says its finder


def _build(found: object, spec: TargetSpec, init: Mapping[str, object], constructing: Constructing) -> Target:
    given = Given(spec.text, spec.args, spec.kwargs, init)
    has_arguments = spec.called or bool(init)
    if isinstance(found, type):
        return _from_class(found, given, constructing)
    if owner := _class_of_method(found, spec):
        made = _from_class(owner, given, constructing)
        return replace(made, call=getattr(made.model, spec.name.rpartition(".")[2]), others=_no_others)
    inner, lines = unwrapped(found, spec.text)
    if isinstance(inner, nn.Module):
        return replace(_from_instance(inner, spec, has_arguments), assumptions=lines)
    if not callable(found):
        raise TargetError(f"not a model: {spec.name} is {_kind(found)}", spec.text, _what_fits(found, spec))
    _refuse_other_keras(found, spec.text)
    if init and not spec.called and _names_models(found, init):
        return Target(spec.text, found, _owner(found), (), init)
    if has_arguments or _is_factory(found):
        return _from_factory(found, given, constructing, must_be=has_arguments)
    return Target(spec.text, found, _owner(found))


def target_from_object(obj: object, label: str | None = None) -> Target:
    """A Target for an nn.Module or any callable; of a wrapped module, for the module in it.

    Raises TypeError for anything else, and for a class, and TargetError for TorchScript and the like.
    """
    if isinstance(obj, type):
        raise TypeError(f"expected a model or a callable, got the class {obj.__name__}: pass an instance of it")
    if not callable(obj):
        raise TypeError(f"expected an nn.Module or a callable, got something {_kind(obj)}")
    inner, lines = unwrapped(obj, label or type(obj).__name__)
    if isinstance(inner, nn.Module):
        return Target(label or type(inner).__name__, inner, inner, lines)
    _refuse_other_keras(obj, label or type(obj).__name__)
    return Target(label or _name(obj), obj, _owner(obj))


_DATA_NAMES = {"features", "hidden", "latent", "embedding", "h", "c", "p", "args", "params", "options"}
_WHAT_FITS = "Name an nn.Module class or instance, a function that returns one, or a callable step."


def _from_class(found: type, given: Given, constructing: Constructing) -> Target:
    if not issubclass(found, nn.Module) and "__call__" not in dir(found):
        what = f"not a model: {found.__name__} is a class that is neither an nn.Module nor callable"
        raise TargetError(what, given.text, _WHAT_FITS)
    _refuse_other_keras(found, given.text)
    first, others = _first(found, given, constructing)
    made, arguments = first.made, first.arguments
    if isinstance(made, nn.Module):
        return next(_targets(found, chain([first], others), given, constructing))
    if not callable(made):
        raise TargetError(f"not a model: {found.__name__}(...) made something {_kind(made)}", given.text, _WHAT_FITS)
    return Target(given.text, made, None, arguments.assumptions)


def _refuse_other_keras(found: object, text: str) -> None:
    """A Keras model is an nn.Module on the torch backend only."""
    kind = found if isinstance(found, type) else type(found)
    if is_keras(found) and not issubclass(kind, nn.Module):
        hint = "Run it on the torch backend: KERAS_BACKEND=torch opscan check ..."
        raise TargetError(f"a Keras model on the {backend_of_keras()} backend has no PyTorch in it", text, hint)


def _what_fits(found: object, spec: TargetSpec) -> str:
    """The hint for what is no model: where it holds some, how to name one."""
    items = found.items() if isinstance(found, Mapping) else enumerate(found) if isinstance(found, list | tuple) else ()
    keys = [key for key, each in items if isinstance(each, nn.Module) or callable(each)]
    names = [f"{spec.module}:{spec.name}[{key!r}]" for key in keys]
    return f"Name one in it: {', '.join(names[:4])}" if names else _WHAT_FITS


def _first(function: Callable[..., object], given: Given, constructing: Constructing) -> tuple[Made, Iterator[Made]]:
    """The first construction that succeeds and those after it; where there is none, the one with well-known values.

    Raises TargetError, of that last one.
    """
    found = constructions(function, given, constructing)
    try:
        first = next(found, None)
    except HopelessError as hopeless:
        if isinstance(hopeless.error, ImportError) or is_out_of_memory(hopeless.error):
            raise _construction_failure(function, hopeless.arguments, given, hopeless.error) from hopeless.error
        made = _construct(function, hopeless.arguments, given, constructing)
        return Made(made, hopeless.arguments), iter(())
    if first is not None:
        return first, found
    arguments = fill_arguments(function, given)
    return Made(_construct(function, arguments, given, constructing), arguments), iter(())


def _until_hopeless(made: Iterator[Made]) -> Iterator[Made]:
    """The constructions that succeed; that the rest fail is no news once there was one."""
    with suppress(HopelessError, TargetError):
        yield from made


def _targets(
    function: Callable[..., object], made: Iterator[Made], given: Given, constructing: Constructing
) -> Iterator[Target]:
    """A target for each construction of a model; each knows those after it."""
    for each in _until_hopeless(made):
        model, lines = unwrapped(each.made, given.text)
        if isinstance(model, nn.Module):
            arguments = _by_name(function, each.arguments)
            lines = (*each.arguments.assumptions, *lines)
            target = Target(
                given.text,
                model,
                model,
                lines,
                arguments,
                shown_calls=each.calls,
                others=lambda: _targets(function, made, given, constructing),
            )
            is_given = bool(given.args or given.kwargs or given.init)
            mending = partial(_mended, target, function, each.arguments, constructing)
            yield target if is_given else replace(target, mended=mending)


def _mended(
    target: Target,
    function: Callable[..., object],
    arguments: Arguments,
    constructing: Constructing,
    error: BaseException,
) -> Target | None:
    """The target made once more, with what the error of its forward wants of its configuration; None if nothing."""
    line = mend(error, configs_of(target.model))
    if not line:
        return None
    kwargs = (
        arguments.kwargs if arguments.args or arguments.kwargs else {"config": getattr(target.model, "config", None)}
    )
    with suppress(Exception), constructing():  # an entry filled in may be one that does not fit
        model = function(*arguments.args, **kwargs)
        if isinstance(model, nn.Module):
            again = partial(_mended, target, function, arguments, constructing)
            return replace(
                target,
                call=model,
                model=model,
                assumptions=(*target.assumptions, line),
                others=_no_others,
                mended=again,
            )
    return None


def _class_of_method(found: object, spec: TargetSpec) -> type[nn.Module] | None:
    """The nn.Module subclass that `mod:Class.method` names a method of."""
    if not inspect.isfunction(found) or "." not in spec.name:
        return None
    path, _, name = spec.name.rpartition(".")
    owner = look_up(load_module(spec), replace(spec, name=path))
    if not (isinstance(owner, type) and issubclass(owner, nn.Module)):
        return None
    return owner if inspect.isfunction(inspect.getattr_static(owner, name)) else None  # else it is a static method


def _from_instance(model: nn.Module, spec: TargetSpec, has_arguments: bool) -> Target:
    if has_arguments:
        hint = f"Leave the arguments out, or name its class: {spec.module}:{type(model).__name__}(...)"
        raise TargetError(f"{spec.name} is a model already, it takes no constructor arguments", spec.text, hint)
    return Target(spec.text, model, model)


def _from_factory(found: Callable[..., object], given: Given, constructing: Constructing, must_be: bool) -> Target:
    """Call the function: what it makes is the model or the step; if it makes neither it is itself the step."""
    first, others = _first(found, given, constructing)
    made, arguments = unwrapped(first.made, given.text)[0], first.arguments
    if isinstance(made, nn.Module):
        return next(_targets(found, chain([first], others), given, constructing))
    _refuse_other_keras(made, given.text)
    if callable(made) and not isinstance(made, type):
        return Target(given.text, made, _owner(made), arguments.assumptions)
    if must_be or _returns_module(found):
        raise TargetError(f"not a model: {given.text} returned something {_kind(made)}", given.text, _WHAT_FITS)
    return Target(given.text, found, _owner(found))


def _names_models(step: Callable[..., object], init: Mapping[str, object]) -> bool:
    """Whether what is given names the models a step takes: `--init model=Net` for `train_step(model, batch)`."""
    models = {each.name for each in roles_of(step) if each.role == "model"}
    return set(init) <= models and all(isinstance(value, str) for value in init.values())


def _is_factory(function: Callable[..., object]) -> bool:
    """Whether a function named without arguments is to be called for a model.

    It is if it is annotated to return an nn.Module. Annotated to return anything else it is a step. With no
    annotation it is if each of its required parameters has a well-known constructor name: `make(num_classes)` and
    `make()` are tried, `train_step(model, batch)` is a step, and so is `step(features)`, whose name is data's as well.
    """
    signature = signature_of(function)
    if signature is None or _returns_module(function):
        return signature is not None
    if signature.return_annotation is not signature.empty and not _may_be_model(signature.return_annotation):
        return False
    parameters = [signature.parameters[name] for name in unfilled(signature, {})]
    if any(parameter.name in _DATA_NAMES for parameter in parameters):
        return False
    return all(assumed_value(function, parameter) is not UNKNOWN for parameter in parameters)


def _returns_module(function: Callable[..., object]) -> bool:
    if isinstance(function, partial):
        return _is_model_class(function.func) or _returns_module(function.func)
    signature = signature_of(function)
    returned = signature.return_annotation if signature else None
    owner = getattr(function, "__self__", None)  # of a class method
    if isinstance(owner, type) and _is_model_class(owner) and returned in (Self, "Self", owner.__name__):
        return True
    return returned is not inspect.Signature.empty and _is_model_class(returned)


def _is_model_class(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, nn.Module)


def _may_be_model(annotation: object) -> bool:
    """An annotation that does not rule a model out: one left as text, `object`, `Any`, a callable."""
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    return isinstance(annotation, str) or annotation is object or any(word in text for word in ("Any", "Callable"))


def _construct(
    function: Callable[..., object], arguments: Arguments, given: Given, constructing: Constructing
) -> object:
    """Call the user's constructor inside `constructing()`, and outside it if that fails: watched, then plainly.

    Whose fault a failure is the plain attempt tells; but what is missing stays missing, a model that did not fit into
    memory without its weights is not made with them, nor is one that fails alike on meta with nobody watching.
    """
    try:
        with offline(), constructing():
            return function(*arguments.args, **arguments.kwargs)
    except OpscanError:
        raise
    except (Exception, SystemExit) as error:
        if isinstance(error, ImportError) or is_out_of_memory(error) or _fails_alike(function, arguments, error):
            raise _construction_failure(function, arguments, given, error) from error
    try:
        with offline(), redirect_stdout(io.StringIO()):  # what it prints was printed by the first attempt
            with suppress(Exception, SystemExit), unwritten_remembered():
                return function(*arguments.args, **arguments.kwargs)
            return function(*arguments.args, **arguments.kwargs)  # nobody watching is nobody in the way
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise _construction_failure(function, arguments, given, error) from error


def _fails_alike(function: Callable[..., object], arguments: Arguments, error: BaseException) -> bool:
    """Whether on meta, where it takes no memory, it fails with the same error that nobody watching is in the way of."""
    if re.search(r"\bmeta\b|values are not there", str(error)):  # the values are what it wants
        return False
    try:
        with offline(), redirect_stdout(io.StringIO()), torch.device("meta"):
            function(*arguments.args, **arguments.kwargs)
    except (Exception, SystemExit) as again:
        return type(again) is type(error) and str(again) == str(error)
    return False


def _construction_failure(
    function: Callable[..., object], arguments: Arguments, given: Given, error: BaseException
) -> TargetError:
    what = f"{_name(function)}{arguments} raised {one_line(error)}"
    hint = "Give other arguments with --init NAME=VALUE, or name a factory that makes the model: mod:make_model"
    if isinstance(error, ModuleNotFoundError) and error.name:
        hint = f"Install {error.name.partition('.')[0]} in the environment opscan runs in."
    elif isinstance(error, ImportError):
        module = getattr(function, "__module__", "mod")
        hint = (
            f"Install what it needs, or see the whole error: python -c 'import {module}; {module}.{_name(function)}()'"
        )
    elif is_out_of_memory(error):
        hint = "Make it smaller: with --init NAME=VALUE, or a factory with fewer or narrower layers: mod:make_model"
    return TargetError(what, user_line(error) or given.text, hint)


def _by_name(function: Callable[..., object], arguments: Arguments) -> Mapping[str, object]:
    """All arguments of the call by name, defaults included; none where Python knows no signature that fits."""
    signature = signature_of(function)
    if signature is None:
        return {}
    try:
        bound = signature.bind(*arguments.args, **arguments.kwargs)
    except TypeError:  # a decorator may show another signature than it calls
        return {}
    bound.apply_defaults()
    return bound.arguments


def _owner(call: object) -> nn.Module | None:
    """The module a bound method belongs to."""
    owner = getattr(call, "__self__", None)
    return owner if isinstance(owner, nn.Module) else None


def _name(function: Callable[..., object]) -> str:
    return str(getattr(function, "__qualname__", type(function).__name__))


def _kind(value: object) -> str:
    kind = f"of type {type(value).__name__}"
    try:
        text = repr(value)
    except Exception:  # the user's own
        return kind
    return kind + (f": {text}" if len(text) <= 40 else "")
