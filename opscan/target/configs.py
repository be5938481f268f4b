"""The numbers of a model's configuration: its own, and those of the configurations in it (vision, audio, text)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

_DEEPEST = 3


@dataclass(frozen=True, slots=True)
class Config:
    """A configuration, a mapping or an object, and its path in the model's: "" for that itself."""

    path: str
    entries: object

    def get(self, name: str) -> object:
        """The entry, or None; also under another name that the configuration knows it by."""
        if isinstance(self.entries, Mapping):
            return self.entries.get(name)
        with suppress(Exception):  # a property of the user's may raise anything
            return getattr(self.entries, name, None)
        return None


Configs = tuple[Config, ...]


def configs_of(model: object) -> Configs:
    """The model's configuration and those in it, from the outside in."""
    return configs_in(getattr(model, "config", None))


def configs_in(config: object) -> Configs:
    """The configuration, if it is one, and those in it, from the outside in."""
    return tuple(_walk("", config, _DEEPEST))


def _walk(path: str, value: object, depth: int) -> Iterator[Config]:
    if not depth or not _is_config(value):
        return
    yield Config(path, value)
    for name, item in _items(value):
        yield from _walk(f"{path}.{name}" if path else name, item, depth - 1)


def _is_config(value: object) -> bool:
    return (isinstance(value, Mapping) and bool(value)) or type(value).__name__.endswith("Config")


def _items(config: object) -> Iterator[tuple[str, object]]:
    entries = config if isinstance(config, Mapping) else getattr(config, "__dict__", {})
    return ((str(name), value) for name, value in entries.items() if name not in ("id2label", "label2id"))


def numbers(configs: Configs, names: str, near: str = "") -> tuple[int, ...]:
    """The first entry of these names that is a whole number above 0, or several (a height and a width); else nothing.

    `names` and `near` are words with spaces between; configurations with a word of `near` in their path come first,
    then the outer ones.
    """
    words = near.split()
    for config in sorted(configs, key=lambda config: not any(word in config.path for word in words)):
        for name in names.split():
            if found := _numbers(config.get(name)):
                return found
    return ()


def number(configs: Configs, names: str, near: str = "", default: int = 0) -> int:
    """As `numbers`, one of them."""
    return next(iter(numbers(configs, names, near)), default)


def _numbers(value: object) -> tuple[int, ...]:
    if isinstance(value, Mapping) and {"height", "width"} <= {*value}:
        value = (value["height"], value["width"])
    found = tuple(value) if isinstance(value, (list, tuple)) else (value,)
    return found if found and all(type(each) is int and each > 0 for each in found) else ()
