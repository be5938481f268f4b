"""`opscan lint`: mistakes that stand in the source, found without importing torch or the code."""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from opscan.cli.output import hand_out, say, show
from opscan.cli.words import CLEAN, COULD_NOT_LOOK, FINDINGS, complain

if TYPE_CHECKING:
    from opscan.lint.engine import Options
    from opscan.lint.finding import FileResult, Finding, Problem
    from opscan.lint.settings import LintConfig

FORMAT_WORDS = ("text", "json", "sarif", "github", "markdown")
LEVEL_WORDS = ("error", "warning", "info")
_EPILOG = """\
exit status:
  0  nothing found
  1  findings (with --diff: something to mend)
  2  could not look at one of the files

A line is left alone with `# noqa` or `# noqa: OPL101` at its end. In pyproject.toml:

  [tool.opscan.lint]
  ignore = ["OPL406"]
  per-file-ignores = { "tests/*" = ["OPL2"] }
  exclude = ["third_party"]
  torch = "2.10"        # the oldest torch you run on: what only older ones need is not asked for

examples:
  opscan lint
  opscan lint train.py notebooks --diff
  opscan lint --select OPL1,OPL2 --format github
  opscan lint --explain OPL101
"""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser(
        "lint",
        help="find mistakes with seeds, settings and data loaders in source files and notebooks",
        description="Find mistakes that make runs differ in source files and notebooks; neither torch nor the code is"
        " imported.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=_lint)
    parser.add_argument(
        "paths", nargs="*", metavar="PATH",
        help="files and folders (default: .); - reads standard input",
    )  # fmt: skip
    asked = parser.add_argument_group("what is asked")
    asked.add_argument("--select", action="append", default=[], metavar="CODES", help="only these: OPL101,OPL2; or ALL")
    asked.add_argument("--ignore", action="append", default=[], metavar="CODES", help="not these")
    asked.add_argument("--level", choices=LEVEL_WORDS, help="the least level shown (default: warning)")
    asked.add_argument("--torch", metavar="VERSION", help="the oldest torch the code runs on")
    asked.add_argument(
        "--exclude", action="append", default=[], metavar="PATTERN", help="files and folders to leave out"
    )
    mending = parser.add_mutually_exclusive_group()
    mending.add_argument("--fix", action="store_true", help="write what can be mended safely, marked [*]")
    mending.add_argument("--diff", action="store_true", help="show what --fix would write, and write nothing")
    parser.add_argument("--format", choices=FORMAT_WORDS, default="text", help="markdown is for --rules")
    parser.add_argument("--statistics", action="store_true", help="how often each rule found something")
    parser.add_argument("--stdin-filename", default="-", metavar="FILE", help="the name of what is read with -")
    parser.add_argument("--jobs", type=_positive, metavar="N", help="processes (default: as many as pay)")
    parser.add_argument("--explain", metavar="CODE", help="print what a rule is about, with its evidence")
    parser.add_argument("--rules", action="store_true", help="list the rules")


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1")
    return int(text)


def _lint(arguments: argparse.Namespace) -> int:
    from opscan.lint.settings import find_lint_config

    if arguments.explain or arguments.rules:
        return _tell(arguments)
    config = find_lint_config(os.curdir)
    options = _options(arguments, config)
    problems: list[Problem] = []
    results = list(_results(arguments, config, options, problems))
    problems += [each.problem for each in results if each.problem is not None]
    findings = [one for each in results for one in each.findings if not config.ignores(one)]
    if arguments.fix or arguments.diff:
        return _mend(arguments, findings, problems)
    _print(arguments, findings, problems)
    return COULD_NOT_LOOK if problems else FINDINGS if findings else CLEAN


def _tell(arguments: argparse.Namespace) -> int:
    from opscan.lint.rule import RULES
    from opscan.lint.words import explain, read_words, render_docs

    words = read_words()
    if arguments.rules and arguments.format == "markdown":
        hand_out(render_docs())
        return CLEAN
    if arguments.rules:
        for code, each in words.items():
            say(f"{code}  {RULES[code].level:<7}  {each.title}")
        return CLEAN
    code = arguments.explain.upper()
    if code not in words:
        complain(f"no rule {arguments.explain!r}; `opscan lint --rules` lists them")
        return COULD_NOT_LOOK
    say(explain(code), end="")
    return CLEAN


def _options(arguments: argparse.Namespace, config: LintConfig) -> Options:
    from opscan.lint.engine import Options
    from opscan.lint.rule import RULES
    from opscan.lint.rules import load_all
    from opscan.lint.settings import choose_rules, read_torch

    load_all()
    rules = choose_rules(
        RULES.values(),
        _codes(arguments.select) or config.select,
        (*config.ignore, *_codes(arguments.ignore)),
        arguments.level or config.level,
        "--select, --ignore or [tool.opscan.lint]",
    )
    torch = read_torch(arguments.torch, "--torch") if arguments.torch else config.torch
    return Options(rules, torch)


def _codes(words: Iterable[str]) -> tuple[str, ...]:
    return tuple(code.strip() for word in words for code in word.split(",") if code.strip())


def _results(
    arguments: argparse.Namespace, config: LintConfig, options: Options, problems: list[Problem]
) -> Iterable[FileResult]:
    from opscan.lint.discover import find_files
    from opscan.lint.engine import lint_source
    from opscan.lint.run import lint_files

    if "-" in arguments.paths:
        arguments.stdin = sys.stdin.buffer.read()
        return [lint_source(arguments.stdin, arguments.stdin_filename, options)]
    exclude = (*config.exclude, *_codes(arguments.exclude))
    files = find_files(arguments.paths or [os.curdir], exclude, config.root, problems)
    if not files and not problems:
        complain("no Python files or notebooks there")
    return lint_files(files, options, arguments.jobs)


def _print(arguments: argparse.Namespace, findings: Sequence[Finding], problems: Sequence[Problem]) -> None:
    from opscan.lint import output

    if arguments.format == "json":
        hand_out(output.render_json(findings))
    elif arguments.format == "sarif":
        from opscan.lint.sarif import render_sarif

        hand_out(render_sarif(findings, problems))
    elif arguments.format == "github":
        hand_out(output.render_github(findings, problems))
    elif arguments.statistics:
        for code, count in sorted(Counter(each.code for each in findings).items()):
            say(f"{count:6} {code}")
    else:
        say(output.render_text(findings), end="")
    _complain(problems)
    if arguments.format == "text" and findings:
        mendable = sum(bool(each.edits) for each in findings)
        words = f"{len(findings)} finding{'s' if len(findings) > 1 else ''}"
        complain(f"{words}, {mendable} marked [*] can be mended with --fix" if mendable else words)


def _mend(arguments: argparse.Namespace, findings: Sequence[Finding], problems: list[Problem]) -> int:
    """Mend file by file; what is mended is no longer a finding."""
    by_file: dict[str, list[Finding]] = {}
    for each in findings:
        by_file.setdefault(each.file, []).append(each)
    mended: set[Finding] = set()
    for file, own in by_file.items():
        mended |= _mend_one(arguments, file, own, problems)
    if "-" in arguments.paths and not mended and arguments.fix:
        hand_out(arguments.stdin)
    left = [each for each in findings if each not in mended]
    if arguments.diff:
        _complain(problems)
        complain(f"{len(mended)} of {len(findings)} findings can be mended")
        return COULD_NOT_LOOK if problems else FINDINGS if findings else CLEAN
    if "-" not in arguments.paths:
        _print(arguments, left, problems)
    complain(f"{len(mended)} mended, {len(left)} left")
    return COULD_NOT_LOOK if problems else FINDINGS if left else CLEAN


def _mend_one(
    arguments: argparse.Namespace, file: str, findings: Sequence[Finding], problems: list[Problem]
) -> set[Finding]:
    """Mend one file, or show or print how it would be; the findings that are gone."""
    from opscan.lint.finding import Problem
    from opscan.lint.fix import Mended, difference, mend, write

    try:
        outcome = mend(file, _bytes_of(arguments, file), findings)
    except OSError as error:
        outcome = Problem(file, f"not mended: {error.strerror or error}")
    if isinstance(outcome, Mended):
        if arguments.diff:
            show(difference(outcome), sys.stdout.isatty())
        elif "-" in arguments.paths:
            hand_out(outcome.data)
        elif problem := write(outcome):
            problems.append(problem)
            return set()
        return set(outcome.applied)
    if outcome is not None:
        problems.append(outcome)
    return set()


def _complain(problems: Iterable[Problem]) -> None:
    for each in problems:
        complain(str(each))


def _bytes_of(arguments: argparse.Namespace, file: str) -> bytes:
    if "-" in arguments.paths:
        stdin: bytes = arguments.stdin
        return stdin
    with open(file, "rb") as stream:
        return stream.read()
