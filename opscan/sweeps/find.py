"""From a package, a module or a .py file to its targets. This imports it: it runs in a process of its own."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from types import ModuleType

from opscan.errors import TargetError
from opscan.sweeps.found import Found, Listed
from opscan.sweeps.models import models_in
from opscan.sweeps.modules import import_root, modules_of
from opscan.sweeps.registry import registered


def find(what: str, every: bool) -> Found:
    """The targets in a package, a module or a .py file.

    Raises TargetError if there is no such thing, or no model in it.
    """
    is_file = what.endswith(".py")
    root = import_root(what, is_file)
    found = _models_of(root, what if is_file else None, every)
    if not found.listed:
        missed = f" ({len(found.skipped)} of its modules cannot be imported)" if found.skipped else ""
        raise TargetError(f"no model in it{missed}", what, "Name a package, or a text file with one target per line.")
    return found


def _models_of(root: ModuleType, file: str | None, every: bool) -> Found:
    skipped: dict[str, str] = {}
    modules = list(modules_of(root, skipped))
    lists = {module.__name__: entries for module in modules if (entries := registered(module, every))}
    tops = [name for name in lists if not any(name.startswith(f"{other}.") for other in lists)]
    rest = [module for module in modules if not any(f"{module.__name__}.".startswith(f"{top}.") for top in tops)]
    models = models_in(rest)
    homes = [file or _public_home(root, module, name) for module, name in models]
    listed = [entry for name in tops for entry in lists[name]]
    listed += [
        Listed(f"{home}:{name}", _family(module)) for home, (module, name) in zip(homes, models, strict=True) if home
    ]
    preload = () if file else (root.__name__, *_shared(root, {module.__name__: module for module, _ in models}))
    return Found(tuple(listed), tuple(skipped.items()), preload)


def _public_home(root: ModuleType, module: ModuleType, name: str) -> str:
    """Where a user imports it from: the package, if that offers it under its name, or its own module.

    Nowhere ("") if the package loads what it offers when it is asked for, and does not offer this: such a package names
    everything that is public, as transformers does.
    """
    package = sys.modules[root.__name__.partition(".")[0]]
    try:
        offered = getattr(package, name, None)
    except Exception:  # it imports here, and may fail
        offered = None
    if offered is getattr(module, name):
        return package.__name__
    is_lazy = type(package) is not ModuleType or "__getattr__" in vars(package)
    return "" if is_lazy else module.__name__


def _family(module: ModuleType) -> str:
    """The last part of the module's name; of `modeling_bert`, as transformers has it, what is modelled."""
    return module.__name__.rpartition(".")[2].removeprefix("modeling_")


def _shared(root: ModuleType, homes: Mapping[str, ModuleType]) -> tuple[str, ...]:
    """The package's modules that several of those with models take something from, in the order of their names."""
    top = root.__name__.partition(".")[0]
    used = Counter(name for home in homes.values() for name in _taken_from(home))
    shared = {name for name, users in used.items() if users > 1 and name.partition(".")[0] == top}
    return tuple(sorted(shared - set(homes)))


def _taken_from(home: ModuleType) -> set[str]:
    return {name for value in vars(home).values() if isinstance(name := getattr(value, "__module__", None), str)}
