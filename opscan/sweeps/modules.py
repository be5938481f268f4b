"""The modules of a package, or a single one, imported one after the other."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from opscan.blame import one_line
from opscan.target.load import load_object
from opscan.target.spec import TargetSpec

_MODELS = re.compile(r"^class |^def \w+\(.*->|list_models", re.MULTILINE)
_TORCH = re.compile(r"\bforward\b|Module\b|Model\b|list_models|torch")
_NOT_MODELS = {"tests", "test", "testing", "conftest", "__main__", "setup", "cli", "scripts", "examples", "benchmarks"}


def import_root(name: str, is_file: bool) -> ModuleType:
    """The module a user names, by its dotted name or its file. Raises TargetError."""
    return sys.modules[str(load_object(TargetSpec(name, name, "__name__", is_file)))]


def modules_of(root: ModuleType, skipped: dict[str, str]) -> Iterator[ModuleType]:
    """The module and all below it that may define a model, in the order of their names.

    Private ones, tests and scripts are passed over, and so are files whose text shows neither a class nor a factory.
    What fails to be imported is noted in `skipped` with the reason.
    """
    yield root
    for entry in sorted(pkgutil.iter_modules(getattr(root, "__path__", ())), key=lambda entry: entry.name):
        name = f"{root.__name__}.{entry.name}"
        if entry.name.startswith(("_", "test_")) or entry.name in _NOT_MODELS:
            continue
        if not entry.ispkg and not _may_define_models(entry.module_finder, name):
            continue
        try:
            module = importlib.import_module(name)
        except (Exception, SystemExit) as error:  # a module of the user's may raise anything
            skipped[name] = one_line(error)
            continue
        yield from modules_of(module, skipped) if entry.ispkg else (module,)


def _may_define_models(finder: object, name: str) -> bool:
    """Whether the text of a module's file speaks of models; True where there is no text."""
    spec = finder.find_spec(name, None) if hasattr(finder, "find_spec") else None
    if spec is None or not spec.origin or not spec.origin.endswith(".py"):
        return True
    text = Path(spec.origin).read_text(encoding="utf-8", errors="replace")
    return bool(_MODELS.search(text) and _TORCH.search(text))
