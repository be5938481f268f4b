"""The command line: reads arguments, prints, and picks the exit status. Everything else is the library's."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module

from opscan import __version__
from opscan.cli.words import COULD_NOT_LOOK, complain
from opscan.errors import OpscanError

_COMMANDS = ("check", "check-files", "diff", "sweep", "verify", "fix", "lint", "env", "rules")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status. Source of the numbers: `opscan check --help`."""
    words = sys.argv[1:] if argv is None else argv
    arguments = _parser(words).parse_args(words)
    arguments.words = list(words)
    for category in (SyntaxWarning, DeprecationWarning):  # of a source that is only read: ast.parse calls it <unknown>
        warnings.filterwarnings("ignore", category=category, module="<unknown>")
    try:
        status: int = arguments.command(arguments)
        sys.stdout.flush()
    except OpscanError as error:
        complain(str(error))
        return COULD_NOT_LOOK
    except BrokenPipeError:  # the reader has seen enough (`opscan check ... | head`)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return COULD_NOT_LOOK
    except KeyboardInterrupt:
        complain("interrupted")
        return 130
    except Exception as error:
        if os.environ.get("OPSCAN_DEBUG"):
            raise
        complain(f"internal error: {type(error).__name__}: {error}\n  Please report it, with OPSCAN_DEBUG=1 set.")
        return COULD_NOT_LOOK
    return status


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """The parser, with the one command that is asked for; with all of them where none is, as for --help."""
    parser = argparse.ArgumentParser(
        prog="opscan",
        description="Find every operation that makes a PyTorch model nondeterministic, and what to write instead.",
    )
    parser.add_argument("--version", action="version", version=f"opscan {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND", prog="opscan")
    for command in words[:1] if words[:1] and words[0] in _COMMANDS else _COMMANDS:
        import_module(f"opscan.cli.{command.replace('-', '_')}").add(commands)
    return parser
