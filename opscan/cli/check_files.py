"""`opscan check-files`: check the models that source files define, as a hook of a commit does."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from opscan.cli.options import add_environment, add_mode, paint_for
from opscan.cli.output import say, show
from opscan.cli.results import (
    acceptance,
    add_baseline,
    add_format,
    check_outputs,
    document_of,
    stale_text,
    stale_waivers_of,
    text_of,
    write_baseline,
)
from opscan.cli.words import CLEAN, COULD_NOT_LOOK, complain
from opscan.formats.text import printable

if TYPE_CHECKING:
    from opscan.files.checked import Checked
    from opscan.report.outcome import Outcome, StaleWaiver, Unseen
    from opscan.report.report import Report
    from opscan.waiver import Waiver

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
    add_format(parser.add_argument_group("what to show"))
    add_baseline(parser)


def _check_files(arguments: argparse.Namespace) -> int:
    from opscan.environment import make_environment
    from opscan.files.checked import Question
    from opscan.files.run import check_files

    check_outputs(arguments)
    question = Question(
        make_environment(arguments.device, arguments.torch, arguments.strict),
        arguments.mode,
        tuple(str(folder.resolve()) for folder in arguments.rules),
        arguments.timeout,
        arguments.format == "html",
    )
    shown = _Shown(arguments)
    for checked in check_files(arguments.files, question):
        shown.add(checked)
    return shown.end()


class _Shown:
    """What was checked so far: printed as it comes, or kept for a document."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self._is_text = arguments.format == "table" and not arguments.write_baseline
        self._accept = acceptance(arguments)
        self._unseen: list[Unseen] = []
        self._reports: list[tuple[str, Report]] = []

    def add(self, checked: Checked) -> None:
        """Take one target, and print it."""
        from opscan.report.outcome import Unseen

        if checked.report is not None:
            report = self._accept(checked.report, ())
            self._reports.append((checked.file, report))
            if self._is_text and (text := self._text(report)):
                say(text)
            return
        is_missed = checked.outcome == "missed"
        self._unseen.append(Unseen(checked.target, checked.text.removeprefix(f"{checked.target}: "), is_missed))
        if is_missed:
            complain(checked.text)
        elif self._is_text and not self._arguments.quiet:
            say(f"skipped   {checked.target}: {checked.text}")

    def end(self) -> int:
        """Print what is said of all, and return the exit status."""
        from opscan.report.outcome import Outcome

        arguments = self._arguments
        reports = [report for _, report in self._reports]
        is_missed = any(each.wanted for each in self._unseen)
        if arguments.write_baseline:
            if not is_missed:
                write_baseline(arguments.write_baseline, reports)
            return COULD_NOT_LOOK if is_missed else CLEAN
        outcome = Outcome(
            tuple(reports), tuple(self._unseen), tuple(self._stale()), has_baseline=bool(arguments.baseline)
        )
        if not self._is_text:
            show(document_of(outcome, arguments), is_text=False)
        else:
            lines = [stale_text(outcome.stale, arguments), "" if arguments.quiet else _summary(outcome)]
            if text := "\n".join(line for line in lines if line):
                say(text)
        return outcome.status

    def _text(self, report: Report) -> str:
        arguments = self._arguments
        if arguments.quiet:
            return text_of(report, arguments)
        if not report.fails() and not arguments.verbose:
            return _waived(report)
        if arguments.verbose:
            return f"{text_of(report, arguments)}\n"
        from opscan.report.brief import render_brief

        return f"{render_brief(report, arguments.mode, paint=paint_for(arguments))}\n"

    def _stale(self) -> Iterator[StaleWaiver]:
        """The waivers of each file's project that its targets show to be stale, each once."""
        from opscan.config import find_config

        projects: dict[tuple[Waiver, ...], list[Report]] = {}
        for file, report in self._reports:
            projects.setdefault(find_config(Path(file).resolve().parent).waivers, []).append(report)
        for waivers, reports in projects.items():
            yield from stale_waivers_of(waivers, reports, False)


def _waived(report: Report) -> str:
    """A line for each waived finding of a report that does not fail."""
    from opscan.report.acceptance import waived_words

    found = (each for each in report.findings if each.waived)
    return "\n".join(printable(f"waived    {report.target}: {waived_words(each)}") for each in found)


def _summary(outcome: Outcome) -> str:
    from opscan.report.acceptance import known_findings

    looked, found = len(outcome.reports), sum(report.fails() for report in outcome.reports)
    skipped = sum(not each.wanted for each in outcome.unseen)
    missed = len(outcome.unseen) - skipped
    words = [f"{looked} {'model' if looked == 1 else 'models'} checked, {found} with findings"]
    if skipped:
        words.append(f"{skipped} skipped (name a target in [tool.opscan.targets] of pyproject.toml)")
    if missed:
        words.append(f"{missed} not looked at")
    known = sum(each.count for report in outcome.reports for each in known_findings(report))
    waived = sum(each.count for report in outcome.reports for each in report.findings if each.waived)
    words += [
        f"{count} ops {what}" for count, what in ((waived, "waived"), (known, "known from the baseline")) if count
    ]
    return "; ".join(words)
