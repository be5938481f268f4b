"""Which code a target is: the version of the package it comes from, or what its files say."""

from __future__ import annotations

import hashlib
import importlib.util
from functools import cache
from importlib import metadata
from pathlib import Path


def code_of(target: str) -> str:
    """`transformers 5.23.0`, or the name of a package or file with a digest of its source where nobody installed it."""
    module = target.partition(":")[0]
    return _code_of(module if module.endswith(".py") else module.partition(".")[0])


@cache
def _code_of(name: str) -> str:
    if not name.endswith(".py"):
        for distribution in _distributions().get(name, ()):
            return f"{name} {metadata.version(distribution)}"
    digest = hashlib.sha256()
    for file in _files(name):
        digest.update(file.read_bytes())
    return f"{name} {digest.hexdigest()[:16]}"


def source_of(what: str) -> str:
    """What a sweep says it swept: a package with its version, or the name of a file."""
    top = what.partition(":")[0].partition(".")[0]
    if Path(what).is_file():
        return Path(what).name
    return " ".join([what, *map(metadata.version, _distributions().get(top, ())[:1])])


def _files(name: str) -> list[Path]:
    """The Python files of a module or package that is found from here; none if it is not."""
    if name.endswith(".py"):
        return [Path(name)] if Path(name).is_file() else []
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return []
    if spec is None:
        return []
    if spec.submodule_search_locations:
        return sorted(file for folder in spec.submodule_search_locations for file in Path(folder).rglob("*.py"))
    return [Path(spec.origin)] if spec.origin and Path(spec.origin).is_file() else []


@cache
def _distributions() -> dict[str, list[str]]:
    return {name: list(found) for name, found in metadata.packages_distributions().items()}
