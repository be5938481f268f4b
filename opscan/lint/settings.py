"""What is asked for: the [tool.opscan.lint] table of the nearest pyproject.toml, and the command line over it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from opscan.errors import ConfigError
from opscan.formats.project import nearest_table
from opscan.lint.discover import matches
from opscan.lint.finding import LEVELS, Finding, Level
from opscan.lint.rule import Rule

_KEYS = ("select", "ignore", "per-file-ignores", "exclude", "torch", "level")


class LintConfig(NamedTuple):
    """The table, read; patterns are relative to `root`, the folder of the file."""

    root: str
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    per_file: tuple[tuple[str, tuple[str, ...]], ...] = ()
    exclude: tuple[str, ...] = ()
    torch: tuple[int, ...] | None = None
    level: Level = "warning"

    def ignores(self, finding: Finding) -> bool:
        """Whether the project does not want to hear of this code in this file."""
        return any(
            finding.code.startswith(codes) and matches(finding.file, (pattern,), self.root)
            for pattern, codes in self.per_file
        )


def find_lint_config(start: str) -> LintConfig:
    """Read the nearest pyproject.toml, in `start` or above, that has a [tool.opscan] table.

    Raises ConfigError for a file that cannot be read, and for keys and values that mean nothing.
    """
    found = nearest_table(start)
    return read_table(found[0].get("lint", {}), found[1]) if found else LintConfig(os.path.abspath(start))


def read_table(table: object, path: str) -> LintConfig:
    """The table's content. Raises ConfigError naming the key and the likely meant one."""
    place = f"{path} [tool.opscan.lint]"
    if not isinstance(table, dict):
        raise ConfigError("is no table", place, 'Write [tool.opscan.lint], and below it select = ["OPL1"].')
    for key in table:
        if key not in _KEYS:
            from difflib import get_close_matches

            near = get_close_matches(key, _KEYS, 1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(_KEYS)}."
            raise ConfigError(f"unknown key {key!r}", place, hint)
    per_file = table.get("per-file-ignores", {})
    if not isinstance(per_file, dict):
        raise ConfigError("per-file-ignores is no table", place, 'Write per-file-ignores = { "tests/*" = ["OPL2"] }.')
    level = table.get("level", "warning")
    if level not in LEVELS:
        raise ConfigError(f"level = {level!r}", place, f"Known: {', '.join(LEVELS)}.")
    torch = table.get("torch")
    return LintConfig(
        os.path.dirname(path),
        _texts(table.get("select", []), "select", place),
        _texts(table.get("ignore", []), "ignore", place),
        tuple((pattern, _texts(codes, f"per-file-ignores {pattern!r}", place)) for pattern, codes in per_file.items()),
        _texts(table.get("exclude", []), "exclude", place),
        None if torch is None else read_torch(torch, place),
        level,
    )


def _texts(value: object, key: str, place: str) -> tuple[str, ...]:
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return tuple(value)
    raise ConfigError(f"{key} = {value!r}", place, f'Write a list of texts: {key} = ["..."].')


def read_torch(value: object, place: str) -> tuple[int, ...]:
    """A version of torch, as "2.10". Raises ConfigError for anything else."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,4})+", value):
        return tuple(int(part) for part in value.split("."))
    raise ConfigError(f"torch = {value!r}", place, 'Write the oldest torch you run on, as torch = "2.6".')


def choose_rules(
    rules: Iterable[Rule], select: Sequence[str], ignore: Sequence[str], level: Level, place: str
) -> tuple[Rule, ...]:
    """The rules to ask: those selected by code or its beginning, else those of the level and above, less the ignored.

    Raises ConfigError for a code that no rule has.
    """
    every = tuple(rules)
    for code in (*select, *ignore):
        if code != "ALL" and not any(rule.code.startswith(code.upper()) for rule in every):
            known = ", ".join(sorted({rule.code[:4] for rule in every}))
            raise ConfigError(
                f"no rule {code!r}", place, f"Codes begin with {known}; `opscan lint --rules` lists them."
            )
    shown = LEVELS[: LEVELS.index(level) + 1]

    def fits(rule: Rule, codes: Sequence[str]) -> bool:
        return any(code == "ALL" or rule.code.startswith(code.upper()) for code in codes)

    return tuple(
        rule for rule in every if (fits(rule, select) if select else rule.level in shown) and not fits(rule, ignore)
    )
