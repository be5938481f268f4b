"""The [tool.opscan] table of the nearest pyproject.toml, read with the standard library alone."""

from __future__ import annotations

import os
from typing import Any

from opscan.errors import ConfigError
from opscan.formats.stored import read_stored

_HINT = "Fix or remove it; opscan looks there for [tool.opscan]."


def nearest_table(start: str) -> tuple[dict[str, Any], str] | None:
    """The table with the path of its file, which stands in the folder `start` or above it; None where there is none.

    Raises ConfigError for what has the name of the file and cannot be read, and for a table that is none.
    """
    folder = os.path.abspath(start)
    while True:
        path = os.path.join(folder, "pyproject.toml")
        table = _own_table(path) if os.path.lexists(path) else None
        if table is not None:
            return table, path
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above


def _own_table(path: str) -> dict[str, Any] | None:
    content = read_stored(path, _parse, lambda why: ConfigError(f"cannot be read: {why}", path, _HINT))
    tools = content.get("tool", {})
    if not isinstance(tools, dict) or "opscan" not in tools:
        return None
    table = tools["opscan"]
    if not isinstance(table, dict):
        raise ConfigError("`opscan` in [tool] is no table", path, "Write [tool.opscan], and the keys below it.")
    return table


def _parse(text: str) -> dict[str, Any]:
    if "opscan" not in text:
        return {}
    import tomllib

    return tomllib.loads(text)
