"""Configurations whose defaults alone make no model: what they leave open is filled in, and said.

A constructor or a forward that fails on `None`, or on an entry that does not fit, shows by its line and its message
which entry of the configuration it read (see `entries`). That is given another value, and all is tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

from opscan.target.configs import Configs, configs_in
from opscan.target.entries import mendings

_MOST_MENDED = 8


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
    """Change the entry that the error is about, and say so; nothing where it is about none."""
    for mending in mendings(error, configs):
        with suppress(Exception):  # a configuration may refuse what is no value for it
            entries = mending.config.entries
            if isinstance(entries, dict):
                entries[mending.name] = mending.value
            else:
                setattr(entries, mending.name, mending.value)
            kind = mending.config.path if isinstance(entries, dict) else type(entries).__name__
            reason = "it has no default that works, assumed; write a factory: mod:make_model"
            return f"{kind}.{mending.name}={mending.value!r} ({reason})"
    return ""
