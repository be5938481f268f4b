"""The packages only a sweep needs, imported when it begins."""

from __future__ import annotations

import importlib
from typing import Any

from opscan.errors import SweepError

_INSTALL = {"joblib": '"opscan[sweep]"', "tqdm": '"opscan[sweep]"', "distributed": '"dask[distributed]"'}


def needs(module: str) -> Any:
    """Import a package that opscan does not depend on. Raises SweepError with the command that installs it."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = module.partition(".")[0]
        hint = f"Install it: pip install {_INSTALL.get(name, name)}"
        raise SweepError(f"{name} is not installed", "opscan sweep", hint) from error
