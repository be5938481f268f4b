"""Attributes of modules replaced for a while, in those that are loaded and in those that will be.

torch.distributed.fsdp and DTensor take as long to import as torch itself, so nothing imports them that a step does not.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

Replacements = Mapping[str, Mapping[str, Callable[[Any], Any]]]
"""By module, by attribute ("name" or "Class.name"): what makes the replacement of what is there."""


class _Late(MetaPathFinder):
    """Finds the modules as they are found without it, and replaces their attributes when they have been run."""

    def __init__(self, wanted: Replacements) -> None:
        self._wanted = wanted
        self._finding: set[str] = set()
        self._originals: list[tuple[Any, str, Any]] = []

    def find_spec(self, fullname: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        if fullname not in self._wanted or fullname in self._finding:
            return None
        self._finding.add(fullname)
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._finding.discard(fullname)
        if spec is not None and spec.loader is not None:
            spec.loader = _Then(spec.loader, self.replace_in)
        return spec

    def replace_in(self, module: ModuleType) -> None:
        for path, making in self._wanted[module.__name__].items():
            owner: Any = module
            *outer, name = path.split(".")
            for each in outer:
                owner = getattr(owner, each, None)
            if owner is not None and hasattr(owner, name):
                original = getattr(owner, name)
                self._originals.append((owner, name, original))
                setattr(owner, name, making(original))

    def restore(self) -> None:
        for owner, name, original in reversed(self._originals):
            setattr(owner, name, original)


class _Then(Loader):
    """Loads a module, then calls a function with it."""

    def __init__(self, loader: Loader, then: Callable[[ModuleType], None]) -> None:
        self._loader = loader
        self._then = then

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader  # who reads its source asks for it
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        self._then(module)


@contextmanager
def replaced_when_loaded(wanted: Replacements) -> Iterator[None]:
    """While active, what `wanted` names is replaced as soon as its module is there; then all is what it was."""
    late = _Late(wanted)
    sys.meta_path.insert(0, late)
    try:
        for name in wanted:
            if name in sys.modules:
                late.replace_in(sys.modules[name])
        yield
    finally:
        sys.meta_path.remove(late)
        late.restore()
