"""The command line: reads arguments, prints, and picks the exit status. Everything else is the library's."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

_COMMANDS = ("check", "check-files", "diff", "sweep", "verify", "fix", "lint", "env", "rules")
_SIGPIPE = 141  # as a shell says it of a tool that a broken pipe ended: 128 + SIGPIPE


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status. Source of the numbers: `opscan check --help`.

    Without `argv` this is a process of opscan's own: its words are those of the command line, and its streams and
    signals are seen to.
    """
    if argv is None:
        return _own_process()
    try:
        return _status(argv)
    except KeyboardInterrupt as asked:
        return _ended(asked)


def _own_process() -> int:
    """The same for a whole process. All is imported in here: a Ctrl-C meanwhile ends it as any other does."""
    try:
        from opscan.cli import process

        try:
            process.begin()
            return _status(sys.argv[1:])
        finally:
            process.close()
    except KeyboardInterrupt as asked:
        from opscan.cli import process

        process.close()
        return _ended(asked)


def _status(words: Sequence[str]) -> int:
    """Run a command; whatever goes wrong becomes a message and an exit status."""
    from opscan.cli.process import raise_if_heard

    try:
        status = _run(words)
    except Exception as error:
        raise_if_heard()
        return _failed(error)
    raise_if_heard()
    return status


def _failed(error: Exception) -> int:
    import os

    from opscan.cli.words import COULD_NOT_LOOK, complain
    from opscan.errors import OpscanError

    if isinstance(error, BrokenPipeError):  # the reader has seen enough (`opscan check ... | head`)
        return _SIGPIPE
    if isinstance(error, OpscanError):
        complain(str(error))
    elif os.environ.get("OPSCAN_DEBUG"):
        raise error
    else:
        complain(f"internal error: {type(error).__name__}: {error}\n  Please report it, with OPSCAN_DEBUG=1 set.")
    return COULD_NOT_LOOK


def _run(words: Sequence[str]) -> int:
    import warnings

    from opscan.cli.output import say

    for category in (SyntaxWarning, DeprecationWarning):  # of a source that is only read: ast.parse calls it <unknown>
        warnings.filterwarnings("ignore", category=category, module="<unknown>")

    try:
        arguments = _parser(words).parse_args(words)
    finally:
        say("", end="")  # --help and --version print and exit: whether that worked is seen here
    arguments.words = list(words)
    status: int = arguments.command(arguments)
    return status


def _ended(asked: KeyboardInterrupt) -> int:
    """Say that it was asked to end, in one line, and by whom if that was not Ctrl-C."""
    try:
        sys.stderr.write(f"opscan: {str(asked) or 'interrupted'}\n")
        sys.stderr.flush()
    except (OSError, ValueError):
        pass
    return getattr(asked, "status", 130)


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """The parser, with the one command that is asked for; with all of them where none is, as for --help."""
    import argparse
    from importlib import import_module

    from opscan import __version__

    parser = argparse.ArgumentParser(
        prog="opscan",
        description="Find every operation that makes a PyTorch model nondeterministic, and what to write instead.",
    )
    parser.add_argument("--version", action="version", version=f"opscan {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", prog="opscan")
    for command in words[:1] if words[:1] and words[0] in _COMMANDS else _COMMANDS:
        import_module(f"opscan.cli.{command.replace('-', '_')}").add(commands)
    return parser
