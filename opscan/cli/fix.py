"""`opscan fix`: write deterministic drop-ins into the source of a model."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from opscan.cli.looking import Looking, add_isolation
from opscan.cli.options import add_call, add_environment
from opscan.cli.output import say, show
from opscan.cli.words import CLEAN, COULD_NOT_LOOK, FINDINGS, complain
from opscan.errors import OpscanError, TargetError
from opscan.formats.text import printable

if TYPE_CHECKING:
    from opscan.config import Config
    from opscan.fixing.plan import Plan
    from opscan.report.report import Report

_EPILOG = """\
Edits change the name of a call (nn.Conv2d becomes replacements.Conv2d) and add
one import; the rest of a file stays byte for byte. A line that says
`# opscan: keep` is left alone. Without --write nothing is written.

exit status:
  0  nothing to edit, and nothing left
  1  edits are shown, or something is left that they do not end
  2  could not look at a target, or not write a file

examples:
  opscan fix mymodel.py:CNN_v2
  opscan fix mymodel.py --write
"""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser(
        "fix",
        help="write deterministic replacements into your source",
        description="Scan models, and put opscan.replacements in place of what is nondeterministic in them.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=_fix, run=False, replay=1, replay_ops="all", format="table")
    parser.add_argument(
        "targets", nargs="+", metavar="PATH[:NAME]",
        help="file.py:Name, any other target of opscan check, or file.py for every model it defines",
    )  # fmt: skip
    writing = parser.add_mutually_exclusive_group()
    writing.add_argument("--diff", action="store_true", help="show the edits, and write nothing (the default)")
    writing.add_argument("--write", action="store_true", help="write them, and scan again")
    parser.add_argument(
        "--allow-different-values", action="store_true",
        help="also write what gives other results or gradients, as another choice among equal values",
    )  # fmt: skip
    add_call(parser)
    add_environment(parser)
    add_isolation(parser)


def _fix(arguments: argparse.Namespace) -> int:
    from opscan.fixing.plan import plan_edits

    reports, missed = _reports(arguments)
    plan = plan_edits(reports, arguments.allow_different_values)
    status = _written(plan) if arguments.write else _shown(plan)
    if not (plan.files or plan.left or missed):
        complain("nothing to fix")
    for each in plan.left:
        complain(f"left: {each.where}: {each.finding.op} {each.finding.verdict} ({each.finding.rule}): {each.why}")
    if missed or status == COULD_NOT_LOOK:
        return COULD_NOT_LOOK
    if arguments.write and plan.files:
        return _again(arguments.words)
    return FINDINGS if plan.files or plan.left else CLEAN


def _reports(arguments: argparse.Namespace) -> tuple[list[Report], bool]:
    """The reports of all targets, and whether one could not be looked at."""
    from opscan.config import find_config

    config = find_config(Path.cwd())
    outcomes: list[Report | OpscanError] = []
    with Looking(arguments, many=len(arguments.targets) > 1 or arguments.targets[0].endswith(".py")) as looking:
        for word in arguments.targets:
            try:
                outcomes += [looking.at(target) for target in _targets(word, config, looking)]
            except OpscanError as error:
                outcomes.append(error)
    reports = [each for each in outcomes if not isinstance(each, OpscanError)]
    for each in outcomes:
        if isinstance(each, OpscanError):
            complain(str(each))
    return reports, len(reports) < len(outcomes)


def _targets(word: str, config: Config, looking: Looking) -> list[str]:
    """A target; of a .py file what [tool.opscan.targets] names for it, or else every model it defines."""
    if not word.endswith(".py"):
        return [word]
    rule = next((each for each in config.targets if each.fits(Path(word).resolve())), None)
    names = [f"{word}:{name}" for name in looking.names_in(word)] if rule is None else list(rule.targets_for(word))
    if not names:
        raise TargetError("defines no model", word, f"Name one, as {word}:Name.")
    return names


def _shown(plan: Plan) -> int:
    from opscan.lint.fix import difference

    for mended in plan.files:
        show(difference(mended), sys.stdout.isatty())
    if plan.files:
        complain(f"{_counted(plan)}; --write writes them")
    return CLEAN


def _counted(plan: Plan) -> str:
    lines = len({remedy.line for remedy in plan.edited})
    files = len(plan.files)
    return f"{lines} {'line' if lines == 1 else 'lines'} to edit in {files} {'file' if files == 1 else 'files'}"


def _written(plan: Plan) -> int:
    from opscan.lint.fix import write

    status = CLEAN
    for mended in plan.files:
        problem = write(mended)
        if problem is not None:
            complain(str(problem))
            status = COULD_NOT_LOOK
        else:
            say(f"{printable(mended.file)}: written")
    return status


def _again(words: list[str]) -> int:
    """What a new process finds in the files as they are now: this one has imported them as they were."""
    again = [word for word in words if word not in ("--write", "--diff")]
    ended = subprocess.run([sys.executable, "-m", "opscan", *again], capture_output=True, text=True, check=False)
    if ended.returncode == CLEAN:
        say("scanned again: clean")
        return CLEAN
    sys.stderr.write(ended.stderr)
    if ended.returncode == FINDINGS:
        complain("scanned again: not clean; see above")
    return ended.returncode
