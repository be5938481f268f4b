"""`opscan rules`: look into the rules database, prove a folder of rules, audit a torch build, calibrate on a device."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from opscan.cli import calibrate
from opscan.cli.options import terminal_width
from opscan.cli.output import say, show
from opscan.cli.words import CLEAN, DEVICE_WORDS, FINDINGS, VERDICT_WORDS, complain
from opscan.errors import RulesError
from opscan.formats.json import json_text

_EPILOG = """\
exit status:
  0  done; for check, audit and calibrate: nothing wrong
  1  check: a case fails or a row has none; audit: something no row covers, or a row that nothing bears out;
     calibrate: the device contradicts a row
  2  could not look

examples:
  opscan rules list --verdict silent
  opscan rules show OPS102
  opscan rules check determinism/rules
  opscan rules audit torch-2.15.0-cp311-cp311-manylinux_2_28_x86_64.whl
  opscan rules calibrate --budget 8m
"""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command and its subcommands."""
    parser = commands.add_parser(
        "rules",
        help="look into the rules database, prove your own rules, audit a torch build, calibrate on a device",
        description="The rules database: what is known of every nondeterministic op, per torch release, with evidence.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subcommands = parser.add_subparsers(title="subcommands", required=True, metavar="SUBCOMMAND")
    _add_list(subcommands.add_parser("list", help="one line per rule"))
    _add_show(subcommands.add_parser("show", help="everything a rule knows, with its history per torch release"))
    _add_check(subcommands.add_parser("check", help="read a folder of rules and run the cases beside them"))
    _add_audit(subcommands.add_parser("audit", help="compare the rules with what a torch build shows of itself"))
    calibrate.add(subcommands)


def _add_list(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=_list)
    parser.add_argument("--device", choices=DEVICE_WORDS, default="auto", help="default: cuda")
    parser.add_argument("--torch", metavar="VERSION", help="default: the one installed")
    parser.add_argument("--verdict", choices=VERDICT_WORDS[:-1], help="only rules that can give this verdict")
    _add_common(parser)


def _add_show(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=_show)
    parser.add_argument("ids", nargs="+", metavar="ID", help="as OPS102")
    _add_common(parser)


def _add_check(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=_check)
    parser.add_argument("folder", type=Path, metavar="DIR", help="a folder of *.toml rules and *.cases.toml cases")


def _add_audit(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(command=_audit)
    parser.add_argument(
        "target", type=Path, metavar="TARGET", help="a wheel file, an installed torch folder, or a site-packages folder"
    )
    _add_common(parser)


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--format", choices=("table", "json"), default="table")
    parser.add_argument(
        "--rules", action="append", default=[], type=Path, metavar="DIR", help="a folder of further rules"
    )


def _list(arguments: argparse.Namespace) -> int:
    from opscan.config import find_config
    from opscan.environment import make_environment
    from opscan.report.rulepage import render_rule_list, rule_document, verdicts_of

    environment = make_environment(arguments.device, arguments.torch)
    rules = [
        rule
        for rule in find_config(Path.cwd()).ruleset(*arguments.rules).rules
        if (found := verdicts_of(rule, environment)) and arguments.verdict in (None, *found)
    ]
    if arguments.format == "json":
        _print_json([rule_document(rule) for rule in rules])
    else:
        say(render_rule_list(rules, environment, terminal_width()))
    return CLEAN


def _show(arguments: argparse.Namespace) -> int:
    return show_rules(arguments.ids, arguments.rules, arguments.format)


def show_rules(ids: Sequence[str], folders: Sequence[Path], format: str = "table") -> int:
    """Print everything that is known of some rules. Raises RulesError for an id that no rule has."""
    import difflib

    from opscan.calibrate.rows import read_records, seen_of_rule
    from opscan.config import find_config
    from opscan.report.rulepage import render_rule, rule_document
    from opscan.rules.load import builtin_rules_dir

    known = {rule.id: rule for rule in find_config(Path.cwd()).ruleset(*folders).rules}
    for each in ids:
        if each not in known:
            close = difflib.get_close_matches(each.upper(), known, n=3)
            meant = f"Close to it: {', '.join(close)}. " if close else ""
            raise RulesError(f"no rule has the id {each}", "", f"{meant}`opscan rules list` prints them all.")
    records = [each for folder in (builtin_rules_dir(), *folders) for each in read_records(folder)]
    pages = [(known[each], seen_of_rule(each, records)) for each in ids]
    if format == "json":
        _print_json([rule_document(rule) | {"observed": list(seen)} for rule, seen in pages])
    else:
        say("\n\n\n".join(render_rule(rule, terminal_width(), seen) for rule, seen in pages))
    return CLEAN


def _check(arguments: argparse.Namespace) -> int:
    from opscan.cases import failure_of, lacking, read_cases, unproven
    from opscan.rules.load import builtin_rules_dir, load_rules, make_ruleset, read_folder
    from opscan.target.load import put_first

    own = list(read_folder(arguments.folder))
    if arguments.folder.resolve() == builtin_rules_dir().resolve():
        rules = make_ruleset(own)
    else:  # ids may not clash with the shipped ones either
        rules = make_ruleset((*load_rules().rules, *own))
    cases = list(read_cases(arguments.folder))
    problems = [f"{each}: no case shows what it says" for each in unproven(own, cases)]
    skipped: Counter[str] = Counter()
    put_first(Path.cwd())  # what the cases need may be the user's own
    for case in cases:
        if missing := lacking(case):
            skipped.update(missing)
        elif failure := failure_of(case, rules):
            problems.append(f"{case.rule}, case {case.name!r} ({case.source}): {failure}")
    for problem in problems:
        complain(problem)
    counted = f"{_counted(len(own), 'rule')}, {_counted(len(cases), 'case')}"
    without = ", ".join(f"{count} not run without {name}" for name, count in skipped.items())
    outcome = f"{len(problems)} wrong" if problems else "all as they say"
    say(f"{counted}{f' ({without})' if without else ''}: {outcome}.")
    return FINDINGS if problems else CLEAN


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"


def _audit(arguments: argparse.Namespace) -> int:
    from opscan.audit import audit, load_claims, read_signs
    from opscan.config import find_config
    from opscan.rules.load import builtin_rules_dir

    rules = find_config(Path.cwd()).ruleset(*arguments.rules)
    outcome = audit(read_signs(arguments.target), rules, load_claims(builtin_rules_dir(), *arguments.rules))
    is_text = arguments.format != "json"
    show(outcome.to_text(terminal_width()) if is_text else outcome.to_json(), is_text)
    return CLEAN if outcome.clean else FINDINGS


def _print_json(rules: list[dict[str, object]]) -> None:
    show(json_text({"schema": 1, "rules": rules}), is_text=False)
