"""Lines that a finding is to be shown at: one for each that the user would edit."""

from __future__ import annotations

from typing import NamedTuple

from opscan.blame import is_users_own
from opscan.finding import Finding, Line, Place, Remedy
from opscan.remedies.calls import Span, span_of
from opscan.report.fingerprint import fingerprint, line_text, target_identity


class Spot(NamedTuple):
    """A line, None where none is known, and the places of a finding that it leads to."""

    line: Line | None
    places: tuple[Place, ...]

    @property
    def span(self) -> Span | None:
        """The call in that line that the op comes from, if it is known."""
        if self.line is None:
            return None
        place = self.places[0]
        names = (place.stock,) if place.stock and self.line == place.constructed else place.public
        return span_of(self.line, names)

    @property
    def modules(self) -> tuple[str, ...]:
        """The paths of the modules concerned, each once."""
        return tuple(dict.fromkeys(place.module for place in self.places))


def spots(finding: Finding) -> list[Spot]:
    """The lines of a finding, in the order of its places."""
    found: dict[Line | None, list[Place]] = {}
    for place in finding.places:
        found.setdefault(_line(place), []).append(place)
    return [Spot(line, tuple(places)) for line, places in found.items()]


def _line(place: Place) -> Line | None:
    """Where a module of torch's own was built, else where the op was called; the user's own file before another."""
    ways = (place.constructed, place.called) if place.stock else (place.called, place.constructed)
    known = [line for line in ways if line is not None]
    return next((line for line in known if is_users_own(line.file)), known[0] if known else None)


def spot_fingerprint(target: str, finding: Finding, spot: Spot) -> str:
    """What a spot keeps while lines move: target, rule, op, phase and the line's text, or without one the modules."""
    text = line_text(spot.line)
    return fingerprint(
        (target_identity(target), finding.rule, finding.op, finding.phase, *([text] if text else spot.modules))
    )


def remedies_at(finding: Finding, spot: Spot) -> list[Remedy]:
    """The drop-ins that can be written at a spot."""
    span = spot.span
    lines = {spot.line.line, *([span.line] if span else [])} if spot.line else set()
    return [
        each
        for each in finding.remedies
        if each.after and each.line and spot.line and each.line.file == spot.line.file and each.line.line in lines
    ]
