"""Targets looked at, each in a process of its own, or with --in-process one after the other in this one."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from opscan.cli.look import check_plan, look, models_there
from opscan.cli.words import complain
from opscan.errors import OpscanError, TargetError
from opscan.progress import progress

if TYPE_CHECKING:
    from opscan.isolation.outcome import Limits, Outcome
    from opscan.report.report import Report

_TIMEOUT_S = 1800.0
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]i?B?|B)?", re.IGNORECASE)


def add_isolation(parser: argparse.ArgumentParser) -> None:
    """--timeout, --memory and --in-process."""
    how = parser.add_argument_group("how the target is run: its code, in a process of its own")
    how.add_argument(
        "--timeout", type=float, metavar="SECONDS",
        help=f"for each target (default: {_TIMEOUT_S:.0f}, none where ops are run for real, as with --replay; 0: none)",
    )  # fmt: skip
    how.add_argument(
        "--memory", type=size_bytes, metavar="SIZE",
        help="for each target, as 8GiB (default: what the machine or the container has; 0: no limit)",
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


class Looking:
    """Looks at targets, where and with the limits that the options say.

    With `many` what a scan takes is imported once, in the process that all targets' processes are forked from. Raises
    OpscanError for options that fit no target.
    """

    def __init__(self, arguments: argparse.Namespace, many: bool) -> None:
        from opscan.config import find_config
        from opscan.environment import make_environment

        self._arguments = arguments
        self._environment = make_environment(arguments.device, arguments.torch, arguments.strict, arguments.amp)
        self._rules = find_config(Path.cwd()).ruleset(*arguments.rules)  # read here, they are there in every fork
        self._is_asked = arguments.run or arguments.replay > 1
        self._preload = ("opscan.scan",) if many or self._is_asked else ()
        self._is_away = not arguments.in_process and _forks()
        self._open = ExitStack()

    def __enter__(self) -> Looking:
        if self._is_away:
            from opscan.isolation.client import start_server, stop_server
            from opscan.isolation.codec import prepare
            from opscan.report.report import Report

            self._open.callback(stop_server)
            prepare(Report)  # here it is needed too, and a fork has it
            start_server(self._preload, is_heard=True)  # now: a sign of life is a thread, and no process forks with two
        if self._is_asked:
            self._done("--run", check_plan, (self._arguments,), type(None))
        return self

    def __exit__(self, *raised: object) -> None:
        self._open.close()

    def names_in(self, file: str) -> list[str]:
        """The models that a file defines. Raises OpscanError where it cannot be imported."""
        return list(self._done(file, models_there, (file,), tuple[str, ...]))

    def at(self, target: str) -> Report | OpscanError:
        """The report on a target, or why there is none."""
        from opscan.report.carried import unpacked
        from opscan.report.report import Report

        try:
            report: Report = self._done(target, look, (target, self._arguments), Report)
        except OpscanError as error:
            return error
        try:
            return unpacked(replace(report, target=target, environment=self._environment), self._rules)
        except ValueError as error:
            return TargetError(f"its report cannot be shown: {error}", target)

    def _done(self, target: str, function: Callable[..., Any], arguments: tuple[Any, ...], returns: Any) -> Any:
        """What a function that runs the user's code returns. Raises OpscanError for whatever else comes of it."""
        if not self._is_away:
            return _done_here(function, arguments)
        from opscan.isolation.client import isolated

        limits = limits_of(self._arguments)
        with progress(target):  # a Ctrl-C ends the process with all it started, and goes on its way
            outcome = isolated(function, arguments, limits, returns, self._preload, is_heard=True)
        if outcome.error is not None:
            raise outcome.error
        if outcome.ended:
            raise _ended(target, outcome)
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


def _ended(target: str, outcome: Outcome) -> OpscanError:
    """The error for a target whose process ended without a result: what happened, and what to do next."""
    where = f" at {outcome.line}" if outcome.line else ""
    if outcome.ended.startswith("timed out"):
        hint = "Give it more with --timeout SECONDS, or see where it stands: opscan check --in-process, and Ctrl-C."
    elif outcome.ended.startswith("out of memory"):
        hint = "Give it more with --memory SIZE (0: no limit)."
    elif outcome.ended.startswith("ended its process"):
        hint = "Something that it imports or calls ends Python, as os._exit does, or closes files that are not its own."
    elif outcome.ended.endswith("SIGKILL"):
        hint = "It does so itself, or the system ran out of memory: --memory SIZE stops it before."
    else:
        hint = "To see more of it: python -X faulthandler -m opscan check --in-process ..."
    return TargetError(f"{outcome.ended}{where}", target, hint)
