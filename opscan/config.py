"""The `[tool.opscan]` table of the nearest pyproject.toml: further rules, inputs, targets and waivers.

[tool.opscan.inputs]                    # by target, or by a pattern of targets; the first that fits counts
"mymodel:CNN_v2" = ["2x3x32x32"]        # words of --input
"src/*.py:*" = "mymodel:make_batch"     # a function, as for --inputs

[tool.opscan.targets]                   # by file, or by a pattern of files: what `opscan check-files` checks for them
"src/net.py" = ["Net(num_classes=10)"]  # names in the file, with constructor arguments if need be
"src/layers/*.py" = ["src/net.py:Net"]  # a target elsewhere
"tests/*" = []                          # nothing

[[tool.opscan.waive]] names findings that are accepted: see opscan/waiver.py.
[tool.opscan.lint] belongs to the linter: see opscan/lint/settings.py.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opscan.errors import ConfigError
from opscan.formats.project import nearest_table
from opscan.patterns import fits_file, fits_target, is_pattern
from opscan.rules.load import Ruleset, Table, load_rules, make_ruleset, rules_of
from opscan.rules.schema import Rule
from opscan.waiver import Waiver, read_waivers


@dataclass(frozen=True, slots=True)
class InputRule:
    """The inputs of the targets a pattern fits: words of `--input`, or the function that makes them.

    `root` is the folder of the file, to which patterns of paths are relative.
    """

    pattern: str
    words: tuple[str, ...] = ()
    maker: str = ""
    root: Path = Path()

    @property
    def source(self) -> str:
        """Where it stands, for people."""
        return f"[tool.opscan.inputs] {self.pattern!r} in pyproject.toml"

    @property
    def is_exact(self) -> bool:
        """Whether the pattern is the name of one target."""
        return not is_pattern(self.pattern)

    def fits(self, label: str) -> bool:
        """Whether the target is meant: as it was written, and a file also relative to the project."""
        return fits_target(self.pattern, label, self.root)


@dataclass(frozen=True, slots=True)
class TargetRule:
    """What is checked for the files that a pattern fits; patterns and files are relative to the folder `root`."""

    pattern: str
    targets: tuple[str, ...]
    root: Path = Path()

    def fits(self, file: Path) -> bool:
        """Whether the file is meant."""
        return fits_file(self.pattern, file, self.root)

    def targets_for(self, file: str) -> tuple[str, ...]:
        """The targets as `opscan check` takes them: names stand in the file itself, paths begin at the project."""
        return tuple(self._target(each, file) for each in self.targets)

    def _target(self, written: str, file: str) -> str:
        name, bracket, arguments = written.partition("(")
        path, colon, rest = name.rpartition(":")
        if not colon:
            return f"{file}:{written}"
        home = os.path.relpath(self.root / path) if path.endswith(".py") else path
        return f"{home}:{rest}{bracket}{arguments}"


@dataclass(frozen=True, slots=True)
class Config:
    """What a project says: folders of rules, rows in the table itself, inputs of its targets, targets, and waivers."""

    folders: tuple[Path, ...] = ()
    rows: tuple[Rule, ...] = ()
    inputs: tuple[InputRule, ...] = ()
    targets: tuple[TargetRule, ...] = ()
    waivers: tuple[Waiver, ...] = ()

    def ruleset(self, *folders: Path) -> Ruleset:
        """The shipped rules, the project's, and those of further folders. Raises RulesError when one is not valid."""
        rules = load_rules(*self.folders, *folders)
        return make_ruleset((*rules.rules, *self.rows)) if self.rows else rules


def find_config(start: Path) -> Config:
    """Read the nearest pyproject.toml, in `start` or above it, that has a [tool.opscan] table.

    Raises ConfigError for a key that means nothing and for a file that cannot be read, and RulesError for a row that
    is not valid.
    """
    found = nearest_table(str(start))
    return _config(found[0], Path(found[1])) if found else Config()


def _config(content: dict[str, Any], path: Path) -> Config:
    table = Table(content, f"{path} [tool.opscan]")
    folders = tuple(path.parent / folder for folder in table.texts("rules"))
    rows = table.take("rule", list, required=False)
    inputs = table.take("inputs", dict, required=False)
    targets = table.take("targets", dict, required=False)
    waived = table.take("waive", list, required=False)
    table.take("lint", dict, required=False)  # opscan/lint/settings.py reads it, without the packages this needs
    table.done()
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError(f"no such folder: {folder}", table.place, "`rules` lists folders, relative to this file.")
    return Config(
        folders,
        tuple(rules_of({"rule": rows}, "pyproject.toml")) if rows else (),
        tuple(_input_rule(pattern, value, path) for pattern, value in _most_exact_first(inputs)),
        tuple(_target_rule(pattern, value, path) for pattern, value in _most_exact_first(targets)),
        read_waivers(waived, path),
    )


def _most_exact_first(rules: dict[str, Any]) -> list[tuple[str, Any]]:
    """A name before patterns, and among these the longer one."""
    return sorted(rules.items(), key=lambda item: (is_pattern(item[0]), -len(item[0])))


def _input_rule(pattern: str, value: object, path: Path) -> InputRule:
    place = f"{path} [tool.opscan.inputs] {pattern!r}"
    hint = 'Write a list of --input words, ["2x3x32x32"], or a function that makes a batch, "mod:make_batch".'
    if ":" not in pattern:
        raise ConfigError("the key is no target", place, 'Write "mod:Name", or a pattern such as "mod:*".')
    if isinstance(value, str):
        return InputRule(pattern, maker=value, root=path.parent)
    if not isinstance(value, list) or not value or not all(isinstance(word, str) for word in value):
        raise ConfigError(f"the inputs are {value!r}", place, hint)
    return InputRule(pattern, words=tuple(value), root=path.parent)


def _target_rule(pattern: str, value: object, path: Path) -> TargetRule:
    place = f"{path} [tool.opscan.targets] {pattern!r}"
    if ":" in pattern:
        raise ConfigError("the key is no file", place, 'Write "src/net.py", or a pattern such as "src/*.py".')
    if not isinstance(value, list) or not all(isinstance(word, str) and word.strip() for word in value):
        hint = 'Write a list of names in the file or of targets, ["Net(num_classes=10)", "src/net.py:Net"], or [].'
        raise ConfigError(f"the targets are {value!r}", place, hint)
    return TargetRule(pattern, tuple(value), path.parent)
