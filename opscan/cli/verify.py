"""`opscan verify`: run it twice, and find the first place where the runs part."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from opscan.cli.options import terminal_width
from opscan.cli.output import show
from opscan.cli.words import COULD_NOT_LOOK, complain
from opscan.distributed.launch import is_launched
from opscan.errors import OutputError, VerifyError
from opscan.progress import progress
from opscan.writing import check_writable, write_text

if TYPE_CHECKING:
    from opscan.verifying.outcome import Verification

_EPILOG = """\
exit status:
  0  the runs are identical to the last bit
  1  they part, or ranks of one run differ in what is to be equal; the answer says where first
  2  they could not be compared to the end, and were the same as far as they came

examples:
  opscan verify train.py
  opscan verify train.py --steps 50 -o growth.html -- --epochs 1
  opscan verify mymodel:train
  opscan verify train.py --processes 2
  torchrun --nproc-per-node 2 -m opscan verify train.py
  opscan verify train.py --resume='--resume last.ckpt' -- --epochs 2
  opscan verify train.py --keep here; opscan verify --compare here/run1.opslog there/run1.opslog
"""
_FORMATS = ("text", "json", "html")
_SUFFIXES = {".html": "html", ".json": "json", ".txt": "text"}


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser(
        "verify",
        help="run a training twice, and find where the runs part",
        usage="opscan verify [options] TARGET [-- ARGS]",
        description="Run a training twice in fresh processes, compare weights, batches, random numbers, ops and\n"
        "logged values bit by bit, and say where the runs part first, why, and how the difference grows.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=_verify)
    parser.add_argument(
        "target", nargs="?", metavar="TARGET", help="train.py, pkg.mod:function or path/file.py:function"
    )
    plainly = parser.parse_known_args

    def cut(words: Sequence[str], namespace: argparse.Namespace) -> tuple[argparse.Namespace, list[str]]:
        """What stands behind -- is the script's, whatever it looks like."""
        at = words.index("--") if "--" in words else len(words)
        found, rest = plainly(words[:at], namespace)
        found.args = list(words[at + 1 :])
        return found, rest

    parser.parse_known_args = cut  # type: ignore[method-assign,assignment]  # argparse has no other way in
    parser.add_argument("--compare", nargs=2, type=Path, metavar="FILE", help="compare two records, and run nothing")
    parser.add_argument(
        "--resume", metavar="WORDS",
        help="check that a run that is ended and resumed equals one that is not: what the script is given to resume,"
        " in one text, '' for nothing",
    )  # fmt: skip
    parser.add_argument(
        "--stop", type=int, metavar="N", help="with --resume: end the run after N steps (default: half)"
    )
    _add_runs(parser)
    _add_output(parser)


def _add_runs(parser: argparse.ArgumentParser) -> None:
    how = parser.add_argument_group("how to run")
    how.add_argument("--runs", type=_positive, default=2, metavar="N", help="how many runs (default: 2)")
    how.add_argument("--steps", type=_positive, metavar="N", help="end each run after N steps")
    how.add_argument("--timeout", type=float, metavar="S", help="end each run after S seconds")
    how.add_argument(
        "--processes", "--ranks", dest="ranks", type=_positive, default=1, metavar="N",
        help="each run is N ranks, started as torchrun does; ranks of one run are compared as well",
    )  # fmt: skip
    what = parser.add_argument_group("what to record")
    what.add_argument(
        "--ops", choices=("auto", "all", "none"), default="auto",
        help="every op of the first step, and of the step where the runs part, which takes two further runs (auto); of"
        " all steps; of none",
    )  # fmt: skip
    what.add_argument("--every", type=_positive, default=1, metavar="N", help="parameters every N steps (default: 1)")
    what.add_argument(
        "--modules", action="append", default=[], metavar="GLOB", help="ops only of modules that match: 'layers.3.*'"
    )


