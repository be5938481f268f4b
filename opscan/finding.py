"""Findings: what opscan has to say, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from opscan.rules.schema import Bits, DefaultBehaviour, Replacement, StrictBehaviour, Verdict


class Line(NamedTuple):
    """A source line; a notebook cell has a name for a file."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Place:
    """One place an op is reached from: the module, where it was built, where it was called, and how often.

    `for_inputs` is True for a backward op that runs only when the model's own inputs need a gradient: no weight stands
    before it.
    """

    module: str
    constructed: Line | None
    called: Line | None
    count: int
    for_inputs: bool = False


class NewerTorch(NamedTuple):
    """The first torch that alone solves a finding: from there on the op repeats in strict mode, or in both."""

    torch: str
    default: DefaultBehaviour
    strict: StrictBehaviour


@dataclass(frozen=True, slots=True)
class Finding:
    """Equal ops under one rule, grouped: everything there is to say about them.

    `default`, `strict` and `warn_only` are what the three modes do here, `message` says why in words. `bits` is whether
    the result can differ from run to run at all, with the reason in `bits_why`. `alert` is the literal that PyTorch
    prints in its RuntimeError, when strict mode raises. `newer_torch` is the release that solves it, if one does.
    `predicted` is the verdict the rules give; `observed` is None until a real device was asked.
    """

    rule: str
    title: str
    verdict: Verdict
    op: str
    phase: str
    module_type: str
    places: tuple[Place, ...]
    default: DefaultBehaviour
    strict: StrictBehaviour
    warn_only: DefaultBehaviour | StrictBehaviour
    bits: Bits
    bits_why: str
    alert: str | None
    message: str
    replacements: tuple[Replacement, ...]
    newer_torch: NewerTorch | None
    predicted: Verdict | None
    observed: Verdict | None = None

    @property
    def count(self) -> int:
        """How many times the op ran."""
        return sum(place.count for place in self.places)

    @property
    def harmless(self) -> bool:
        """Whether it neither varies nor stops a run: strict mode picks another kernel, or none, for nothing."""
        return self.bits == "cannot vary" and self.verdict in ("switches", "silent")

    @property
    def modules(self) -> tuple[str, ...]:
        """Paths of the modules concerned, each once, in the order they were met; "" is the model itself."""
        return tuple(dict.fromkeys(place.module for place in self.places))

    @property
    def constructed(self) -> tuple[Line, ...]:
        """The lines where the modules concerned were built, each once."""
        return tuple(dict.fromkeys(place.constructed for place in self.places if place.constructed))

    @property
    def called(self) -> tuple[Line, ...]:
        """The lines where they were called, each once."""
        return tuple(dict.fromkeys(place.called for place in self.places if place.called))
