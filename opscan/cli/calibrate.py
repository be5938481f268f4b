"""`opscan rules calibrate`: the rules against the device that is here."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from opscan.cli.output import say
from opscan.cli.words import CLEAN, FINDINGS, complain
from opscan.errors import OpscanError

if TYPE_CHECKING:
    from opscan.calibrate.rows import Record
    from opscan.calibrate.subjects import Subject
    from opscan.cases import Case
    from opscan.rules.load import Ruleset

_OUT = Path("rules", "observed")
_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600}


def add(subcommands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the subcommand."""
    parser = subcommands.add_parser(
        "calibrate",
        help="run the rules' cases and PyTorch's own samples on this device, and compare",
        description="Run the rules' cases and PyTorch's OpInfo samples on this machine's device: once in strict mode,"
        " and every op again and again on equal bits in both modes. What was seen is kept as data, beside what the"
        " rules predict; what the file has already is not run again. Exit status 1: something contradicts the rules.",
    )
    parser.set_defaults(command=_calibrate)
    parser.add_argument("--device", choices=("auto", "cuda", "cpu"), default="auto", help="default: cuda where it is")
    parser.add_argument("--replays", type=_count, default=20, metavar="N", help="runs per op and mode (default 20)")
    parser.add_argument(
        "--samples", type=int, default=2, metavar="N",
        help="OpInfo samples per op and dtype (default 2); 0: the cases alone",
    )  # fmt: skip
    parser.add_argument(
        "--only", metavar="PATTERN", help="a part of a rule, name or expression (OPS102, index_add), or a shell pattern"
    )
    parser.add_argument("--again", action="store_true", help="also run what the file has")
    parser.add_argument("--budget", type=_seconds, metavar="TIME", help="stop after about so long: 90s, 8m")
    parser.add_argument("--out", type=Path, default=_OUT, metavar="DIR", help=f"default: {_OUT}")
    parser.add_argument(
        "--judge", type=Path, metavar="FILE", help="run nothing: judge what a file has by the rules as they are now"
    )
    parser.add_argument(
        "--rules", action="append", default=[], type=Path, metavar="DIR", help="a folder of further rules, with cases"
    )


def _count(text: str) -> int:
    if not text.isdigit() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of runs: 2 or more")
    return int(text)


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a time; write 90s, 8m or 1h")
    return float(match[1]) * _SECONDS[match[2]]


def _calibrate(arguments: argparse.Namespace) -> int:
    from opscan.calibrate.run import narrowed
    from opscan.calibrate.summary import summary

    record = narrowed(_judged(arguments) if arguments.judge else _run(arguments), arguments.only)
    say(summary(record))
    return FINDINGS if record.wrong else CLEAN


def _judged(arguments: argparse.Namespace) -> Record:
    from opscan.calibrate.judge import judged_anew
    from opscan.calibrate.rows import read_record, write_record

    if not arguments.judge.is_file():
        raise OpscanError("no such file", str(arguments.judge), "Name a file that `opscan rules calibrate` wrote.")
    rules, cases = _database(arguments)
    record = judged_anew(read_record(arguments.judge), cases, rules)
    write_record(record, arguments.judge)
    return record


def _run(arguments: argparse.Namespace) -> Record:
    from opscan.calibrate.measure import Bench
    from opscan.calibrate.run import calibrate, wanted
    from opscan.calibrate.setup import device_of, setup_of
    from opscan.calibrate.subjects import case_subjects
    from opscan.environment import make_environment
    from opscan.progress import progress

    device = device_of(arguments.device)
    rules, cases = _database(arguments)
    subjects, left_out = case_subjects(cases)
    for module, count in left_out.items():
        complain(f"{count} cases are left out: they need {module}")
    chosen = wanted((*subjects, *_samples(arguments.samples)), arguments.only)
    if not chosen:
        raise OpscanError("nothing has such a name", f"--only {arguments.only}", "`opscan rules list` names the rules.")
    bench = Bench(device, rules, make_environment(device.type), arguments.replays)
    with progress(f"calibrating on {device}"):
        done = calibrate(
            chosen, bench, setup_of(device), arguments.out, again=arguments.again, budget_s=arguments.budget
        )
    complain(f"{done.run} run, {len(chosen) - done.run - done.left} kept as they were: {done.path}")
    if done.left:
        complain(f"the time was over with {done.left} still to run; the same command goes on with them")
    return done.record


def _database(arguments: argparse.Namespace) -> tuple[Ruleset, list[Case]]:
    from opscan.cases import read_cases
    from opscan.config import find_config
    from opscan.rules.load import builtin_rules_dir
    from opscan.target.load import put_first

    put_first(Path.cwd())  # what the cases need may be the user's own
    rules = find_config(Path.cwd()).ruleset(*arguments.rules)
    return rules, [case for folder in (builtin_rules_dir(), *arguments.rules) for case in read_cases(folder)]


def _samples(per_dtype: int) -> tuple[Subject, ...]:
    from opscan.calibrate.subjects import sample_subjects

    if per_dtype < 1:
        return ()
    try:
        return sample_subjects(per_dtype)
    except ImportError as error:
        complain(f"no OpInfo samples, the cases alone: {error} (they need expecttest and numpy)")
        return ()
