"""`opscan diff`: what a change added, removed, or made of findings."""

from __future__ import annotations

import argparse

from opscan.cli.options import add_colour, add_show, paint_for, terminal_width
from opscan.cli.output import show
from opscan.cli.words import CLEAN, FINDINGS

_EPILOG = """\
Places are compared by rule, op, module and the text of the line, not by line
numbers; targets by their names, or what the names are in their files.

exit status:
  0  nothing added
  1  something varies or raises that did not before
  2  could not read a document

examples:
  opscan check mymodel:Net --format json > old.json
  opscan check mymodel:Net --format json > new.json
  opscan diff old.json new.json --format markdown
"""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser(
        "diff",
        help="compare two JSON documents of findings",
        description="Say what a change added to the findings of opscan check, and what it removed.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=_diff)
    parser.add_argument("old", metavar="OLD.json", help="what `opscan check ... --format json` wrote before")
    parser.add_argument("new", metavar="NEW.json", help="and after")
    parser.add_argument("--format", choices=("text", "json", "markdown"), default="text")
    add_show(parser)
    add_colour(parser)


def _diff(arguments: argparse.Namespace) -> int:
    from opscan.diffs.compare import compare
    from opscan.diffs.read import read_document
    from opscan.diffs.render import render_json, render_markdown, render_text

    diffs = compare(read_document(arguments.old), read_document(arguments.new))
    if arguments.format == "json":
        rendered = render_json(diffs)
    elif arguments.format == "markdown":
        rendered = render_markdown(diffs, arguments.show)
    else:
        rendered = render_text(diffs, terminal_width(), arguments.show, paint_for(arguments))
    show(rendered, arguments.format == "text")
    return FINDINGS if any(change.adds for diff in diffs for change in diff.changes) else CLEAN
