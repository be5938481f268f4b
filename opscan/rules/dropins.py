"""Read `*.dropins.toml`: which importable replacement stands in for what, and how its results compare.

TOML in, validated values out; nothing of torch is imported.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import get_args

from opscan.errors import RulesError
from opscan.rules.load import Table, builtin_rules_dir, read_toml
from opscan.rules.schema import SameValues

_NAME = re.compile(r"[A-Za-z]\w*")
_PUBLIC = re.compile(r"\w+(\.\w+)+")
_RULE = re.compile(r"[A-Z]{2,12}\d{3,4}")
SUFFIX = ".dropins.toml"


@dataclass(frozen=True, slots=True)
class DropIn:
    """`opscan.replacements.<name>`, with the signature of each of `of`; a method takes its tensor first.

    `rules` are those it answers. `values` and `gradient` compare with the original's: bitwise, rounding or different;
    `differs` says what differs and when, `cost` in words what it takes beside the original.
    """

    name: str
    of: tuple[str, ...]
    rules: tuple[str, ...]
    values: SameValues
    gradient: SameValues
    differs: str
    cost: str
    source: str

    @property
    def same_values(self) -> SameValues:
        """The weaker of the two claims."""
        order = get_args(SameValues)
        return max(self.values, self.gradient, key=order.index)


@dataclass(frozen=True, slots=True)
class Without:
    """Rules that no drop-in answers, and why none can, or why none is needed."""

    rules: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True)
class DropIns:
    """Every drop-in, by its name, and the rules that have none."""

    by_name: Mapping[str, DropIn]
    without: Mapping[str, str]

    def answering(self, rule: str) -> tuple[DropIn, ...]:
        """The drop-ins for a rule."""
        return tuple(each for each in self.by_name.values() if rule in each.rules)


@cache
def load_dropins() -> DropIns:
    """The shipped drop-ins, in the order of the files and of the tables in them.

    Raises RulesError, also where two go by one name or stand for the same thing under the same rule, and where a rule
    both has a drop-in and is said to have none.
    """
    found: dict[str, DropIn] = {}
    without: dict[str, str] = {}
    for path in sorted(builtin_rules_dir().glob(f"*{SUFFIX}")):
        dropins, withouts = read_dropins(path)
        for dropin in dropins:
            if dropin.name in found:
                where = f"{found[dropin.name].source} and {path.name}"
                raise RulesError(f"the drop-in {dropin.name} stands twice", where, "Write it into one table.")
            found[dropin.name] = dropin
        without |= {rule: each.why for each in withouts for rule in each.rules}
    _check_single(found.values(), without)
    return DropIns(found, without)


def _check_single(dropins: Iterable[DropIn], without: Mapping[str, str]) -> None:
    owner: dict[tuple[str, str], DropIn] = {}
    for dropin in dropins:
        for rule in dropin.rules:
            if rule in without:
                raise RulesError(f"{dropin.name} answers {rule}, which is said to have none", dropin.source, "Say one.")
            for of in dropin.of:
                other = owner.setdefault((of, rule), dropin)
                if other is not dropin:
                    what = f"{other.name} and {dropin.name} both stand for {of} under {rule}"
                    raise RulesError(what, dropin.source, "Leave one of them.")


def read_dropins(path: Path) -> tuple[list[DropIn], list[Without]]:
    """The drop-ins of one file, and its rules without any. Raises RulesError that names file, drop-in and key."""
    top = Table(read_toml(path), path.name)
    rows, others = top.rows("dropin", required=False), top.rows("without", required=False)
    top.done()
    return [_read_dropin(row, path.name) for row in rows], [_read_without(row) for row in others]


def _read_without(row: Table) -> Without:
    without = Without(row.texts("rules", required=True, matching=_RULE), row.text("why"))
    row.done()
    return without


def _read_dropin(row: Table, source: str) -> DropIn:
    row.place = f"{source} {row.content.get('name', '(drop-in without name)')}"
    dropin = DropIn(
        name=row.text("name", matching=_NAME),
        of=row.texts("of", required=True, matching=_PUBLIC),
        rules=row.texts("rules", required=True, matching=_RULE),
        values=row.choice("values", get_args(SameValues)),
        gradient=row.choice("gradient", get_args(SameValues)),
        differs=row.text("differs", required=False),
        cost=row.text("cost"),
        source=source,
    )
    row.done()
    if (dropin.same_values == "different") and not dropin.differs:
        raise row.error("has different values and no `differs`", "Say what differs, and when.")
    return dropin
