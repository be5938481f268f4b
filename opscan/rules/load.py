"""Read rule files: TOML in, a validated Ruleset out. Strings and dicts end here."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from opscan.errors import RulesError
from opscan.formats.stored import read_stored
from opscan.rules.condition import Condition, ConditionError, parse_condition
from opscan.rules.schema import (
    DEVICES,
    Bits,
    BitsClaim,
    DefaultBehaviour,
    Evidence,
    EvidenceKind,
    History,
    Phase,
    Replacement,
    Rule,
    SameValues,
    StrictBehaviour,
)

_ID = re.compile(r"[A-Z]{2,12}\d{3,4}")
_OP = re.compile(r"\w+\.\w+(\.\w+)?")
_CALL = re.compile(r"\w+(\.\w+)+")


def builtin_rules_dir() -> Path:
    """Where the shipped rows are: beside this file in a wheel, at the top of a checkout otherwise."""
    packaged = Path(__file__).with_name("data")
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "rules"


@dataclass(frozen=True, slots=True)
class Ruleset:
    """All rules, indexed by what they name: an overload, an overload packet, or a public call."""

    rules: tuple[Rule, ...]
    by_op: Mapping[str, tuple[Rule, ...]]
    by_call: Mapping[str, tuple[Rule, ...]]

    def for_op(self, overload: str) -> tuple[Rule, ...]:
        """Rules that name `overload` (`aten.erf.default`) or its packet (`aten.erf`)."""
        found = self.by_op.get(overload, ())
        return found + self.by_op.get(overload.rpartition(".")[0], ())


def make_ruleset(rules: Iterable[Rule]) -> Ruleset:
    """Index the rules. Raises RulesError when two of them share an id."""
    ordered = sorted(rules, key=lambda rule: rule.id)
    for one, other in pairwise(ordered):
        if one.id == other.id:
            raise RulesError(
                f"id {one.id} is used twice", f"{one.source} and {other.source}", "Give one of the two rows a free id."
            )
    return Ruleset(
        tuple(ordered),
        _index((op, rule) for rule in ordered for op in rule.ops),
        _index((call, rule) for rule in ordered for call in rule.calls),
    )


def _index(pairs: Iterable[tuple[str, Rule]]) -> dict[str, tuple[Rule, ...]]:
    table: dict[str, tuple[Rule, ...]] = {}
    for key, rule in pairs:
        table[key] = (*table.get(key, ()), rule)
    return table


def load_rules(*folders: Path) -> Ruleset:
    """Read the shipped rules, and those of further folders beside them.

    The shipped ones are read once per process, others each time: they may have changed. Raises RulesError naming the
    file, the id and the likely fix: unknown or missing keys, duplicate ids, unreadable version ranges, conditions
    outside the language.
    """
    shipped = _shipped_rules()
    if not folders:
        return shipped
    return make_ruleset((*shipped.rules, *(rule for folder in folders for rule in read_folder(folder))))


@cache
def _shipped_rules() -> Ruleset:
    return make_ruleset(read_folder(builtin_rules_dir()))


def read_folder(folder: Path) -> Iterator[Rule]:
    """The rules of every rule file in a folder; files with two dots (`padding.cases.toml`) are something else."""
    files = sorted(path for path in folder.glob("*.toml") if "." not in path.stem)
    if not files:
        raise RulesError(
            "no rule files (*.toml) here", str(folder), "Name a folder that holds some; rules/README.md shows a row."
        )
    for path in files:
        yield from read_rules(path)


def read_rules(path: Path) -> Iterator[Rule]:
    """The rules of one file, in file order."""
    yield from rules_of(read_toml(path), path.name)


def read_toml(path: Path) -> dict[str, Any]:
    """The content of one TOML file. Raises RulesError when it is none."""
    content: dict[str, Any] = read_stored(
        path, tomllib.loads, lambda why: RulesError(f"not valid TOML: {why}", path.name, "Fix the syntax there.")
    )
    return content


def rules_of(content: dict[str, Any], source: str) -> Iterator[Rule]:
    """The rules of TOML that is read already; `source` says where it stood."""
    for row in only_rows(content, source, "rule"):
        yield _read_rule(row, source)


def only_rows(content: dict[str, Any], source: str, key: str) -> list[Table]:
    """The [[key]] tables of TOML that holds nothing else."""
    top = Table(content, source)
    rows = top.rows(key)
    top.done()
    return rows


def _read_rule(row: Table, source: str) -> Rule:
    row.place = f"{row.place} {row.content.get('id', '(row without id)')}"
    rule = Rule(
        id=row.text("id", matching=_ID),
        title=row.text("title"),
        phase=row.choice("phase", get_args(Phase)),
        mechanism=row.text("mechanism"),
        ops=row.texts("ops", matching=_OP),
        calls=row.texts("calls", matching=_CALL),
        params=row.texts("params"),
        when=row.conditions("when"),
        at_scale=row.conditions("at_scale"),
        scale=row.text("scale", required=False),
        bits=tuple(_read_bits(entry) for entry in row.rows("bits", required=False)),
        history=tuple(_read_history(entry) for entry in row.rows("history")),
        replacements=tuple(_read_replacement(entry) for entry in row.rows("replacement", required=False)),
        evidence=tuple(_read_evidence(entry) for entry in row.rows("evidence")),
        source=source,
    )
    row.done()
    if bool(rule.ops) == bool(rule.calls):
        raise row.error("names neither ops nor calls, or both", "Give exactly one of `ops` and `calls`.")
    if bool(rule.at_scale) != bool(rule.scale):
        raise row.error("has at_scale without scale, or the reverse", "`scale` says in words what `at_scale` tests.")
    if rule.calls and not rule.params:
        raise row.error("has calls but no params", "List the call's parameter names, in order, in `params`.")
    return rule


def _read_history(entry: Table) -> History:
    history = History(
        devices=entry.choices("device", DEVICES),
        torch=entry.specifier("torch"),
        default=entry.choice("default", get_args(DefaultBehaviour)),
        strict=entry.choice("strict", get_args(StrictBehaviour)),
        why=entry.text("why"),
        alert=entry.text("alert", required=False) or None,
        said_warn_only=entry.choice("warn_only", get_args(StrictBehaviour)) if "warn_only" in entry else None,
        via=entry.texts("via", matching=_CALL),
        when=entry.conditions("when"),
    )
    entry.done()
    if (history.strict == "raises") != (history.alert is not None):
        raise entry.error(
            'has strict = "raises" without an alert, or the reverse', "`alert` is the literal PyTorch prints."
        )
    return history


def _read_bits(entry: Table) -> BitsClaim:
    claim = BitsClaim(
        bits=entry.choice("bits", get_args(Bits)),
        why=entry.text("why"),
        devices=entry.choices("device", DEVICES) if "device" in entry else DEVICES,
        torch=entry.specifier("torch") if "torch" in entry else None,
        via=entry.texts("via", matching=_CALL),
        when=entry.conditions("when"),
        at_sizes=entry.conditions("at_sizes"),
    )
    entry.done()
    return claim


def _read_replacement(entry: Table) -> Replacement:
    replacement = Replacement(entry.text("name"), entry.choice("same_values", get_args(SameValues)), entry.text("how"))
    entry.done()
    return replacement


def _read_evidence(entry: Table) -> Evidence:
    evidence = Evidence(entry.choice("kind", get_args(EvidenceKind)), entry.text("ref"))
    entry.done()
    return evidence


class Table:
    """One TOML table being read: what is left over when it is `done` is an error."""

    def __init__(self, content: dict[str, Any], place: str) -> None:
        self.content = content
        self.place = place
        self.asked: list[str] = []

    def error(self, what: str, hint: str) -> RulesError:
        return RulesError(what, self.place, hint)

    def __contains__(self, key: str) -> bool:
        return key in self.content

    def take(self, key: str, kind: type, required: bool) -> Any:
        self.asked.append(key)
        if key not in self.content:
            if required:
                raise self.error(f"the key `{key}` is missing", f"Add `{key}`; rules/README.md shows a whole row.")
            return kind()
        value = self.content[key]
        if not isinstance(value, kind):
            raise self.error(f"`{key}` is a {type(value).__name__}", f"It has to be a {kind.__name__}.")
        return value

    def text(self, key: str, *, required: bool = True, matching: re.Pattern[str] | None = None) -> str:
        value: str = self.take(key, str, required)
        if required and not value.strip():
            raise self.error(f"`{key}` is empty", "Write it, or remove the row.")
        if matching and value and not matching.fullmatch(value):
            raise self.error(f"`{key}` is {value!r}", f"It has to look like {matching.pattern}.")
        return value

    def texts(self, key: str, *, required: bool = False, matching: re.Pattern[str] | None = None) -> tuple[str, ...]:
        values = self.take(key, list, required)
        for value in values:
            if not isinstance(value, str) or (matching and not matching.fullmatch(value)):
                raise self.error(
                    f"`{key}` holds {value!r}", f"It has to look like {matching.pattern if matching else 'text'}."
                )
        return tuple(values)

    def rows(self, key: str, *, required: bool = True) -> list[Table]:
        values = self.take(key, list, required)
        if required and not values:
            raise self.error(f"`{key}` has no entry", f"Add at least one [[{key}]] table.")
        for value in values:
            if not isinstance(value, dict):
                raise self.error(f"`{key}` holds {value!r}", f"Every entry has to be a [[{key}]] table.")
        return [Table(value, self.place) for value in values]

    def choice(self, key: str, allowed: tuple[str, ...]) -> Any:
        return self.choice_of(self.text(key), allowed, key)

    def choice_of(self, value: str, allowed: tuple[str, ...], key: str) -> Any:
        if value not in allowed:
            raise self.error(f"`{key}` is {value!r}", f"{_meant(value, allowed)}Allowed: {', '.join(allowed)}.")
        return value

    def choices(self, key: str, allowed: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(self.choice_of(word, allowed, key) for word in self.texts(key, required=True))

    def specifier(self, key: str) -> SpecifierSet:
        text = self.text(key)
        try:
            return SpecifierSet(text)
        except InvalidSpecifier as error:
            raise self.error(f"`{key}` is {text!r}", 'Write a version range like ">=2.2,<2.8".') from error

    def conditions(self, key: str) -> tuple[Condition, ...]:
        try:
            return tuple(parse_condition(text) for text in self.texts(key))
        except ConditionError as error:
            raise self.error(str(error), "rules/README.md lists the functions and operators.") from error

    def done(self) -> None:
        for key in self.content:
            if key not in self.asked:
                raise self.error(
                    f"unknown key `{key}`", f"{_meant(key, tuple(self.asked))}Known: {', '.join(self.asked)}."
                )


def _meant(word: str, allowed: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(word, allowed, n=1)
    return f"Did you mean `{close[0]}`? " if close else ""
