"""`opscan env`: what this machine and process are set to, and what strict training would still need."""

from __future__ import annotations

import argparse
import contextlib
import sys
from pathlib import Path

from opscan.cli.options import terminal_width
from opscan.cli.output import say, show
from opscan.cli.words import CLEAN, DEVICE_WORDS, FINDINGS

_EPILOG = """\
exit status:
  0  nothing is missing for strict training
  1  something is missing (what is needed only in some cases does not count)
  2  could not look (no such device or version, a settings file is not valid, ...)

A new process has the variables of this shell and torch's defaults; it does not know what a script sets. Let it run
your own set-up first with --after, or call opscan.env() in the script.

examples:
  opscan env
  opscan env --torch 2.6.0 --all
  opscan env --after train.py:seed_everything
"""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser(
        "env",
        help="what is set here, and what strict training would still need",
        description="Print the settings that decide whether runs repeat, their values here, and what is missing.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=_env)
    parser.add_argument("--device", choices=DEVICE_WORDS, default="auto", help="the device to train on (default: cuda)")
    parser.add_argument("--torch", metavar="VERSION", help="the torch to train with (default: the installed one)")
    parser.add_argument(
        "--after", metavar="MOD:FUNC",
        help="call this before looking: the function of yours that sets seeds and flags",
    )  # fmt: skip
    parser.add_argument(
        "--rules", action="append", default=[], type=Path, metavar="DIR",
        help="a folder of further settings (*.settings.toml), as for your own cluster (also: [tool.opscan] rules)",
    )  # fmt: skip
    parser.add_argument("--format", choices=("table", "json"), default="table")
    parser.add_argument("--all", action="store_true", help="every setting, with the reason and its source")


def _env(arguments: argparse.Namespace) -> int:
    from opscan.environment import make_environment
    from opscan.settings.outlook import look

    environment = make_environment(arguments.device, arguments.torch)
    if arguments.after:
        _call(arguments.after)
    outlook = look(environment, *arguments.rules, fresh=not arguments.after)
    if arguments.format == "json":
        show(outlook.to_json(), is_text=False)
    else:
        say(outlook.to_text(terminal_width(), everything=arguments.all))
    return FINDINGS if outlook.missing else CLEAN


def _call(target: str) -> None:
    """Run the user's own set-up; what it prints goes to stderr. Raises TargetError when it cannot be run."""
    from opscan.blame import one_line, user_line
    from opscan.errors import TargetError
    from opscan.target.load import load_object
    from opscan.target.spec import parse_target

    with contextlib.redirect_stdout(sys.stderr):
        spec = parse_target(target)
        function = load_object(spec)
        if not callable(function):
            raise TargetError(f"{target} is no function", "--after", "Name the function that sets seeds and flags.")
        try:
            function(*spec.args, **spec.kwargs)
        except (Exception, SystemExit) as error:
            what = f"{target} raised {one_line(error)}"
            raise TargetError(what, user_line(error) or "--after", "It is called before looking.") from error
