"""One target: scanned in a process of its own, so that whatever it does costs no more than its row."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from opscan.environment import Environment
from opscan.errors import OpscanError
from opscan.isolation.client import isolated
from opscan.isolation.outcome import Limits, is_out_of_memory
from opscan.sweeps.found import Listed
from opscan.sweeps.reason import reason_of
from opscan.sweeps.row import Row

_SCANNER = "opscan.sweeps.scanner"


@dataclass(frozen=True, slots=True)
class Settings:
    """What is the same for all targets of a sweep: what the answer is for, the limits, and where the sweep began."""

    environment: Environment
    mode: str = "train"
    rules: tuple[str, ...] = ()
    limits: Limits = field(default_factory=lambda: Limits(60.0, 4 << 30))
    folder: str = ""
    preload: tuple[str, ...] = ()


def scan_isolated(listed: Listed, settings: Settings) -> Row:
    """Scan one target in a process of its own. Whatever comes of it is a Row: nothing is raised."""
    with suppress(OSError):  # a worker on another machine may not have the folder
        os.chdir(settings.folder)
    try:
        outcome = isolated(scan_row, (listed, settings), settings.limits, Row, (_SCANNER, *settings.preload))
    except OpscanError as error:
        return Row(listed.target, listed.family, reason=reason_of(error))
    except OSError as error:
        return Row(listed.target, listed.family, reason=f"no process could be started for it: {error.strerror}")
    row = outcome.value
    if not isinstance(row, Row):
        reason = reason_of(outcome.error) if outcome.error else outcome.ended
        row = Row(listed.target, listed.family, reason=reason or "ended without a word")
    return replace(row, seconds=outcome.seconds, peak_bytes=outcome.peak_bytes)


def scan_row(listed: Listed, settings: Settings) -> Row:
    """Scan one target right here. Raises what scanning raises, and MemoryError if that was for want of memory."""
    from opscan.config import find_config
    from opscan.sweeps.row import row_of
    from opscan.sweeps.scanner import build_named, scan_target

    config = find_config(Path.cwd())
    try:
        built, rebuild = build_named(listed.target, settings.environment)
        report = scan_target(
            built,
            None,
            settings.environment,
            mode="train" if settings.mode == "train" else "eval",
            rules=config.ruleset(*map(Path, settings.rules)),
            configured=config.inputs,
            rebuild=rebuild,
        )
    except OpscanError as error:
        if is_out_of_memory(error):
            raise MemoryError from error
        raise
    return row_of(report, listed.family)
