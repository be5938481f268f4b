"""The nouns of the settings data: a setting, and what each range of torch versions makes of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet

    from opscan.rules.schema import Device, Evidence

Kind = Literal["variable", "python", "unseen"]
"""An environment variable, a dotted Python name, or something that shows in no process: the user's own code."""

Changes = Literal["repeatability", "bits", "neither"]
"""Whether two runs agree; which bits they agree on; nothing of the two."""

Moment = Literal[
    "before Python starts",
    "before torch is imported",
    "before CUDA is initialised",
    "before the process group is made",
    "before the model is compiled",
    "before the first forward",
    "in your code",
]

UNSET = "unset"
"""How `wants` names an environment variable that is not there."""


@dataclass(frozen=True, slots=True)
class Entry:
    """What one range of torch versions makes of a setting on some devices; the first entry that fits decides.

    `wants` lists the values strict training accepts, the one to write first; empty: any, the same in every run.
    `accepts` is a pattern for further ones. `only_if` says when it matters at all; empty: always.
    `cuda` is the range of CUDA versions it holds for; None: any.
    """

    devices: tuple[Device, ...]
    torch: SpecifierSet
    changes: Changes
    why: str
    cuda: SpecifierSet | None = None
    wants: tuple[str, ...] = ()
    accepts: re.Pattern[str] | None = None
    only_if: str = ""
    moment: Moment = "before the first forward"
    write: str = ""

    def accepted(self, value: str | None) -> bool:
        """Whether strict training can live with the value of a setting; None is a variable that is not set."""
        if value is None:
            return UNSET in self.wants
        return value in self.wants or bool(self.accepts and self.accepts.fullmatch(value))


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: what it is, where its value is read, what is known of it, and from where.

    `reads` is the variable or the dotted name (a name that ends in `()` is called); empty for what cannot be seen.
    """

    name: str
    kind: Kind
    about: str
    reads: str
    history: tuple[Entry, ...]
    evidence: tuple[Evidence, ...]
    source: str = ""
