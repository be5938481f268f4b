"""What stays the same of a finding's place while lines move: names and the text of the line, never its number."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from opscan.blame import source_lines
from opscan.finding import Finding, Line, Place

_LENGTH = 16


def place_fingerprints(finding: Finding) -> list[str]:
    """One for each place: rule, op, phase, module and, where the module's own code calls the op, the text of that line.

    Places that have all of these in common are numbered in their order.
    """
    keys = [(finding.rule, finding.op, finding.phase, place.module, code_of(place)) for place in finding.places]
    return [fingerprint((*key, str(at))) for key, at in zip(keys, _numbered(keys), strict=True)]


def fingerprint(words: Iterable[str]) -> str:
    """A short hash of words."""
    joined = "\0".join(words).encode("utf-8", "surrogatepass")
    return hashlib.sha256(joined).hexdigest()[:_LENGTH]


def code_of(place: Place) -> str:
    """The text of the line that calls the op; "" for a module of torch's own, whose path says enough."""
    return "" if place.stock else line_text(place.called)


def line_text(line: Line | None) -> str:
    """The text of a source line without its margins; "" if it cannot be read."""
    return "".join(source_lines(line.file)[line.line - 1 : line.line]).strip() if line is not None else ""


def target_identity(label: str) -> str:
    """A target's name without what differs from machine to machine: of a file outside the current folder its name."""
    name, bracket, arguments = label.partition("(")
    path, colon, rest = name.rpartition(":")
    if not path.endswith(".py"):
        return label
    relative = os.path.relpath(path)
    shown = Path(path).name if relative.startswith(os.pardir) else Path(relative).as_posix()
    return f"{shown}{colon}{rest}{bracket}{arguments}"


def _numbered(keys: Iterable[object]) -> list[int]:
    seen = Counter[object]()
    numbers = []
    for key in keys:
        numbers.append(seen[key])
        seen[key] += 1
    return numbers
