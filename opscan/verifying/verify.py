"""`verify`: run something twice, find the first place where the runs part, and look closer there."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from opscan.errors import VerifyError
from opscan.verifying.cause import Cause, explain
from opscan.verifying.compare import Compared, Comparison
from opscan.verifying.drift import RankComparison, Ranks
from opscan.verifying.drift_words import drift_causes, replica_words
from opscan.verifying.options import Options
from opscan.verifying.outcome import Verification
from opscan.verifying.runs import Function, Run, Script
from opscan.verifying.stream import Record, read_header, read_records
from opscan.writing import make_folder

_ATTEMPTS = 3
"""Pairs of runs made to find the op, where runs part in another step each time."""


def verify(
    target: str | Callable[[], Any],
    *,
    runs: int = 2,
    args: Sequence[str] = (),
    ops: str = "auto",
    every: int = 1,
    modules: Sequence[str] = (),
    steps: int | None = None,
    timeout: float | None = None,
    ranks: int = 1,
    keep: str | Path | None = None,
) -> Verification:
    """Run `target` several times and compare the runs bit by bit.

    `target` is a script ("train.py"), a function by name ("mod:train"), each run in a fresh process with `args`, or a
    function, which is called in this process. `ops` is "auto" (those of the first step, and of the step where runs
    part), "all" or "none"; `modules` are patterns of module paths that narrow them. Parameters are compared every
    `every` steps. A run ends after `steps` steps, or `timeout` seconds. `ranks` processes are run by torchrun. The
    records are kept in the folder `keep`. Raises VerifyError where nothing could be recorded, ValueError for arguments
    that make no sense.
    """
    if runs < 2 or every < 1 or ops not in ("auto", "all", "none") or ranks < 1:
        raise ValueError(f"runs >= 2, every >= 1, ranks >= 1, ops auto, all or none: {runs}, {every}, {ranks}, {ops!r}")
    name = target if isinstance(target, str) else getattr(target, "__qualname__", "function")
    runner = Script(target, tuple(args), timeout, ranks) if isinstance(target, str) else Function(target)
    asked = {"auto": (0, 0), "all": (0, 1 << 60), "none": None}[ops]
    options = Options(asked, every, tuple(modules), steps)
    with folder_for(keep) as folder:
        search = Search(runner, folder)
        found, failures = search.compare_runs(options, runs)
        compared = compared_ranks(search.first)
        cause = explain(found)
        if cause is not None and not cause.explained:
            cause = search.look_closer(cause, options, ops == "auto")
        made = verification(name, found, cause, failures, search.headers)
        return replace(made, drifts=drift_causes(compared), replicas=tuple(replica_words(compared)))


class Search:
    """Makes runs and compares them; every run has a number, and its records a file of that number."""

    def __init__(self, runner: Script | Function, folder: Path) -> None:
        self.headers: list[Record] = []
        self.first = Run(())
        self._runner = runner
        self._folder = folder
        self._made = 0

    def compare_runs(
        self, options: Options, runs: int = 2, env: dict[str, str] | None = None
    ) -> tuple[Compared, tuple[str, ...]]:
        """Run it `runs` times, and compare each with the first until one parts from it."""
        first = self._record(options, env)
        self.first = self.first if self.first.paths else first
        failures = [first.failure]
        for _ in range(runs - 1):
            path = self._next_path()
            found, run = compare_while(first, self._runner, path, options, env)
            failures.append(run.failure)
            if found.first is not None or any(failures):
                break
        self.headers = self.headers or [read_header(first.paths[0]), read_header(run.paths[0])]
        return found, tuple(failures)

    def _record(self, options: Options, env: dict[str, str] | None) -> Run:
        run = self._runner.record(self._next_path(), options, env)
        if not run.is_recorded:
            raise VerifyError(f"the run could not be recorded: {run.failure}", "", "Try the command by itself first.")
        return run

    def _next_path(self) -> Path:
        self._made += 1
        return self._folder / f"run{self._made}.opslog"

    def look_closer(self, cause: Cause, options: Options, ops: bool) -> Cause:
        """Make further pairs of runs: with one order of sets, and with every op of the step where runs parted."""
        near = replace(options, stop=cause.step + 1)
        if cause.kind != "op" and self._runner.fresh and self.headers[0]["hash_seed"] == "random":
            again = explain(self.compare_runs(near, env={"PYTHONHASHSEED": "0"})[0])
            if again is None or again.step > cause.step:
                return self._of_sets(cause)
        for _ in range(_ATTEMPTS if ops and cause.kind in ("value", "step") else 0):
            near = replace(options, ops=(cause.step, cause.step), stop=cause.step + 1)
            again = explain(self.compare_runs(near)[0])
            if again is None:
                return cause.with_line("again", "another pair of runs did not part there: it does not come every time")
            if again.kind not in ("value", "step"):
                return again.with_line("found", "by a second pair of runs, with every op of that step")
            cause = again
        return cause

    def _of_sets(self, cause: Cause) -> Cause:
        from opscan.verifying.sets import set_lines

        words = "with PYTHONHASHSEED=0 the runs agree here: the order of a set, or hash() of a text, decides"
        cause = replace(cause, explained=True).with_line("hash", words)
        for line in set_lines(self._runner):
            cause = cause.with_line("set", line)
        return replace(cause, advice="Sort it: sorted(...) in place of the set's own order.")


def compare_while(
    first: Run, runner: Script | Function, path: Path, options: Options, env: dict[str, str] | None
) -> tuple[Compared, Run]:
    """Make a run, and compare it with the first one as it goes on; of several ranks the one that parts first counts."""
    over = threading.Event()
    found: dict[int, Compared | BaseException] = {}

    def compare(at: int, one: Path, other: Path) -> None:
        try:
            while not other.exists() and not over.wait(0.02):
                pass
            later = read_records(other, over.is_set) if other.exists() else iter(())
            found[at] = Comparison().run(read_records(one), later)
        except BaseException as error:  # told where it can be raised
            found[at] = error

    pairs = zip(first.paths, runner.paths(path), strict=True)
    threads = [threading.Thread(target=compare, args=(at, *pair), daemon=True) for at, pair in enumerate(pairs)]
    if runner.fresh:
        for thread in threads:
            thread.start()
    try:
        run = runner.record(path, options, env)
    finally:
        over.set()
    for thread in threads:
        if not runner.fresh:
            thread.start()
        thread.join()
    if not run.is_recorded:
        raise VerifyError(f"the second run could not be recorded: {run.failure}", "", "Try it by itself first.")
    for one, other in zip(first.started, run.started, strict=False):
        compare(len(found), one, other)
    return first_of([found[at] for at in sorted(found)]), run


def first_of(found: Sequence[Compared | BaseException]) -> Compared:
    """The comparison that parts in the earliest step, of those of several ranks.

    Of those in one step the one whose cause is known: what ranks have from one another differs on all of them.
    """
    for each in found:
        if isinstance(each, BaseException):
            raise each
    return min((each for each in found if isinstance(each, Compared)), key=_place)


def _place(compared: Compared) -> tuple[bool, int, bool, int]:
    cause = explain(compared)
    told = -sum(compared.counts.values())
    return (True, 0, False, told) if cause is None else (False, cause.step, not cause.explained, told)


def compared_ranks(run: Run) -> Ranks:
    """The ranks of one run beside one another, those that it started itself too; nothing where there is but one."""
    ranks: dict[int, Path] = {}
    for path in (*run.paths, *run.started):
        told = next((each for each in read_records(path) if each["e"] == "copies"), None)
        if told is not None:
            ranks.setdefault(told["rank"], path)
    if len(ranks) < 2:
        return Ranks()
    return RankComparison().run({rank: read_records(path) for rank, path in ranks.items()})


def verification(
    name: str, found: Compared, cause: Cause | None, failures: tuple[str, ...], headers: Sequence[Record]
) -> Verification:
    """Put the answer together. Raises VerifyError where nothing was recorded that could be compared."""
    if (
        not any(found.counts.get(kind) for kind in ("draw", "batch", "value", "step", "weights", "op"))
        and cause is None
    ):
        what = f"nothing to compare: {failures[0]}" if failures and failures[0] else "the run told nothing to compare"
        raise VerifyError(what, name, 'Tell what counts: opscan.log("loss", value)')
    notes = tuple(_differing(headers))
    return Verification(name, cause, min(found.steps), found.counts, found.growth, failures=failures, notes=notes)


def _differing(headers: Sequence[Record]) -> Iterator[str]:
    """What the machines have that is not alike."""
    for key in ("opscan", "python", "machine", "words"):
        values = list(dict.fromkeys(str(each.get(key)) for each in headers))
        if len(values) > 1:
            yield f"not made alike: {key} {' and '.join(values)}"


def compare_files(one: Path, other: Path) -> Verification:
    """Compare two records, as of two machines. Raises VerifyError where one is no record."""
    headers = [read_header(one), read_header(other)]
    name = f"{one} and {other}"
    try:
        found = Comparison().run(read_records(one), read_records(other))
        cause = explain(found)
        failures = tuple(_end_words(each) for each in found.ends)
    except (LookupError, TypeError, ValueError, AttributeError) as error:  # another file's line, or a damaged one
        what = f"a record lacks something, or has something else in its place: {type(error).__name__} {error}"
        raise VerifyError(what, name, "Record the runs again: opscan verify ... --keep DIR") from error
    return replace(verification(name, found, cause, failures, headers), labels=(one.name, other.name))


def _end_words(end: Record | None) -> str:
    if end is None:
        return "the record has no end: the run was cut off"
    return end["what"] if end["status"] == "error" else ""


@contextmanager
def folder_for(keep: str | Path | None) -> Iterator[Path]:
    """Where records go: a folder that is kept, or one that is gone afterwards."""
    if keep is not None:
        make_folder(keep)
        for old in Path(keep).glob("run*.opslog"):
            old.unlink()
        yield Path(keep)
        return
    with tempfile.TemporaryDirectory(prefix="opscan-verify-") as folder:
        yield Path(folder)
