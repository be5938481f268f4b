"""`opscan check`: scan targets and print what was found."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from opscan.cli.options import add_call, add_environment, scan_one
from opscan.cli.words import CLEAN, COULD_NOT_LOOK, FINDINGS, REPLAY_WORDS, SHOW_WORDS, VERDICT_WORDS, complain
from opscan.errors import OpscanError

if TYPE_CHECKING:
    from opscan.report.report import Report

_EPILOG = """\
exit status:
  0  nothing nondeterministic in the mode asked for
  1  findings
  2  could not look (no such target, no inputs found, the model fails, ...)

examples:
  opscan check mymodel:CNN_v2
  opscan check src/net.py:UNet --init in_channels=1 --input 2x1x64x64
  opscan check 'zoo:Net(num_classes=10)' --loss cross_entropy --strict
  opscan check mymodel:CNN_v2 --torch 1.8.1 --format json
  opscan check mymodel:CNN_v2 -o report.html
"""

_FORMATS = ("table", "json", "html")
_SUFFIXES = {".json": "json", ".html": "html", ".htm": "html"}


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser(
        "check",
        help="scan a model or a training step, without a GPU",
        description="Trace forward, loss and backward of each target and judge every operation by the rules.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=_check)
    parser.add_argument(
        "targets", nargs="+", metavar="TARGET",
        help="pkg.mod:Name, path/to/file.py:Name, mod:Name(args, kw=...), mod:factory, mod:instance or mod:step",
    )  # fmt: skip
    add_call(parser)
    add_environment(parser)
    device = parser.add_argument_group("running a copy of it on the device")
    device.add_argument(
        "--run", action=argparse.BooleanOptionalAction, default=None,
        help="run one step in strict mode, collecting every RuntimeError (default: where CUDA is here, or with"
        " --device cpu)",
    )  # fmt: skip
    device.add_argument(
        "--replay", type=int, default=1, metavar="N", help="run each op N times on equal bits, and compare the results"
    )
    device.add_argument(
        "--replay-ops", choices=REPLAY_WORDS, default="all", help="all, or only those with rules, or unknown ones"
    )
    output = parser.add_argument_group("what to show")
    output.add_argument(
        "--format", choices=_FORMATS, help="default: what FILE's suffix says (.html, .json), else table; html is a page"
    )
    output.add_argument("-o", "--output", type=Path, metavar="FILE", help="write it there, and print the verdict alone")
    output.add_argument(
        "--show",
        type=partial(_words, allowed=SHOW_WORDS),
        default=(),
        metavar="KIND,...",
        help="also list these: config, random, unknown, harmless (the bits cannot vary), all",
    )
    output.add_argument(
        "--fail-on", type=partial(_words, allowed=VERDICT_WORDS), default=None, metavar="VERDICT,...",
        help="what makes the exit status 1 (default: raises,switches,silent,uninitialized; with --strict:"
        " raises,silent)",
    )  # fmt: skip


def _words(text: str, allowed: tuple[str, ...]) -> tuple[str, ...]:
    words = tuple(word.strip() for word in text.split(",") if word.strip())
    if "all" in words:
        return allowed
    for word in words:
        if word not in allowed:
            raise argparse.ArgumentTypeError(f"unknown verdict {word!r}; use {', '.join(allowed)}")
    return words


def _check(arguments: argparse.Namespace) -> int:
    from opscan.config import find_config
    from opscan.environment import make_environment
    from opscan.observe.plan import plan_run

    environment = make_environment(arguments.device, arguments.torch, arguments.strict, arguments.amp)
    config = find_config(Path.cwd())
    rules = config.ruleset(*arguments.rules)
    plan = plan_run(environment, arguments.run, arguments.replay, arguments.replay_ops)
    reports: list[Report] = []
    missed = False
    for target in arguments.targets:
        try:
            reports.append(scan_one(target, environment, rules, config, arguments, plan))
        except OpscanError as error:
            complain(str(error))
            missed = True
    format = arguments.format or _SUFFIXES.get(arguments.output.suffix if arguments.output else "", "table")
    if reports or format != "table":
        _give(_rendered(reports, format, arguments), reports, arguments.output)
    if missed:
        return COULD_NOT_LOOK
    return FINDINGS if any(report.fails(arguments.fail_on) for report in reports) else CLEAN


def _give(text: str, reports: Sequence[Report], output: Path | None) -> None:
    """Print a rendering, or write it and print what it comes to."""
    if output is None:
        print(text)
        return
    from opscan.cli.write import write_text
    from opscan.report.words import verdict_line

    write_text(output, text)
    for report in reports:
        print(f"{report.target}: {verdict_line(report)}")
    print(f"written to {output}")


def _rendered(reports: Sequence[Report], format: str, arguments: argparse.Namespace) -> str:
    if format == "json":
        from opscan.report.document import render_json

        return render_json(reports)
    if format == "html":
        from opscan.report.html_page import render_page

        return render_page(reports)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 80
    return "\n\n".join(report.to_text(width=min(width, 120), show=arguments.show) for report in reports)
