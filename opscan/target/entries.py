"""Which entry of a configuration an error is about, and a value that may mend it.

the message offers a value for `config.entry`              that value
a number is to be divisible by a number of heads           a number of heads that divides it
a list that stands for an entry has the wrong sum          a list like it, with the sum that is wanted
a module has no attribute that an entry switches on        the entry, switched
a line read an entry that is None, or that is not there    a value that goes by its name and fits the other entries
"""

from __future__ import annotations

import ast
import copy
import inspect
import re
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any

from torch import nn

from opscan.target.configs import Config, Configs, number
from opscan.target.missing import model_frames_of, texts_of
from opscan.target.wellknown import UNKNOWN, well_known

_NEAR = 3  # frames, from where it failed outwards
_HEADS = "num_attention_heads num_heads n_heads n_head encoder_attention_heads"
_MEDIA = ("image", "video", "audio")
_WHATEVER: dict[str, object] = {"int": 1, "float": 1.0, "bool": True, "dict": {}}


@dataclass(frozen=True, slots=True)
class Mending:
    """An entry of a configuration, and the value to give it."""

    config: Config
    name: str
    value: object


def mendings(error: BaseException, configs: Configs) -> Iterator[Mending]:
    """What may mend the error, the likeliest first; nothing where it is about no entry."""
    own = tuple(each for each in configs if not isinstance(each.entries, dict))
    yield from _summing(error, configs)
    if own:
        yield from _offered(error, own)
        yield from _divisible(error, own)
        yield from _switched_on(error, own)
        yield from _filled(error, own, configs)


def _offered(error: BaseException, configs: Configs) -> Iterator[Mending]:
    """\"config.out_indices has to be a list of 4. One can use [3, 5, 7, 11]\"."""
    lists = re.findall(r"\[\d[\d, ]*\]", str(error))
    for name in re.findall(r"config\.(\w+)", str(error)):
        for config in configs:
            if lists and config.get(name) is not None and config.get(name) != ast.literal_eval(lists[-1]):
                yield Mending(config, name, ast.literal_eval(lists[-1]))


def _divisible(error: BaseException, configs: Configs) -> Iterator[Mending]:
    numbers = [int(each) for each in re.findall(r"\d+", str(error))] if "divisible" in str(error) else []
    for config in configs if len(numbers) == 2 else ():
        entries = {name: value for name, value in vars(config.entries).items() if type(value) is int}
        heads = [name for name, value in entries.items() if "heads" in name and value == numbers[1]]
        if heads and numbers[0] in entries.values():
            divisors = [each for each in range(1, numbers[1]) if numbers[0] % each == 0]
            yield from (Mending(config, name, divisors[-1]) for name in heads)


