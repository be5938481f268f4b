"""Read `*.settings.toml`: TOML in, validated settings out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import get_args

from opscan.errors import RulesError
from opscan.rules.load import Table, builtin_rules_dir, only_rows, read_toml
from opscan.rules.schema import DEVICES, Evidence, EvidenceKind
from opscan.settings.schema import UNSET, Changes, Entry, Kind, Moment, Setting

_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
_PYTHON = re.compile(r"torch(\.\w+)+(\(\))?")


def load_settings(*folders: Path) -> tuple[Setting, ...]:
    """The shipped settings, and those of further folders, in the order of the files and of the tables in them.

    Raises RulesError naming the file, the setting and the likely fix: unknown or missing keys, a name used
    twice, unreadable version ranges.
    """
    return _unique(
        setting
        for folder in (builtin_rules_dir(), *folders)
        for path in sorted(folder.glob("*.settings.toml"))
        for setting in read_settings(path)
    )


def _unique(settings: Iterable[Setting]) -> tuple[Setting, ...]:
    found: dict[str, Setting] = {}
    for setting in settings:
        first = found.setdefault(setting.name, setting)
        if first is not setting:
            where = f"{first.source} and {setting.source}"
            raise RulesError(f"the setting {setting.name} stands twice", where, "Write it into one table.")
    return tuple(found.values())


def read_settings(path: Path) -> Iterator[Setting]:
    """The settings of one file, in file order."""
    for row in only_rows(read_toml(path), path.name, "setting"):
        yield _read_setting(row, path.name)


def _read_setting(row: Table, source: str) -> Setting:
    row.place = f"{source} {row.content.get('name', '(setting without name)')}"
    name = row.text("name")
    kind: Kind = row.choice("kind", get_args(Kind))
    reads = (row.text("reads", required=False) or name) if kind != "unseen" else ""
    if reads and not (_VARIABLE if kind == "variable" else _PYTHON).fullmatch(reads):
        raise row.error(f"{reads!r} cannot be read", 'Read a VARIABLE, or a dotted name as "torch.get_num_threads()".')
    setting = Setting(
        name=name,
        kind=kind,
        about=row.text("about"),
        reads=reads,
        history=tuple(_read_entry(entry, kind, reads) for entry in row.rows("history")),
        evidence=tuple(_read_evidence(entry) for entry in row.rows("evidence")),
        source=source,
    )
    row.done()
    return setting


def _read_entry(entry: Table, kind: Kind, reads: str) -> Entry:
    wants = entry.texts("wants")
    write = entry.text("write", required=False)
    found = Entry(
        devices=entry.choices("device", DEVICES),
        torch=entry.specifier("torch"),
        changes=entry.choice("changes", get_args(Changes)),
        why=entry.text("why"),
        cuda=entry.specifier("cuda") if "cuda" in entry else None,
        wants=wants,
        accepts=_pattern(entry),
        only_if=entry.text("only_if", required=False),
        moment=entry.choice("moment", get_args(Moment)) if wants or write else "before the first forward",
        write=write,
    )
    entry.done()
    if kind == "unseen" and (wants or not write):
        raise entry.error("shows in no process", "It has no `wants`; say what to do in `write`.")
    if kind == "python" and wants and not write and reads.endswith("()"):
        raise entry.error("does not say how to set it", "Give the line in `write`.")
    if kind == "python" and UNSET in wants:
        raise entry.error("is never unset", "Only variables are.")
    if found.accepts and not wants:
        raise entry.error("has `accepts` without `wants`", "`wants` lists what to write; `accepts` what else will do.")
    return found


def _pattern(entry: Table) -> re.Pattern[str] | None:
    text = entry.text("accepts", required=False)
    try:
        return re.compile(text) if text else None
    except re.error as error:
        raise entry.error(f"`accepts` is {text!r}", f"It has to be a regular expression: {error}.") from error


def _read_evidence(entry: Table) -> Evidence:
    evidence = Evidence(entry.choice("kind", get_args(EvidenceKind)), entry.text("ref"))
    entry.done()
    return evidence
