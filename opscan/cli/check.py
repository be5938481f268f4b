"""`opscan check`: scan targets and print what was found."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from opscan.cli.looking import Looking, add_isolation
from opscan.cli.options import add_call, add_environment, add_show, verdict_words
from opscan.cli.output import say, show
from opscan.cli.results import (
    acceptance,
    add_baseline,
    add_format,
    check_outputs,
    document_of,
    explain_rule,
    stale_text,
    stale_waivers_of,
    text_of,
    write_baseline,
)
from opscan.cli.words import CLEAN, COULD_NOT_LOOK, REPLAY_WORDS, VERDICT_WORDS, complain
from opscan.errors import OpscanError

if TYPE_CHECKING:
    from opscan.config import Config
    from opscan.report.outcome import Outcome, Unseen
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
  opscan check mymodel:CNN_v2 --baseline known.json --format markdown
  opscan check mymodel:CNN_v2 -o report.html
  opscan check --explain OPS102
"""

_SUFFIXES = {
    ".json": "json", ".html": "html", ".htm": "html", ".sarif": "sarif", ".md": "markdown", ".csv": "csv",
    ".xml": "junit",
}  # fmt: skip


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
        "targets", nargs="*", metavar="TARGET",
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
    add_isolation(parser)
    output = parser.add_argument_group("what to show")
    add_format(output)
    parser.set_defaults(format=None)
    output.add_argument(
        "-o", "--output", type=Path, metavar="FILE",
        help="write it there, and print the verdict alone; without --format the suffix says which (.html, .json,"
        " .sarif, .md, .csv, .xml)",
    )  # fmt: skip
    add_show(output)
    output.add_argument("--explain", metavar="RULE", help="print what a rule knows, with its evidence, as OPS102")
    output.add_argument(
        "--fail-on", type=partial(verdict_words, allowed=VERDICT_WORDS), default=None, metavar="VERDICT,...",
        help="what makes the exit status 1 (default: raises,switches,silent,uninitialized; with --strict:"
        " raises,silent)",
    )  # fmt: skip
    add_baseline(parser)


def _check(arguments: argparse.Namespace) -> int:
    if arguments.explain:
        return explain_rule(arguments.explain, arguments.rules)
    if not arguments.targets:
        complain("no target is named: opscan check mymodel:Net")
        return COULD_NOT_LOOK
    check_outputs(arguments)
    from opscan.distributed.launch import is_launched, launch

    arguments.format = arguments.format or _format_of(arguments.output)
    look = partial(_outcomes, arguments)
    if arguments.world_size is None and is_launched():
        from opscan.distributed.launched import joined
        from opscan.together.outcomes import check_together

        arguments.device, arguments.in_process = _device_here(arguments.device), True
        with joined(arguments.rank_timeout) as ranks:
            status = check_together(ranks, look, partial(_told, arguments))
        if status and not ranks.rank and arguments.processes == 1:
            complain(
                f"exit status {status}; torchrun ends with 1 for any but 0, --processes {ranks.size} with this one"
            )
        return status
    if arguments.processes > 1:
        return launch(arguments.processes, arguments.words)
    return _told(arguments, look())


def _device_here(device: str) -> str:
    """Under torchrun the device is the one the ranks run on."""
    import torch

    return device if device != "auto" else "cuda" if torch.cuda.is_available() else "cpu"


def _outcomes(arguments: argparse.Namespace) -> list[Report | OpscanError]:
    """The report on each target, or why there is none."""
    with Looking(arguments, many=len(arguments.targets) > 1) as looking:
        return [looking.at(target) for target in arguments.targets]


def _told(arguments: argparse.Namespace, outcomes: Sequence[Report | OpscanError]) -> int:
    """Write what was found, with what is accepted of it; the exit status that says it."""
    from opscan.config import find_config
    from opscan.report.outcome import Outcome

    config = find_config(Path.cwd())
    reports, unseen = _accepted(arguments, config, outcomes)
    if arguments.write_baseline:
        if not unseen:
            write_baseline(arguments.write_baseline, reports)
        return COULD_NOT_LOOK if unseen else CLEAN
    stale = stale_waivers_of(config.waivers, reports, not unseen)
    outcome = Outcome(tuple(reports), unseen, stale, arguments.show, arguments.fail_on, bool(arguments.baseline))
    outcome, text = _shown(outcome, arguments)
    if arguments.output is not None:
        _write(arguments.output, text, outcome.reports)
    elif text:
        show(text, arguments.format == "table")
    return outcome.status


def _shown(outcome: Outcome, arguments: argparse.Namespace) -> tuple[Outcome, str]:
    """The outcome as text; a report that cannot be shown, as its target made it up, costs no other."""
    from opscan.report.outcome import Unseen

    try:
        return outcome, _rendered(outcome, arguments)
    except Exception:
        broken = [each for each in outcome.reports if not _can_be_shown(replace(outcome, reports=(each,)), arguments)]
        if not broken or arguments.in_process:
            raise
    reports = tuple(each for each in outcome.reports if not any(each is other for other in broken))
    unseen = tuple(Unseen(each.target, "handed in a report that contradicts itself") for each in broken)
    for each in unseen:
        complain(f"{each.target}: {each.why}\n  It changes opscan or Python: look at it with --in-process.")
    return _shown(replace(outcome, reports=reports, unseen=(*outcome.unseen, *unseen)), arguments)


def _can_be_shown(outcome: Outcome, arguments: argparse.Namespace) -> bool:
    try:
        _rendered(outcome, arguments)
    except Exception:
        return False
    return True


def _accepted(
    arguments: argparse.Namespace, config: Config, outcomes: Sequence[Report | OpscanError]
) -> tuple[list[Report], tuple[Unseen, ...]]:
    """The reports of the targets, with what is accepted in them, and the targets that could not be looked at."""
    from opscan.report.outcome import Unseen

    accept = acceptance(arguments)
    reports, unseen = [], []
    for target, outcome in zip(arguments.targets, outcomes, strict=True):
        if isinstance(outcome, OpscanError):
            complain(str(outcome))
            unseen.append(Unseen(target, str(outcome).removeprefix(f"{target}: ")))
        else:
            reports.append(accept(outcome, config.waivers))
    return reports, tuple(unseen)


def _format_of(output: Path | None) -> str:
    return _SUFFIXES.get(output.suffix.lower(), "table") if output is not None else "table"


def _write(output: Path, text: str, reports: Sequence[Report]) -> None:
    """Write a rendering, and print what it comes to."""
    from opscan.formats.text import printable
    from opscan.report.words import verdict_line
    from opscan.writing import write_text

    try:
        write_text(output, text)
    finally:
        for report in reports:
            say(printable(f"{report.target}: {verdict_line(report)}"))
    say(f"written to {printable(str(output))}")


def _rendered(outcome: Outcome, arguments: argparse.Namespace) -> str:
    if arguments.format != "table":
        return document_of(outcome, arguments)
    parts = [text_of(report, arguments, arguments.show) for report in outcome.reports]
    parts.append(stale_text(outcome.stale, arguments))
    return ("\n" if arguments.quiet else "\n\n").join(part for part in parts if part)
