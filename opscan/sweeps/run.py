"""A sweep from end to end: find the targets, scan what no journal has, and put the rows in order."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from opscan import __version__
from opscan.config import find_config
from opscan.environment import Strictness, make_environment
from opscan.isolation.outcome import Limits
from opscan.report.words import describe_environment
from opscan.sweeps.code import code_of, source_of
from opscan.sweeps.found import Found, Listed
from opscan.sweeps.journal import Journal
from opscan.sweeps.packages import needs
from opscan.sweeps.parallel import BACKENDS, Backend, spread
from opscan.sweeps.row import Row
from opscan.sweeps.search import search
from opscan.sweeps.table import Setting, Sweep
from opscan.sweeps.task import Settings, scan_isolated


def sweep(
    what: str | Sequence[str],
    *,
    select: str | None = None,
    every: bool = False,
    device: str = "auto",
    torch_version: str | None = None,
    strict: Strictness = None,
    mode: str = "train",
    rules: Sequence[str | os.PathLike[str]] = (),
    timeout_s: float = 60.0,
    memory_bytes: int | None = 4 << 30,
    jobs: int | None = None,
    backend: str = "loky",
    cluster: str | None = None,
    journal: str | os.PathLike[str] | None = None,
    fresh: bool = False,
) -> Sweep:
    """Scan every model of packages, modules, .py files or lists of targets, each in a process of its own.

    `what` names them; `select` is a pattern for targets or families, and `every` takes all models of a registry instead
    of one per family. Each target has `timeout_s` seconds and `memory_bytes` bytes (None: no limit); whatever it does
    costs no more than its row. `jobs` run at once (default: one per core) through joblib's `backend` "loky", "dask" or
    "ray", the last two on a local cluster unless `cluster` is the address of another. Finished rows are kept in the
    file `journal`, and not scanned again unless `fresh`. The other arguments are those of `check`. The rows are in the
    order of the targets, whichever backend ran them.

    Needs joblib, and tqdm at a terminal: pip install "opscan[sweep]". Raises OpscanError if there is nothing to scan or
    the sweep cannot go on, and ValueError for arguments that make no sense.
    """
    if mode not in ("train", "eval"):
        raise ValueError(f"mode must be train or eval, not {mode!r}")
    if backend not in BACKENDS:
        raise ValueError(f"backend must be one of {', '.join(BACKENDS)}, not {backend!r}")
    needs("joblib")
    names = (what,) if isinstance(what, str) else tuple(what)
    settings = Settings(
        make_environment(device, torch_version, strict),
        mode,
        tuple(str(Path(folder).resolve()) for folder in rules),
        Limits(timeout_s, memory_bytes),
    )
    where = Backend(backend, jobs or os.cpu_count() or 1, cluster)
    return scan_found(names, search(names, every, select), settings, where, Path(journal) if journal else None, fresh)


def scan_found(
    names: Sequence[str],
    found: Found,
    settings: Settings,
    backend: Backend,
    journal: Path | None = None,
    fresh: bool = False,
) -> Sweep:
    """Scan what was found by the names a user gave; the arguments are those of `sweep`."""
    settings = replace(settings, folder=os.getcwd(), preload=found.preload)
    book = None if journal is None else Journal(journal, partial(_key, _common_key(settings)), fresh)
    rows = dict(book.done) if book else {}
    left = [each for each in found.listed if each.target not in rows]
    with (
        _bar(len(found.listed), len(found.listed) - len(left)) as advance,
        closing(_rows(left, settings, backend)) as new,
    ):
        for row in new:
            rows[row.target] = row
            advance()
            if book:
                book.add(row)
    environment = describe_environment(settings.environment)
    setting = Setting(", ".join(map(source_of, names)), environment, settings.mode, __version__)
    return Sweep(setting, tuple(replace(rows[each.target], family=each.family) for each in found.listed), found.skipped)


def _rows(left: Sequence[Listed], settings: Settings, backend: Backend) -> Generator[Row]:
    """The rows of the targets, as they are done."""
    if not left:
        return
    for at, row in spread(_Scan(settings), left, backend):
        if isinstance(row, BaseException):
            lost = f"three workers in a row were killed with it under way ({type(row).__name__})"
            row = Row(left[at].target, left[at].family, reason=lost)
        yield row


@dataclass(frozen=True)
class _Scan:
    """`scan_isolated` with its settings: what a worker is sent."""

    settings: Settings

    def __call__(self, listed: Listed) -> Row:
        return scan_isolated(listed, self.settings)


def _common_key(settings: Settings) -> dict[str, Any]:
    """What every row depends on besides its own code: opscan and its rules, torch, the question, and the limits."""
    config = find_config(Path.cwd())
    rules = config.ruleset(*map(Path, settings.rules))
    inputs = [repr(each) for each in config.inputs]
    return {
        **({"inputs": inputs} if inputs else {}),
        "opscan": __version__,
        "rules": hashlib.sha256(repr(rules.rules).encode()).hexdigest()[:16],
        "torch": metadata.version("torch"),
        "environment": describe_environment(settings.environment),
        "mode": settings.mode,
        "limits": asdict(settings.limits),
    }


def _key(common: dict[str, Any], target: str) -> dict[str, Any]:
    return {**common, "code": code_of(target)}


@contextmanager
def _bar(total: int, done: int) -> Iterator[Any]:
    """A function to call when one more is done: it moves a progress bar on stderr, for a person at a terminal."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    with needs("tqdm").tqdm(total=total, initial=done, unit="model", desc="opscan sweep", leave=False) as bar:
        yield bar.update