def _add_output(parser: argparse.ArgumentParser) -> None:
    output = parser.add_argument_group("what to show")
    output.add_argument("--format", choices=_FORMATS, default="text", help="of what is printed (default: text)")
    output.add_argument(
        "-o", "--output", action="append", default=[], type=Path, metavar="FILE",
        help="write the answer: .html with plots, .json or .txt (several times for several)",
    )  # fmt: skip
    output.add_argument("--keep", type=Path, metavar="DIR", help="keep the records of the runs (.opslog) in a folder")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


def _verify(arguments: argparse.Namespace) -> int:
    if is_launched() and not arguments.compare:
        if os.environ["RANK"] != "0":
            return 0  # rank 0 starts ranks of its own, for every run anew
        arguments.ranks = _ranks_launched(arguments.target)
    for path in arguments.output:
        if path.suffix not in _SUFFIXES:
            raise VerifyError("no format has this suffix", str(path), f"Use one of {', '.join(_SUFFIXES)}.")
        check_writable(path)
    found = _found(arguments)
    lost = [path for path in arguments.output if not _write(path, found)]
    show(_rendered(found, arguments.format), arguments.format == "text")
    return found.status if not lost else COULD_NOT_LOOK


def _ranks_launched(target: str) -> int:
    """As many as torchrun has started, which have to be on this machine."""
    size = os.environ["WORLD_SIZE"]
    if os.environ.get("LOCAL_WORLD_SIZE", size) != size:
        hint = "Run it with --keep on one machine, or with fewer ranks; --compare compares records of two machines."
        raise VerifyError("its ranks are on several machines, and are recorded on one", target, hint)
    return int(size)


def _found(arguments: argparse.Namespace) -> Verification:
    if arguments.compare:
        from opscan.verifying.verify import compare_files

        if arguments.target:
            raise VerifyError("--compare runs nothing", arguments.target, "Leave out the target.")
        return compare_files(*arguments.compare)
    if not arguments.target:
        raise VerifyError("nothing to run", "", "Name a script or a function: opscan verify train.py")
    _check_target(arguments.target)
    with progress(f"running {arguments.target} {arguments.runs} times"):
        if arguments.resume is not None:
            return _resumed(arguments)
        return _run_twice(arguments)


def _run_twice(arguments: argparse.Namespace) -> Verification:
    from opscan.verifying.verify import verify

    return verify(
        arguments.target,
        runs=max(arguments.runs, 2),
        args=arguments.args,
        ops=arguments.ops,
        every=arguments.every,
        modules=arguments.modules,
        steps=arguments.steps,
        timeout=arguments.timeout,
        ranks=arguments.ranks,
        keep=arguments.keep,
    )


def _resumed(arguments: argparse.Namespace) -> Verification:
    import shlex

    from opscan.verifying.resume import verify_resume

    words = shlex.split(arguments.resume)
    return verify_resume(
        arguments.target, arguments.args, words, arguments.stop, arguments.timeout, arguments.every, arguments.keep
    )


def _check_target(target: str) -> None:
    """Say it before anything is started, where there is no such script."""
    if ":" not in target and not target.endswith(".py"):
        raise VerifyError("not a script or a function", target, "Write train.py, pkg.mod:train or file.py:train.")
    file = target.partition(":")[0] if ":" in target else target
    if file.endswith(".py") and not os.path.isfile(file):
        raise VerifyError("no such file", file, f"Looked in {Path.cwd()}.")


def _rendered(found: Verification, format: str) -> str:
    if format == "text":
        return found.to_text(terminal_width())
    return found.to_json() if format == "json" else found.to_html()


def _write(path: Path, found: Verification) -> bool:
    """Write the answer, or say why not: it took long to find, and is printed in any case."""
    try:
        write_text(path, _rendered(found, _SUFFIXES[path.suffix]))
    except OutputError as error:
        complain(str(error))
        return False
    return True
