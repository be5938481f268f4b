"""The nouns of the rules database: a rule, its history per torch version, its replacements and evidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet

    from opscan.rules.condition import Condition

Verdict = Literal["raises", "switches", "silent", "config", "random", "uninitialized"]
Device = Literal["cuda", "mps", "cpu"]
Phase = Literal["forward", "backward"]
DefaultBehaviour = Literal["nondeterministic", "deterministic", "setting", "seeded", "uninitialized"]
StrictBehaviour = Literal["raises", "deterministic", "nondeterministic", "setting", "seeded", "filled"]
Bits = Literal["vary", "cannot vary", "unknown"]
SameValues = Literal["bitwise", "rounding", "different"]
EvidenceKind = Literal["binary", "source", "test", "issue", "docs", "observed"]

VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
DEVICES: tuple[Device, ...] = get_args(Device)


def verdict_of(default: DefaultBehaviour, strict: StrictBehaviour) -> Verdict | None:
    """The one verdict that follows from what the two modes do; None when nothing is to be reported."""
    match default, strict:
        case "setting", _:
            return "config"
        case "seeded", _:
            return "random"
        case "uninitialized", _:
            return "uninitialized"
        case _, "raises":
            return "raises"
        case "nondeterministic", "deterministic":
            return "switches"
        case "nondeterministic", _:
            return "silent"
    return None


@dataclass(frozen=True, slots=True)
class History:
    """What one range of torch versions does on some devices; the first entry that fits decides.

    `via` narrows the entry to ops reached through one of these public functions, because some of
    them take another path in Python before the op is ever dispatched.
    """

    devices: tuple[Device, ...]
    torch: SpecifierSet
    default: DefaultBehaviour
    strict: StrictBehaviour
    why: str
    alert: str | None = None
    said_warn_only: StrictBehaviour | None = None
    via: tuple[str, ...] = ()
    when: tuple[Condition, ...] = ()

    @property
    def verdict(self) -> Verdict | None:
        return verdict_of(self.default, self.strict)

    @property
    def warn_only(self) -> DefaultBehaviour | StrictBehaviour:
        """What strict mode with warn_only=True does: an op that would raise warns, and runs as in default mode."""
        return self.said_warn_only or (self.default if self.strict == "raises" else self.strict)


@dataclass(frozen=True, slots=True)
class BitsClaim:
    """What is established on whether the result can differ from run to run; it counts where it certainly fits.

    `at_sizes` are conditions on how much data there is: met for assumed inputs, they only make the answer "unknown".
    """

    bits: Bits
    why: str
    devices: tuple[Device, ...] = DEVICES
    torch: SpecifierSet | None = None
    via: tuple[str, ...] = ()
    when: tuple[Condition, ...] = ()
    at_sizes: tuple[Condition, ...] = ()


@dataclass(frozen=True, slots=True)
class Replacement:
    """What to write instead. `same_values`: bitwise equal, equal to rounding, or different on purpose."""

    name: str
    same_values: SameValues
    how: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where a claim comes from: a binary fact, a source line, a test, an issue, the docs, an observed run."""

    kind: EvidenceKind
    ref: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One row: everything known about one nondeterministic mechanism.

    A rule names either ATen ops (`ops`: overloads as `str(OpOverload)` prints them, or overload
    packets) or public composite calls (`calls`, with the names of their parameters in `params`).
    """

    id: str
    title: str
    phase: Phase
    mechanism: str
    history: tuple[History, ...]
    evidence: tuple[Evidence, ...]
    ops: tuple[str, ...] = ()
    calls: tuple[str, ...] = ()
    params: tuple[str, ...] = ()
    when: tuple[Condition, ...] = ()
    at_scale: tuple[Condition, ...] = ()
    scale: str = ""
    bits: tuple[BitsClaim, ...] = ()
    replacements: tuple[Replacement, ...] = ()
    source: str = ""
