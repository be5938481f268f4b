"""The value a setting has in this process. Looking changes nothing: no import, no CUDA, no flag."""

from __future__ import annotations

import os
import sys
import warnings
from types import ModuleType
from typing import NamedTuple

from opscan.settings.schema import Setting


class Reading(NamedTuple):
    """What was found: `value` as text, None for a variable that is not set; `seen` is False where there is nothing.

    Nothing is there when this torch does not have the setting, or has not imported the module that holds it.
    """

    value: str | None = None
    seen: bool = True


NOTHING = Reading(seen=False)


def read_setting(setting: Setting) -> Reading:
    """The value now."""
    if setting.kind == "variable":
        return Reading(os.environ.get(setting.reads))
    if setting.kind == "python":
        return _read_python(setting.reads)
    return NOTHING


def _read_python(name: str) -> Reading:
    """The value of a dotted name below a module that is already imported."""
    parts = name.removesuffix("()").split(".")
    loaded = next(size for size in range(len(parts) - 1, -1, -1) if not size or ".".join(parts[:size]) in sys.modules)
    if not loaded:
        return NOTHING
    found: object = sys.modules[".".join(parts[:loaded])]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for part in parts[loaded:]:
                found = _attribute(found, part)
            if name.endswith("()") and callable(found):
                found = found()
    except (AttributeError, RuntimeError):  # not in this build; TF32 set through torch's old and new names at once
        return NOTHING
    return NOTHING if found is None else Reading(_text(found))


def _text(value: object) -> str:
    """`True`, `torch.float32`; of one of torch's own enumerations the member alone."""
    return str(getattr(value, "name", value)) if hasattr(type(value), "__members__") else str(value)


def _attribute(owner: object, name: str) -> object:
    """An attribute; of a module with a `__getattr__` of its own, as torch, only what is there: it would import more."""
    if isinstance(owner, ModuleType) and "__getattr__" in vars(owner) and name not in vars(owner):
        raise AttributeError(name)
    return getattr(owner, name)
