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
"""


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
    device.add_argument(
        "--processes", type=int, default=1, metavar="N",
        help="start N ranks here, as `torchrun --nproc-per-node N -m opscan check` does, and report on all of them",
    )  # fmt: skip
    device.add_argument(
        "--rank-timeout", type=float, default=120.0, metavar="SECONDS",
        help="with several ranks: how long all ranks may stand still before they are ended (default: 120)",
    )  # fmt: skip
    output = parser.add_argument_group("what to show")
    output.add_argument("--format", choices=("table", "json"), default="table")
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
    from opscan.distributed.launched import is_launched, joined

    if arguments.world_size is None and is_launched():
        from opscan.together.outcomes import check_together

        arguments.device = _device_here(arguments.device)
        with joined(arguments.rank_timeout) as ranks:
            return check_together(ranks, partial(_outcomes, arguments), partial(_told, arguments))
    if arguments.processes > 1:
        from opscan.distributed.launch import launch

        return launch(arguments.processes, arguments.words)
    return _told(arguments, _outcomes(arguments))


def _device_here(device: str) -> str:
    """Under torchrun the device is the one the ranks run on."""
    import torch

    return device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"


def _outcomes(arguments: argparse.Namespace) -> list[Report | OpscanError]:
    """The report on each target, or why there is none."""
    from opscan.config import find_config
    from opscan.environment import make_environment
    from opscan.observe.plan import plan_run

    environment = make_environment(arguments.device, arguments.torch, arguments.strict, arguments.amp)
    config = find_config(Path.cwd())
    rules = config.ruleset(*arguments.rules)
    plan = plan_run(environment, arguments.run, arguments.replay, arguments.replay_ops)
    outcomes: list[Report | OpscanError] = []
    for target in arguments.targets:
        try:
            outcomes.append(scan_one(target, environment, rules, config, arguments, plan))
        except OpscanError as error:
            outcomes.append(error)
    return outcomes


def _told(arguments: argparse.Namespace, outcomes: Sequence[Report | OpscanError]) -> int:
    """Print what was found; the exit status that says it."""
    missed = [each for each in outcomes if isinstance(each, OpscanError)]
    reports = [each for each in outcomes if not isinstance(each, OpscanError)]
    for error in missed:
        complain(str(error))
    if reports or arguments.format == "json":
        print(_rendered(reports, arguments))
    if missed:
        return COULD_NOT_LOOK
    return FINDINGS if any(report.fails(arguments.fail_on) for report in reports) else CLEAN


def _rendered(reports: Sequence[Report], arguments: argparse.Namespace) -> str:
    if arguments.format == "json":
        from opscan.report.document import render_json

        return render_json(reports)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 80
    return "\n\n".join(report.to_text(width=min(width, 120), show=arguments.show) for report in reports)
