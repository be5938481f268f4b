"""Reading a JSON document of findings back: strings and dictionaries end here."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, get_args

from opscan.errors import DocumentError
from opscan.formats.stored import read_stored
from opscan.report.document import SCHEMA
from opscan.rules.schema import Bits, DefaultBehaviour, StrictBehaviour, Verdict

_AGAIN = "Write it with `opscan check ... --format json`."
_BEHAVIOUR = {
    "verdict": get_args(Verdict),
    "default": get_args(DefaultBehaviour),
    "strict": get_args(StrictBehaviour),
    "warn_only": get_args(DefaultBehaviour) + get_args(StrictBehaviour),
    "bits": get_args(Bits),
}
"""What is said of a place, and the words for it."""


@dataclass(frozen=True, slots=True)
class Spotted:
    """One place of one finding: what it is called by, and what is said of it there.

    `line` is for people, "file:line"; `reason` is that of the waiver that accepts it; `ranks` are those that have it,
    None for all.
    """

    fingerprint: str
    rule: str
    op: str
    phase: str
    module: str
    code: str
    line: str
    count: int
    behaviour: tuple[str, ...]
    reason: str | None = None
    ranks: tuple[int, ...] | None = None

    @property
    def kin(self) -> tuple[str, ...]:
        """What a place keeps although its line was rewritten."""
        return (self.rule, self.op, self.phase, self.module)

    @property
    def verdict(self) -> str:
        """The verdict on it."""
        return self.behaviour[0]

    @property
    def is_harmless(self) -> bool:
        """Whether it neither varies nor stops a run."""
        return self.behaviour[-1] == "cannot vary" and self.verdict in ("switches", "silent")


@dataclass(frozen=True, slots=True)
class ReadReport:
    """One report of a document: its target, what it is for in words, its places and the ops that no rule speaks for.

    `world` is how many ranks it is about, and whether they all ran; None for a single process.
    """

    target: str
    environment: Mapping[str, object]
    places: tuple[Spotted, ...]
    unknown: frozenset[str]
    world: tuple[int, bool] | None = None


def read_document(path: str) -> list[ReadReport]:
    """The reports of a document in a file. Raises DocumentError, naming the file and what to do."""
    hint = f"Name a file of earlier findings. {_AGAIN}"
    content = read_stored(path, json.loads, lambda why: DocumentError(f"cannot be read: {why}", path, hint), True)
    if not isinstance(content, dict) or not isinstance(content.get("reports"), list):
        raise DocumentError("is no document of opscan check: it has no list `reports`", path, _AGAIN)
    schema = content.get("schema")
    if type(schema) is not int or schema < 1:
        raise DocumentError(f"its schema is {schema!r}, which is none", path, _AGAIN)
    if schema > SCHEMA:
        what = f"has schema {schema}, written by opscan {content.get('opscan')}; this opscan reads schema {SCHEMA}"
        raise DocumentError(what, path, f"Upgrade opscan, or write it again with this one. {_AGAIN}")
    return [read_report(each, f"{path} reports[{at}]") for at, each in enumerate(content["reports"])]


def read_report(content: Any, where: str) -> ReadReport:
    """A report of a document. Raises DocumentError, naming the place in it."""
    target = _get(content, "target", str, where)
    environment = _get(content, "environment", dict, where)
    unknown = _get(content, "unknown", dict, where)
    places = [
        place
        for at, each in enumerate(_get(content, "findings", list, where))
        for place in _places(each, f"{where}.findings[{at}]")
    ]
    return ReadReport(target, environment, tuple(places), frozenset(unknown), _world(content, where))


def _world(content: Any, where: str) -> tuple[int, bool] | None:
    """A document of an older opscan has none."""
    world = content.get("world")
    if world is None:
        return None
    return _get(world, "size", int, f"{where}.world"), _get(world, "real", bool, f"{where}.world")


def _places(finding: Any, where: str) -> Iterator[Spotted]:
    rule, op, phase = (_get(finding, key, str, where) for key in ("rule", "op", "phase"))
    behaviour = tuple(_word(finding, key, where) for key in _BEHAVIOUR)
    waived = finding.get("waived")
    reason = _get(waived, "reason", str, f"{where}.waived") if waived is not None else None
    ranks = _ranks(finding, where) if finding.get("ranks") is not None else None
    for at, place in enumerate(_get(finding, "places", list, where)):
        there = f"{where}.places[{at}]"
        yield Spotted(
            _get(place, "fingerprint", str, there),
            rule,
            op,
            phase,
            _get(place, "module", str, there),
            _get(place, "code", str, there),
            _line(place, there),
            _get(place, "count", int, there),
            behaviour,
            reason,
            ranks,
        )


def _ranks(finding: Any, where: str) -> tuple[int, ...]:
    ranks = tuple(_get(finding, "ranks", list, where))
    if not all(type(each) is int for each in ranks):
        raise DocumentError("`ranks` holds what is no number", where, _AGAIN)
    return ranks


def _line(place: dict[str, Any], where: str) -> str:
    """Where it is called, else where it was built, as the JSON has it."""
    line = place.get("called") or place.get("constructed")
    return f"{_get(line, 'file', str, where)}:{_get(line, 'line', int, where)}" if line else ""


def _word(finding: Any, key: str, where: str) -> str:
    word: str = _get(finding, key, str, where)
    if word not in _BEHAVIOUR[key]:
        raise DocumentError(f"`{key}` is {word!r}, which means nothing", where, _AGAIN)
    return word


def _get(content: Any, key: str, kind: type, where: str) -> Any:
    value = content.get(key) if isinstance(content, dict) else None
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        raise DocumentError(f"`{key}` is missing or no {kind.__name__}", where, _AGAIN)
    return value
