"""The `[tool.opscan]` table of the nearest pyproject.toml: further rules, as folders or as rows."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opscan.errors import ConfigError
from opscan.rules.load import Ruleset, Table, load_rules, make_ruleset, rules_of
from opscan.rules.schema import Rule


@dataclass(frozen=True, slots=True)
class Config:
    """What a project says: folders of rules, and rows written in the table itself."""

    folders: tuple[Path, ...] = ()
    rows: tuple[Rule, ...] = ()

    def ruleset(self, *folders: Path) -> Ruleset:
        """The shipped rules, the project's, and those of further folders. Raises RulesError when one is not valid."""
        rules = load_rules(*self.folders, *folders)
        return make_ruleset((*rules.rules, *self.rows)) if self.rows else rules


def find_config(start: Path) -> Config:
    """Read the nearest pyproject.toml, in `start` or above it, that has a [tool.opscan] table.

    Raises ConfigError for a key that means nothing and for a file that is not TOML, and RulesError for a row that is
    not valid.
    """
    for folder in (start, *start.parents):
        path = folder / "pyproject.toml"
        if path.is_file():
            table = _own_table(path)
            if table is not None:
                return _config(table, path)
    return Config()


def _own_table(path: Path) -> dict[str, Any] | None:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(
            f"cannot be read: {error}", str(path), "Fix the file; opscan looks there for [tool.opscan]."
        ) from error
    tools = content.get("tool")
    table = tools.get("opscan") if isinstance(tools, dict) else None
    return table if isinstance(table, dict) else None


def _config(content: dict[str, Any], path: Path) -> Config:
    table = Table(content, f"{path} [tool.opscan]")
    folders = tuple(path.parent / folder for folder in table.texts("rules"))
    rows = table.take("rule", list, required=False)
    table.done()
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(f"no such folder: {folder}", table.place, "`rules` lists folders, relative to this file.")
    return Config(folders, tuple(rules_of({"rule": rows}, "pyproject.toml")) if rows else ())
