"""`opscan check-files`: check the models that source files define, as a hook of a commit does."""

from __future__ import annotations

import argparse

from opscan.cli.options import add_environment, add_mode
from opscan.cli.words import CLEAN, COULD_NOT_LOOK, FINDINGS, complain

_EPILOG = """\
What is checked of a file is said in pyproject.toml:

  [tool.opscan.targets]                   # by file, or by a pattern of files
  "src/net.py" = ["Net(num_classes=10)"]  # names in the file
  "src/layers/*.py" = ["src/net.py:Net"]  # a target elsewhere
  "tests/*" = []                          # nothing

If it says nothing of a file, every nn.Module class that the file defines and
that can be built without flags is; with inputs of [tool.opscan.inputs], or
inputs that are found. A file without such a class is not imported.

exit status:
  0  nothing nondeterministic in the mode asked for, in what could be built
  1  findings
  2  could not look at a target that pyproject.toml names, or at a file
"""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser(
        "check-files",
        help="check the models that changed files define",
        description="Check the models of source files: for commits, where the changed files are known.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=_check_files)
    parser.add_argument("files", nargs="*", metavar="FILE", help="a .py file")
    add_mode(parser)
    parser.add_argument("--timeout", type=float, default=60.0, metavar="S", help="seconds for each model (default: 60)")
    add_environment(parser)


def _check_files(arguments: argparse.Namespace) -> int:
    from opscan.environment import make_environment
    from opscan.files.checked import Question
    from opscan.files.run import check_files

    question = Question(
        make_environment(arguments.device, arguments.torch, arguments.strict),
        arguments.mode,
        tuple(str(folder.resolve()) for folder in arguments.rules),
        arguments.timeout,
    )
    counts = {"clean": 0, "findings": 0, "skipped": 0, "missed": 0}
    for checked in check_files(arguments.files, question):
        counts[checked.outcome] += 1
        if checked.outcome == "findings":
            print(f"{checked.text}\n", flush=True)
        elif checked.outcome == "skipped":
            print(f"skipped   {checked.target}: {checked.text}", flush=True)
        elif checked.outcome == "missed":
            complain(checked.text)
    print(_summary(counts))
    if counts["missed"]:
        return COULD_NOT_LOOK
    return FINDINGS if counts["findings"] else CLEAN


def _summary(counts: dict[str, int]) -> str:
    looked = counts["clean"] + counts["findings"]
    words = [f"{looked} {'model' if looked == 1 else 'models'} checked, {counts['findings']} with findings"]
    if counts["skipped"]:
        words.append(f"{counts['skipped']} skipped (name a target in [tool.opscan.targets] of pyproject.toml)")
    if counts["missed"]:
        words.append(f"{counts['missed']} not looked at")
    return "; ".join(words)
