"""What `check` and `check-files` share: which findings count, how they are shown, and in which format."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from opscan.cli.options import add_colour, paint_for, terminal_width
from opscan.cli.words import DOCUMENT_WORDS, SHOW_WORDS, complain

if TYPE_CHECKING:
    from opscan.report.outcome import Outcome, StaleWaiver
    from opscan.report.report import Report
    from opscan.waiver import Waiver

_ALL_LINES = 1000


def add_format(group: argparse._ActionsContainer) -> None:
    """--format, --verbose and --quiet, --color, --cost."""
    group.add_argument(
        "--format", choices=("table", *DOCUMENT_WORDS), default="table",
        help="table, or for machines: sarif (code scanning), github (annotations), junit (test reports), markdown (a"
        " comment on a pull request), csv, json; html: a page of its own",
    )  # fmt: skip
    add_colour(group)
    much = group.add_mutually_exclusive_group()
    much.add_argument("-v", "--verbose", action="store_true", help="everything: all verdicts, all lines, the cost")
    much.add_argument("-q", "--quiet", action="store_true", help="one line for each target that has findings")
    group.add_argument(
        "--cost", action="store_true", help="what scanning took; no two runs have that in common, so it is asked for"
    )


def add_baseline(parser: argparse.ArgumentParser) -> None:
    """--baseline and --write-baseline."""
    known = parser.add_argument_group("what is known already").add_mutually_exclusive_group()
    known.add_argument(
        "--baseline", metavar="FILE", help="fail only on findings that this JSON document of earlier ones does not have"
    )
    known.add_argument(
        "--write-baseline", metavar="FILE", help="write the findings there, for --baseline, and fail on none"
    )


def check_outputs(arguments: argparse.Namespace) -> None:
    """Raise the OutputError of a file that cannot be written before anything is scanned."""
    from opscan.writing import check_writable

    for path in (getattr(arguments, "output", None), arguments.write_baseline):
        if path is not None:
            check_writable(path)


def acceptance(arguments: argparse.Namespace) -> Callable[[Report, Sequence[Waiver]], Report]:
    """What marks the findings of a report that waivers accept, and those that the baseline has.

    Raises DocumentError for a baseline that cannot be read.
    """
    from datetime import date

    if arguments.baseline:
        from opscan.diffs.read import read_document

        baseline = read_document(arguments.baseline)

    def accept(report: Report, waivers: Sequence[Waiver]) -> Report:
        if waivers:
            from opscan.accepted.waive import waive

            report = waive(report, waivers, date.today())
        if not arguments.baseline:
            return report
        from opscan.accepted.baseline import with_known

        return with_known(report, baseline)

    return accept


def write_baseline(path: str, reports: Sequence[Report]) -> None:
    """Write the findings for --baseline, and say so. Raises OutputError."""
    from opscan.accepted.baseline import render_baseline
    from opscan.formats.paths import find_root
    from opscan.report.report import varies_in
    from opscan.writing import write_text

    write_text(path, render_baseline(reports, find_root(Path.cwd())))
    count = sum(
        each.count for report in reports for each in report.findings if not each.waived and varies_in(each, None)
    )
    complain(f"{path}: written; it has {count} nondeterministic ops, and --baseline {path} fails on others alone")


def document_of(outcome: Outcome, arguments: argparse.Namespace) -> str:
    """The outcome in the format asked for."""
    from dataclasses import replace

    from opscan.report.formats import render

    if not arguments.cost:
        outcome = replace(outcome, reports=tuple(report.without_cost() for report in outcome.reports))
    return render(outcome, arguments.format)


def text_of(report: Report, arguments: argparse.Namespace, show: Sequence[str] = ()) -> str:
    """The table of one report; with --quiet its verdict, and nothing if it has nothing to say."""
    if arguments.quiet:
        from opscan.report.brief import render_line

        return render_line(report) if report.fails(getattr(arguments, "fail_on", None)) else ""
    from opscan.report.table import MOST_QUOTED, render_table

    return render_table(
        report if arguments.cost or arguments.verbose else report.without_cost(),
        terminal_width(),
        SHOW_WORDS if arguments.verbose else show,
        paint_for(arguments),
        _ALL_LINES if arguments.verbose else MOST_QUOTED,
    )


def stale_text(stale: Sequence[StaleWaiver], arguments: argparse.Namespace) -> str:
    """A paragraph for each stale waiver."""
    import textwrap

    from opscan.formats.text import printable
    from opscan.report.words import short_path

    paint = paint_for(arguments)
    lines = (f"{short_path(str(each.waiver.config))}: {each.words} ({each.rule})" for each in stale)
    return "\n".join(
        paint.text(textwrap.fill(printable(line), terminal_width(), subsequent_indent="  "), "bad") for line in lines
    )


def stale_waivers_of(
    waivers: Sequence[Waiver], reports: Sequence[Report], all_were_scanned: bool
) -> tuple[StaleWaiver, ...]:
    """The project's waivers that have ended, or that accept nothing in these reports."""
    if not waivers:
        return ()
    from datetime import date

    from opscan.accepted.waive import stale_waivers

    return tuple(stale_waivers(waivers, reports, date.today(), all_were_scanned))


def explain_rule(rule: str, folders: Sequence[Path]) -> int:
    """Print a rule, as `opscan rules show` does."""
    from opscan.cli.rules import show_rules

    return show_rules([rule.upper()], folders)
