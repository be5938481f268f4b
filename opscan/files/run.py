"""Files from end to end: their text is read here, and each is imported and scanned in a process of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from opscan.config import Config, find_config
from opscan.errors import OpscanError, TargetError
from opscan.files.checked import Checked, Question, Work
from opscan.files.text import model_classes
from opscan.isolation.client import isolated, stop_server
from opscan.isolation.codec import DataError, from_data, to_data
from opscan.isolation.outcome import Limits, Outcome, timeout_words
from opscan.progress import progress
from opscan.report.carried import unpacked

_SCANNER = "opscan.files.scan"
_RETURNS = tuple[Checked, ...]


def check_files(files: Sequence[str], question: Question) -> Iterator[Checked]:
    """Check what [tool.opscan.targets] names for each file, or else the models it defines.

    What cannot be looked at is a Checked too. A file that defines no class that may be a model is not imported, and
    where none does torch is not either. Raises OpscanError for a file that is not there, and for settings that cannot
    be read.
    """
    try:
        for work, reason in _distinct(map(_read, dict.fromkeys(files))):
            if reason:
                yield Checked(work.file, "skipped", reason)
            elif work.size:
                with progress(work.file):
                    found = _scanned(work, question)
                yield from (replace(each, file=work.file) for each in found)
    finally:
        stop_server()


def _read(file: str) -> tuple[Work, str]:
    """What is to be scanned of a file, or why it cannot be read."""
    path = Path(file)
    if not os.path.isfile(path):
        raise TargetError(f"no such file: {file}", file, "Name .py files.")
    named = _named_for(path, find_config(path.resolve().parent))
    if named is not None:
        return Work(file, named=named), ""
    try:
        return Work(file, classes=model_classes(path)), ""
    except SyntaxError as error:
        return Work(file), f"{type(error).__name__}: {error.msg} (line {error.lineno})"
    except (OSError, ValueError, RecursionError) as error:
        return Work(file), f"{type(error).__name__}: {error}"


def _named_for(path: Path, config: Config) -> tuple[str, ...] | None:
    """The targets that the project names for a file; None if it says nothing of it."""
    rule = next((each for each in config.targets if each.fits(path.resolve())), None)
    return None if rule is None else rule.targets_for(str(path))


def _distinct(works: Iterable[tuple[Work, str]]) -> Iterator[tuple[Work, str]]:
    """Each named target once, though several files name it."""
    seen: set[str] = set()
    for work, reason in works:
        named = tuple(each for each in dict.fromkeys(work.named) if each not in seen)
        seen.update(named)
        yield Work(work.file, named, work.classes), reason


def _scanned(work: Work, question: Question) -> tuple[Checked, ...]:
    """What came of a file's targets; one that ends the process is found by giving each a process of its own."""
    outcome = _away(_scan_there, (work, question), Limits(question.timeout_s * work.size))
    if outcome.error is not None:
        raise outcome.error
    if isinstance(outcome.value, tuple):
        return tuple(_unpacked(each, work, question) for each in outcome.value)
    if work.size > 1:
        return tuple(each for single in work.single() for each in _scanned(single, question))
    if work.named:
        return (Checked(work.named[0], "missed", f"{work.named[0]}: {outcome.ended}"),)
    return (Checked(f"{work.file}:{work.classes[0]}", "skipped", outcome.ended),)


def _unpacked(checked: Checked, work: Work, question: Question) -> Checked:
    """With the rules behind the findings of the report, where there is one that can be shown."""
    if checked.report is None:
        return checked
    rules = find_config(Path(work.file).resolve().parent).ruleset(*map(Path, question.rules))
    try:
        return replace(checked, report=unpacked(checked.report, rules))
    except ValueError as error:
        return Checked(checked.target, "missed", f"{checked.target}: {error}")


def _scan_there(work: Work, question: Question) -> tuple[Checked, ...]:
    """In the other process: this one does not load torch."""
    from opscan.files.scan import scan_work

    return scan_work(work, question)


def _away(function: Callable[..., Any], arguments: tuple[Any, ...], limits: Limits) -> Outcome:
    """Call a function in another process: forked from one that has torch, or a new one where nothing can be forked."""
    if _can_fork():
        return isolated(function, arguments, limits, _RETURNS, (_SCANNER,))
    return _spawned(function, arguments, limits)


def _can_fork() -> bool:
    return hasattr(os, "fork")


def _spawned(function: Callable[..., Any], arguments: tuple[Any, ...], limits: Limits) -> Outcome:
    """As isolation.client.isolated, in a process that begins anew: that works on Windows too."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        try:
            data = pool.submit(_silenced, function, arguments).result(limits.timeout_s)
            return Outcome(from_data(data, _RETURNS))
        except TimeoutError:
            for process in list((pool._processes or {}).values()):  # no other way to end one, before Python 3.14
                process.kill()
            return Outcome(ended=timeout_words(limits))
        except BrokenProcessPool:
            return Outcome(ended="ended its process")
        except DataError as error:
            return Outcome(ended=f"handed in what is no result ({error})")
        except OpscanError as error:
            return Outcome(error=error)


def _silenced(function: Callable[..., Any], arguments: tuple[Any, ...]) -> bytes:
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        return to_data(function(*arguments), _RETURNS)