def _summing(error: BaseException, configs: Configs) -> Iterator[Mending]:
    """`x.split(rope_parameters.get("mrope_section", [8, 12, 12]))`, where the entry is not there."""
    match = re.search(r"sum exactly to (\d+) .*split_sizes=(\[[\d, ]+\])", str(error))
    sizes = ast.literal_eval(match[2]) if match else []
    if match is None or not sum(sizes):
        return
    wide = [size * int(match[1]) // sum(sizes) for size in sizes]
    wide[0] += int(match[1]) - sum(wide)
    for frame in model_frames_of(error)[:_NEAR]:
        for function in (frame.f_code, getattr(type(frame.f_locals.get("self")), "__init__", None)):
            for name in _defaulted(function, sizes):
                mappings = (each for each in configs if isinstance(each.entries, dict) and name not in each.entries)
                yield from (Mending(each, name, wide) for each in mappings if "rope" in each.path)


def _defaulted(function: Any, value: object) -> list[str]:
    """The names of entries that the function gets with this list for a default."""
    with suppress(OSError, TypeError):  # no source
        found = re.findall(r"\.get\(\"(\w+)\", (\[[\d, ]+\])\)", inspect.getsource(function))
        return [name for name, default in found if ast.literal_eval(default) == value]
    return []


def _switched_on(error: BaseException, configs: Configs) -> Iterator[Mending]:
    """The constructor gives the module its attribute only `if config.entry`."""
    if not (isinstance(error, AttributeError) and isinstance(error.obj, nn.Module) and error.name):
        return
    constructor: Any = type(error.obj).__init__
    with suppress(OSError, TypeError, SyntaxError):  # no source
        tree = ast.parse(textwrap.dedent(inspect.getsource(constructor)))
        for branch in (node for node in ast.walk(tree) if isinstance(node, ast.If)):
            if any(_assigns(each, error.name) for each in branch.body):
                for name in (each.attr for each in ast.walk(branch.test) if isinstance(each, ast.Attribute)):
                    yield from (Mending(config, name, True) for config in configs if config.get(name) is False)


def _assigns(node: ast.AST, name: str) -> bool:
    return any(
        isinstance(each, ast.Attribute) and isinstance(each.ctx, ast.Store) and each.attr == name
        for each in ast.walk(node)
    )


def _filled(error: BaseException, own: Configs, configs: Configs) -> Iterator[Mending]:
    for config, name in _open_entries(error, own):
        value = _value(name, config, configs)
        if value is not UNKNOWN and value is not None:
            yield Mending(config, name, value)


def _open_entries(error: BaseException, configs: Configs) -> Iterator[tuple[Config, str]]:
    """The entries that the error may be about and that have no value."""
    if isinstance(error, AttributeError) and any(config.entries is error.obj for config in configs):
        yield from ((config, str(error.name)) for config in configs if config.entries is error.obj)
        return
    frames, texts = model_frames_of(error)[:_NEAR], texts_of(error)[:_NEAR]
    words = re.findall(r"\w+", f"{error} {' '.join(texts)}")
    words += [word for name in dict.fromkeys(words) for frame in frames for word in _assigned(frame, name)]
    for name in dict.fromkeys(words):
        for config in configs:
            if config.get(name) is None and (name in vars(config.entries) or name in _other_names(config)):
                yield config, name


def _other_names(config: Config) -> Any:
    """Names that the configuration knows its entries by, too (`attribute_map` in transformers)."""
    return getattr(type(config.entries), "attribute_map", None) or ()


def _assigned(frame: FrameType, name: str) -> list[str]:
    """The words of what `name` was assigned in the function, or `self.name` in it and in the constructor."""
    constructor: Any = getattr(type(frame.f_locals.get("self")), "__init__", None)
    words: list[str] = []
    for code, pattern in (
        (frame.f_code, rf"\b(?:self\.)?{name}\s*=\s*(.+)"),
        (constructor, rf"self\.{name}\s*=\s*(.+)"),
    ):
        with suppress(OSError, TypeError):  # no source
            words += re.findall(r"\w+", " ".join(re.findall(pattern, inspect.getsource(code))))
    return words


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
    if re.search(r"token_(id|index)$", name):
        return _token(name, configs)
    kind = _annotated(name, config)
    whole = well_known(name, int)
    known = whole if whole is not UNKNOWN else well_known(name, float)
    if known is UNKNOWN or kind == "dict":
        return copy.copy(_WHATEVER.get(kind, UNKNOWN))
    return known


def _token(name: str, configs: Configs) -> object:
    """One of the last tokens of the vocabulary, another one for each kind."""
    size = number(configs, "vocab_size", "text language llm decoder")
    kind = next((n for n, word in enumerate(_MEDIA) if word in name), len(_MEDIA))
    return size - 1 - kind if size > len(_MEDIA) + 1 else UNKNOWN


def _annotated(name: str, config: Config) -> str:
    """`int`, `float`, `bool` or `dict`, if the configuration's class says that of its entry; else nothing."""
    name = dict(_other_names(config)).get(name, name)
    for kind in type(config.entries).__mro__:
        annotation = vars(kind).get("__annotations__", {}).get(name)
        if annotation is not None:
            words = re.findall(r"\b(int|float|bool|dict)\b", str(annotation))
            return next(iter(words), "")
    return ""
