"""Packages that list their models by name: `list_models()` beside `create_model(name)` or `get_model(name)`."""

from __future__ import annotations

import re
from itertools import groupby
from types import ModuleType

from opscan.sweeps.found import Listed

_MAKERS = ("create_model", "get_model")
_FAMILY = re.compile(r"[^\W\d_]+")


def registered(module: ModuleType, every: bool) -> tuple[Listed, ...]:
    """The models a module lists, as `timm:create_model('resnet18')`; none where it lists none.

    Names that begin with the same letters are one family (resnet18, resnet50d): with `every` all are returned,
    otherwise of each family the first.
    """
    maker = next((name for name in _MAKERS if callable(getattr(module, name, None))), None)
    lister = getattr(module, "list_models", None)
    if maker is None or not callable(lister):
        return ()
    names = sorted(name for name in lister() if isinstance(name, str))
    families = [(family, list(members)) for family, members in groupby(names, _family)]
    return tuple(
        Listed(f"{module.__name__}:{maker}({name!r})", family)
        for family, members in families
        for name in (members if every else members[:1])
    )


def _family(name: str) -> str:
    match = _FAMILY.match(name)
    return match[0] if match else name
