"""Looking for the targets in what a user names, without importing any of it here."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from opscan.errors import SweepError
from opscan.isolation.client import isolated, stop_server
from opscan.isolation.outcome import Limits
from opscan.sweep.found import Found

_LIMITS = Limits(timeout_s=900.0)


def search(what: Sequence[str], every: bool = False, select: str | None = None) -> Found:
    """The targets in packages, modules, .py files and lists of targets, each once.

    With `every` all models of a registry, not one per family. `select` keeps those whose target or family matches the
    pattern. Raises OpscanError where there is none.
    """
    found = Found()
    try:
        for each in what:
            found += _find(each, every)
    finally:
        stop_server()
    return found if select is None else _selected(found, select)


def _find(what: str, every: bool) -> Found:
    from opscan.sweep.find import find

    outcome = isolated(find, (what, every), _LIMITS, ("opscan.scan",))
    if outcome.error is not None:
        raise outcome.error
    if not isinstance(outcome.value, Found):
        hint = "Importing one of its modules does that: name the others one by one."
        raise SweepError(f"{outcome.ended}, when its models were looked for", what, hint)
    return outcome.value


def _selected(found: Found, pattern: str) -> Found:
    kept = [each for each in found.listed if fnmatchcase(each.target, pattern) or fnmatchcase(each.family, pattern)]
    if not kept:
        raise SweepError(
            f"none of {len(found.listed)} targets matches {pattern!r}", "--select", "See them with --list."
        )
    return Found(tuple(kept), found.skipped, found.preload)
