"""Configurations whose defaults alone make no model: what they leave open is filled in, and said.

A constructor that fails on `None`, or on an entry that is not there, shows by its line and its message which entry of
the configuration it read. It is given a value that goes by its name and fits the other entries, and tried again.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from opscan.target.configs import Config, Configs, configs_in, number
from opscan.target.missing import model_frames_of, texts_of
from opscan.target.wellknown import UNKNOWN, well_known

_MOST_MENDED = 8
_NEAR = 3  # frames, from where it failed outwards
_HEADS = "num_attention_heads num_heads n_heads n_head encoder_attention_heads"


def construct_mending(
    function: Callable[..., object], args: tuple[object, ...], kwargs: Mapping[str, object]
) -> tuple[object, tuple[str, ...]]:
    """What the constructor makes of arguments nobody gave, and a line for each entry of a configuration filled in.

    A configuration that may be left out is made where the class names its kind (`config_class`, as in transformers).
    Raises what the constructor raises, if nothing mends it.
    """
    kwargs, line = _with_config(function, args, kwargs)
    values = (*args, *kwargs.values())
    configs = tuple(each for value in values for each in configs_in(value))
    lines = [each for each in (line, _without_cache(configs)) if each]
    while True:
        try:
            return function(*args, **kwargs), tuple(lines)
        except Exception as error:  # a constructor may raise anything
            line = mend(error, configs) if len(lines) < _MOST_MENDED else ""
            if not line:
                raise
            lines.append(line)


def _with_config(
    function: Callable[..., object], args: tuple[object, ...], kwargs: Mapping[str, object]
) -> tuple[Mapping[str, object], str]:
    kind = getattr(function, "config_class", None)
    if args or kwargs or not isinstance(kind, type):
        return kwargs, ""
    with suppress(Exception):  # one that is made of others: the user has to give it
        config = kind()
        line = (
            f"config={kind.__name__}() (constructor argument, assumed; write a factory to give another: mod:make_model)"
        )
        return {"config": config}, line
    return kwargs, ""


def _without_cache(configs: Configs) -> str:
    """Turn off the cache of keys and values, as training does (TrainingArguments.use_cache in transformers 5)."""
    kinds = []
    for each in configs:
        if each.get("use_cache") is True and not isinstance(each.entries, dict):
            with suppress(Exception):  # a configuration may refuse
                setattr(each.entries, "use_cache", False)  # noqa: B010  # what has it is known here only by its name
                kinds.append(type(each.entries).__name__)
    named = ", ".join(dict.fromkeys(kinds))
    return f"{named}: use_cache=False (as in training, assumed; write a factory: mod:make_model)" if kinds else ""


def mend(error: BaseException, configs: Configs) -> str:
    """Fill in the entry that the error is about, and say so; nothing where it is about none."""
    for config, name in _open_entries(error, tuple(each for each in configs if not isinstance(each.entries, dict))):
        value = _value(name, config, configs)
        with suppress(Exception):  # a configuration may refuse what is no value for it
            if value is not UNKNOWN and value is not None:
                setattr(config.entries, name, value)
                kind = type(config.entries).__name__
                return (
                    f"{kind}.{name}={value!r} (it has no default that works, assumed; write a factory: mod:make_model)"
                )
    return ""


def _open_entries(error: BaseException, configs: Configs) -> Iterator[tuple[Config, str]]:
    """The entries that the error may be about and that have no value."""
    if isinstance(error, AttributeError):
        yield from ((config, str(error.name)) for config in configs if config.entries is error.obj and error.name)
        return
    texts = texts_of(error)[:_NEAR]
    words = re.findall(r"\w+", f"{error} {' '.join(texts)}")
    words += [word for name in words for word in _assigned(error, name)]
    for name in dict.fromkeys(words):
        for config in configs:
            if name in vars(config.entries) and config.get(name) is None:
                yield config, name


def _assigned(error: BaseException, name: str) -> list[str]:
    """The words of what `self.name` was assigned in the constructor: the one that failed, or that of what failed."""
    for frame in model_frames_of(error)[:_NEAR]:
        constructor: Any = getattr(type(frame.f_locals.get("self")), "__init__", None)
        for code in (frame.f_code, constructor):
            with suppress(OSError, TypeError):  # no source
                found = re.findall(rf"self\.{re.escape(name)}\s*=\s*(.+)", inspect.getsource(code))
                if found:
                    return re.findall(r"\w+", found[0])
    return []


def _value(name: str, config: Config, configs: Configs) -> object:
    """What another configuration in the model has there; what other entries imply; else the well-known value."""
    others = (each.get(name) for each in configs if each is not config)
    if (elsewhere := next((value for value in others if value is not None), None)) is not None:
        return elsewhere
    own = (config,)
    if name.endswith("head_dim"):
        return number(own, "hidden_size d_model embed_dim") // number(own, _HEADS, default=1) or UNKNOWN
    if name.endswith("layer_types"):
        return ["full_attention"] * number(own, "num_hidden_layers num_layers n_layer")
    if name.endswith("heads"):
        return number(own, _HEADS) or UNKNOWN
    if name == "rope_theta":
        return 10000.0
    whole = well_known(name, int)
    return whole if whole is not UNKNOWN else well_known(name, float)
