"""Attributes replaced and put back, also of modules that are imported later."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

_MISSING = object()


class Patches:
    """What was replaced, and with what to put it back."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], object]] = []
        self._finder = _Finder()
        sys.meta_path.insert(0, self._finder)

    def replace(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        """Put `make(original)` in the place of an attribute, if the owner has it."""
        original = getattr(owner, name, _MISSING)
        if original is _MISSING:
            return
        own = owner.__dict__.get(name, _MISSING) if hasattr(owner, "__dict__") else original
        made = make(original)
        if callable(original) and not isinstance(made, type):
            functools.update_wrapper(made, original)
        setattr(owner, name, made)
        self._undo.append((lambda: delattr(owner, name)) if own is _MISSING else (lambda: setattr(owner, name, own)))

    def when_imported(self, module: str, install: Callable[[ModuleType], None]) -> None:
        """Call `install` with a module: now if it is there, or else once it has been imported."""
        found = sys.modules.get(module)
        if found is not None and not getattr(getattr(found, "__spec__", None), "_initializing", False):
            install(found)
        else:
            self._finder.wanted[module] = install

    def on_undo(self, undo: Callable[[], object]) -> None:
        """Have something else done when all is put back."""
        self._undo.append(undo)

    def undo(self) -> None:
        """Put everything back, the last first."""
        sys.meta_path.remove(self._finder)
        while self._undo:
            self._undo.pop()()


class _Finder(MetaPathFinder):
    """Finds what others find, and has a word after a module that is wanted was executed."""

    def __init__(self) -> None:
        self.wanted: dict[str, Callable[[ModuleType], None]] = {}

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        install = self.wanted.pop(name, None)
        if install is None:
            return None
        spec = find_spec(name)
        if spec is None or spec.loader is None:
            self.wanted[name] = install
            return None
        spec.loader = _Watched(spec.loader, install)
        return spec


class _Watched(Loader):
    def __init__(self, loader: Any, install: Callable[[ModuleType], None]) -> None:
        self._loader = loader
        self._install = install

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        created: ModuleType | None = self._loader.create_module(spec)
        return created

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        self._install(module)
