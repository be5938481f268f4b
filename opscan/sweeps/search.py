"""Looking for the targets in what a user names, without importing any of it here."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from opscan.errors import SweepError
from opscan.isolation.client import isolated, stop_server
from opscan.isolation.outcome import Limits
from opscan.progress import progress
from opscan.sweeps.found import Found, Listed

_LIMITS = Limits(timeout_s=900.0)
_TARGET = re.compile(r".+:[^\W\d][\w.]*\s*(\(.*\))?", re.DOTALL)


def search(what: Sequence[str], every: bool = False, select: str | None = None) -> Found:
    """The targets in packages, modules, .py files and lists of targets, each once.

    With `every` all models of a registry, not one per family. `select` keeps those whose target or family matches the
    pattern. Raises OpscanError where there is none.
    """
    found = Found()
    try:
        for each in what:
            with progress(f"looking for models in {each}"):
                found += _find(each, every)
    finally:
        stop_server()
    return found if select is None else _selected(found, select)


def _find(what: str, every: bool) -> Found:
    if _TARGET.fullmatch(what):
        return Found((Listed(what),))
    if not what.endswith(".py") and os.path.isfile(what):
        return _lines_of(Path(what))
    outcome = isolated(_find_there, (what, every), _LIMITS, Found)
    if outcome.error is not None:
        raise outcome.error
    if not isinstance(outcome.value, Found):
        hint = "Importing one of its modules does that: name the others one by one."
        raise SweepError(f"{outcome.ended}, when its models were looked for", what, hint)
    return outcome.value


def _lines_of(path: Path) -> Found:
    """One target per line; # begins a comment. Packages named more than once are worth importing only once."""
    try:
        lines = [line.partition("#")[0].strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise SweepError("is not a text file", str(path), "Write one target per line.") from error
    listed = tuple(Listed(line) for line in lines if line)
    packages = Counter(each.target.partition(":")[0].partition(".")[0] for each in listed if ".py:" not in each.target)
    return Found(listed, preload=tuple(name for name, count in packages.items() if count > 1))


def _find_there(what: str, every: bool) -> Found:
    """In the other process: this one does not load torch."""
    from opscan.sweeps.find import find

    return find(what, every)


def _selected(found: Found, pattern: str) -> Found:
    kept = [each for each in found.listed if fnmatchcase(each.target, pattern) or fnmatchcase(each.family, pattern)]
    if not kept:
        raise SweepError(
            f"none of {len(found.listed)} targets matches {pattern!r}", "--select", "See them with --list."
        )
    return Found(tuple(kept), found.skipped, found.preload)
