"""Targets looked at, each in a process of its own, or with --in-process one after the other in this one."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opscan.cli.ending import ended_as_by_ctrl_c
from opscan.cli.look import check_plan, look, models_there
from opscan.cli.words import complain
from opscan.errors import OpscanError, TargetError
from opscan.progress import progress

if TYPE_CHECKING:
    from opscan.isolation.outcome import Limits, Outcome
    from opscan.report.report import Report
    from opscan.rules.load import Ruleset

_TIMEOUT_S = 1800.0
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]i?B?|B)?", re.IGNORECASE)


def add_isolation(parser: argparse.ArgumentParser) -> None:
    """--timeout, --memory and --in-process."""
    how = parser.add_argument_group("how the target is run: its code, in a process of its own")
    how.add_argument(
        "--timeout", type=float, metavar="SECONDS",
        help=f"for each target (default: {_TIMEOUT_S:.0f}, and any where ops are run for real, as with --replay;"
        " 0: any)",
    )  # fmt: skip
    how.add_argument(
        "--memory", type=size_bytes, metavar="SIZE",
        help="for each target, as 8GiB (default: what the machine or the container has; 0: any)",
    )  # fmt: skip
    how.add_argument(
        "--in-process", action="store_true",
        help="run it in opscan's own process, without limits: for a debugger, or input() (on Windows it always is)",
    )  # fmt: skip


def size_bytes(text: str) -> int:
    """`4GiB` as bytes; units are powers of 1024, however they are written."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"cannot read the size {text!r}; write it as 4GiB or 512MiB")
    return int(float(match[1]) * 1024 ** " KMGT".index((match[2] or "B")[0].upper().replace("B", " ")))


def look_at_all(targets: Sequence[str], arguments: argparse.Namespace) -> list[Report | OpscanError]:
    """The report on each target, or why there is none. Raises OpscanError for options that fit none of them."""
    from opscan.config import find_config
    from opscan.environment import make_environment

    make_environment(arguments.device, arguments.torch, arguments.strict, arguments.amp)
    rules = find_config(Path.cwd()).ruleset(*arguments.rules)  # read here, they are there in every fork
    is_asked = arguments.run or arguments.replay > 1
    with _Looking(arguments, ("opscan.scan",) if is_asked or len(targets) > 1 else ()) as looking:
        if is_asked:
            looking.done("--run", check_plan, (arguments,), type(None))
        return [_looked_at(target, arguments, looking, rules) for target in targets]


def names_in(file: str, arguments: argparse.Namespace) -> list[str]:
    """The models that a file defines. Raises OpscanError where it cannot be imported."""
    with _Looking(arguments) as looking:
        return list(looking.done(file, models_there, (file,), tuple[str, ...]))


def _looked_at(target: str, arguments: argparse.Namespace, looking: _Looking, rules: Ruleset) -> Report | OpscanError:
    from opscan.environment import make_environment
    from opscan.report.carried import unpacked
    from opscan.report.report import Report

    try:
        with progress(target):
            report = looking.done(target, look, (target, arguments), Report)
        environment = make_environment(arguments.device, arguments.torch, arguments.strict, arguments.amp)
        return unpacked(replace(report, target=target, environment=environment), rules)
    except OpscanError as error:
        return error
    except ValueError as error:
        return TargetError(f"what came of it cannot be shown: {error}", target)


class _Looking:
    """Calls functions that run the user's code, where the options say."""

    def __init__(self, arguments: argparse.Namespace, preload: tuple[str, ...] = ()) -> None:
        self._arguments, self._preload = arguments, preload
        self._is_here = arguments.in_process or not _forks()
        self._open = contextlib.ExitStack()

    def __enter__(self) -> _Looking:
        if not self._is_here:
            from opscan.isolation.client import start_server, stop_server
            from opscan.isolation.codec import prepare
            from opscan.report.report import Report

            self._open.enter_context(ended_as_by_ctrl_c())
            self._open.callback(stop_server)
            prepare(Report)  # here it is needed too, and a fork has it
            start_server(self._preload, is_heard=True)  # now: a sign of life is a thread, and no process forks with two
        return self

    def __exit__(self, *raised: object) -> None:
        self._open.close()

    def done(self, target: str, function: Callable[..., Any], arguments: tuple[Any, ...], returns: Any) -> Any:
        """What a function returns. Raises OpscanError for whatever else comes of it."""
        if self._is_here:
            return _done_here(function, arguments)
        from opscan.isolation.client import isolated

        limits = limits_of(self._arguments)
        try:
            outcome = isolated(function, arguments, limits, returns, self._preload, is_heard=True)
        except KeyboardInterrupt:
            complain(f"{target}: its process is ended")
            raise
        if outcome.error is not None:
            raise outcome.error
        if outcome.ended:
            raise _ended(target, outcome, limits)
        return outcome.value


def _done_here(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    """The same in this process: what would end it, and is no Ctrl-C, costs the target alone."""
    try:
        return function(*arguments)
    except (SystemExit, GeneratorExit) as error:
        from opscan.isolation.told import error_of, tell

        raise error_of(tell(error)) from error


def _forks() -> bool:
    if not hasattr(os, "fork"):
        complain("this system cannot fork: targets run in opscan's own process, as with --in-process")
    return hasattr(os, "fork")


def limits_of(arguments: argparse.Namespace) -> Limits:
    """The limits that the options set."""
    from opscan.isolation.memory import memory_here
    from opscan.isolation.outcome import FOREVER_S, Limits

    runs = arguments.run or arguments.replay > 1 or arguments.trace_device != "meta"
    timeout_s = arguments.timeout if arguments.timeout is not None else 0.0 if runs else _TIMEOUT_S
    memory = memory_here() if arguments.memory is None else arguments.memory
    return Limits(timeout_s or FOREVER_S, memory or None)


def _ended(target: str, outcome: Outcome, limits: Limits) -> OpscanError:
    """The error for a target whose process ended without a result: what happened, and what to do next."""
    where = f" at {outcome.line}" if outcome.line else ""
    if outcome.ended.startswith("timed out"):
        hint = "Give it more with --timeout SECONDS, or see where it stands: opscan check --in-process, and Ctrl-C."
    elif outcome.ended.startswith("out of memory"):
        hint = "Give it more with --memory SIZE (0: any)."
    elif outcome.ended.startswith("ended its process"):
        hint = "Something that it imports or calls ends Python, as os._exit does, or closes files that are not its own."
    else:
        hint = "To see more of it: python -X faulthandler -m opscan check --in-process ..."
    return TargetError(f"{outcome.ended}{where}", target, hint)
