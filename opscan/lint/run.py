"""Many files: read each, judge it, and spread the work over processes where that pays."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from opscan.lint.engine import Options, lint_source
from opscan.lint.finding import FileResult, Problem

FILES_PER_WORKER = 60
"""Starting a process costs about as much as judging this many files."""
_CHUNK = 8
"""Files handed to a process at once: few, since one file may take as long as a hundred others."""


def lint_files(files: Sequence[str], options: Options, jobs: int | None = None) -> Iterator[FileResult]:
    """What comes of each file, in the order of the files. `jobs` None means as many as pay."""
    workers = min(jobs or available_cores(), max(1, len(files) // FILES_PER_WORKER) if jobs is None else len(files))
    if workers <= 1:
        with _no_collection():
            yield from (lint_file(file, options) for file in files)
        return
    import multiprocessing

    method = "fork" if sys.platform.startswith("linux") else "spawn"
    with multiprocessing.get_context(method).Pool(workers, _begin, (options,)) as pool:
        yield from pool.imap(_lint, files, chunksize=_CHUNK)


@contextmanager
def _no_collection() -> Iterator[None]:
    """Leave garbage collection out: it would walk each new syntax tree again and again, which triples the time.

    `Module.release` undoes the circles, so that memory is given back all the same.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def available_cores() -> int:
    """The cores this process may run on."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not Linux
        return os.cpu_count() or 1


_options: Options


def _begin(options: Options) -> None:
    global _options
    _options = options
    gc.disable()


def _lint(file: str) -> FileResult:
    return lint_file(file, _options)


def lint_file(file: str, options: Options) -> FileResult:
    """Read and judge one file; one that cannot be read is a Problem."""
    try:
        with open(file, "rb") as stream:
            data = stream.read()
    except OSError as error:
        return FileResult(problem=Problem(file, f"not linted: {error.strerror or error}"))
    return lint_source(data, file, options)
