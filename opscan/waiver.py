"""Waivers: findings that a project accepts, each named by its rule or op and its place, with a reason.

[[tool.opscan.waive]]
rule = "OPS102"             # a rule or a pattern of rules; or op = "aten.cumsum*"
target = "src/net.py:Net"   # where: a target, module = "encoder.*", or file = "src/net.py" or "src/net.py:12"
reason = "The pad is frozen: nothing trains through it."
until = 2027-03-31          # the last day it holds, if it ends
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from opscan.errors import ConfigError, RulesError
from opscan.finding import Place
from opscan.patterns import fits_file, fits_target, is_pattern
from opscan.rules.load import Table

_HINT = (
    "A waiver has `rule` or `op`, a place (`target`, `module` or `file`), `reason`, and perhaps `until = 2027-03-31`."
)
_PLACES = ("target", "module", "file")
_LINE = re.compile("[0-9]{1,9}")


@dataclass(frozen=True, slots=True)
class Waiver:
    """One entry: what is given has to fit, all of it; "" is not given.

    `rule`, `op`, `target`, `module` and `file` are patterns; `line` is 0 or that of `file`. It holds through the day
    `until`. `number` is its position in the file, from 1; files are relative to the folder `root`.
    """

    reason: str
    rule: str = ""
    op: str = ""
    target: str = ""
    module: str = ""
    file: str = ""
    line: int = 0
    until: date | None = None
    number: int = 1
    root: Path = Path()

    @property
    def words(self) -> str:
        """What it waives, for people: `OPS102, target src/net.py:Net`."""
        given = [(name, getattr(self, name)) for name in ("op", *_PLACES) if getattr(self, name)]
        line = f":{self.line}" if self.line else ""
        rest = [f"{name} {value}{line if name == 'file' else ''}" for name, value in given]
        return ", ".join([*([self.rule] if self.rule else []), *rest])

    @property
    def config(self) -> Path:
        """The file it stands in."""
        return self.root / "pyproject.toml"

    @property
    def is_exact(self) -> bool:
        """Whether it names one target or file, so that a scan of that tells whether it is still used."""
        return any(each and not is_pattern(each) for each in (self.target, self.file))

    def has_ended(self, today: date) -> bool:
        """Whether its last day is over."""
        return self.until is not None and self.until < today

    def is_about(self, label: str, files: Iterable[str]) -> bool:
        """Whether it may be used by a target; `files` are those that the target is known to have lines in."""
        if self.target and not fits_target(self.target, label, self.root):
            return False
        return not self.file or any(fits_file(self.file, file, self.root) for file in files)

    def covers(self, label: str, rule: str, op: str, place: Place) -> bool:
        """Whether it waives a finding of a target at a place."""
        if self.rule and not fnmatch.fnmatchcase(rule, self.rule):
            return False
        if self.op and not fnmatch.fnmatchcase(op, self.op):
            return False
        if self.target and not fits_target(self.target, label, self.root):
            return False
        if self.module and not fnmatch.fnmatchcase(place.module, self.module):
            return False
        return not self.file or any(
            self.line in (0, each.line) and fits_file(self.file, each.file, self.root)
            for each in (place.constructed, place.called)
            if each is not None
        )


def read_waivers(rows: Iterable[Any], path: Path) -> tuple[Waiver, ...]:
    """The entries of [[tool.opscan.waive]] in a pyproject.toml. Raises ConfigError for one that is not valid."""
    return tuple(_waivers(rows, path))


def _waivers(rows: Iterable[Any], path: Path) -> Iterator[Waiver]:
    for number, row in enumerate(rows, 1):
        place = f"{path} [[tool.opscan.waive]] {number}"
        if not isinstance(row, dict):
            raise ConfigError(f"`waive` holds {row!r}", place, f"Write tables, [[tool.opscan.waive]]. {_HINT}")
        try:
            yield _waiver(Table(row, place), number, path.parent)
        except RulesError as error:
            hint = error.hint.partition(";")[0].rstrip(".")
            raise ConfigError(error.what, error.where, f"{hint}. {_HINT}") from error


def _waiver(table: Table, number: int, root: Path) -> Waiver:
    texts = {name: table.text(name, required=name in table) for name in ("rule", "op", *_PLACES)}
    reason, until = table.text("reason"), _day(table)
    table.asked.append("until")
    table.done()
    if not (texts["rule"] or texts["op"]):
        raise ConfigError("names no rule and no op", table.place, _HINT)
    if not any(texts[name] for name in _PLACES):
        raise ConfigError("names no place", table.place, f'{_HINT} target = "*" is everywhere.')
    file, colon, line = texts["file"].rpartition(":")
    if colon and _LINE.fullmatch(line):
        texts["file"] = file
    else:
        line = "0"
    return Waiver(reason, **texts, line=int(line), until=until, number=number, root=root)


def _day(table: Table) -> date | None:
    value = table.content.get("until")
    if isinstance(value, str):
        try:
            return date.fromisoformat(value)
        except ValueError:
            pass
    elif value is None or (isinstance(value, date) and not isinstance(value, datetime)):
        return value
    raise ConfigError(f"`until` is {value}", table.place, "Write a day: until = 2027-03-31.")
