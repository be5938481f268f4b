"""Read `*.dropins.toml`: which importable replacement stands in for what, and how its results compare.

TOML in, validated values out; nothing of torch is imported.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import get_args

from opscan.errors import RulesError
from opscan.rules.load import Table, builtin_rules_dir, only_rows, read_toml
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


@cache
def load_dropins() -> tuple[DropIn, ...]:
    """Every drop-in, in the order of the files and of the tables in them. Raises RulesError."""
    found: dict[str, DropIn] = {}
    for path in sorted(builtin_rules_dir().glob(f"*{SUFFIX}")):
        for dropin in read_dropins(path):
            first = found.setdefault(dropin.name, dropin)
            if first is not dropin:
                where = f"{first.source} and {dropin.source}"
                raise RulesError(f"the drop-in {dropin.name} stands twice", where, "Write it into one table.")
    return tuple(found.values())


def read_dropins(path: Path) -> Iterator[DropIn]:
    """The drop-ins of one file. Raises RulesError that names file, drop-in and key."""
    for row in only_rows(read_toml(path), path.name, "dropin"):
        yield _read_dropin(row, path.name)


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
