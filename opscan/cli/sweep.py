"""`opscan sweep`: scan every model of a package, into one table."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from opscan.cli.looking import size_bytes
from opscan.cli.options import add_environment, add_mode, terminal_width
from opscan.cli.output import say, show
from opscan.cli.words import BACKEND_WORDS, CLEAN, COULD_NOT_LOOK, FINDINGS, FORMAT_WORDS, complain
from opscan.errors import SweepError
from opscan.formats.text import printable
from opscan.writing import check_writable, write_text

if TYPE_CHECKING:
    from opscan.sweeps.found import Found
    from opscan.sweeps.table import Sweep

_EPILOG = """\
exit status:
  0  every target traced, nothing nondeterministic in the mode asked for
  1  findings
  2  some target could not be looked at (its row says why), or the sweep itself

examples:
  opscan sweep vit_pytorch
  opscan sweep timm --all -o timm.csv
  opscan sweep transformers --select 'transformers:Llama*' --list
  opscan sweep targets.txt --backend ray -o table.csv -o table.html
  opscan sweep table.csv --format markdown
"""
_SUFFIXES = {".csv": "csv", ".json": "json", ".html": "html", ".md": "markdown", ".txt": "table"}


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Declare the command and its options."""
    parser = commands.add_parser(
        "sweep",
        help="scan every model of a package",
        description="Find the models of packages, modules or files, and scan each in a process of\nits own, "
        'into one table. Needs joblib and tqdm: pip install "opscan[sweep]"',
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=_sweep)
    parser.add_argument(
        "what", nargs="+", metavar="WHAT",
        help="a package or module (transformers, torchvision.models), a .py file, a text file with one target per line,"
        " or the .csv of a sweep, to show it again",
    )  # fmt: skip
    parser.add_argument("--select", metavar="GLOB", help="only targets or families that match: 'timm:*vit*', bert")
    parser.add_argument("--all", action="store_true", help="of a registry all models, and not one per family")
    parser.add_argument("--list", action="store_true", help="print the targets, and scan none")
    add_mode(parser)
    add_environment(parser)
    _add_limits(parser)
    _add_output(parser)


def _add_limits(parser: argparse.ArgumentParser) -> None:
    how = parser.add_argument_group("how to run")
    how.add_argument("--timeout", type=float, default=60.0, metavar="S", help="seconds for each target (default: 60)")
    how.add_argument(
        "--memory",
        type=size_bytes,
        default="4GiB",
        metavar="SIZE",
        help="memory for each target (default: 4GiB; 0: any)",
    )
    how.add_argument("--jobs", type=int, metavar="N", help="how many at once (default: one per core)")
    how.add_argument(
        "--backend", choices=BACKEND_WORDS, default="loky",
        help="what joblib runs them on: processes here (loky), or a Dask or Ray cluster, begun here by default",
    )  # fmt: skip
    how.add_argument("--cluster", metavar="ADDRESS", help="the address of a Dask or Ray cluster that is there already")
    how.add_argument("--fresh", action="store_true", help="scan again what FILE.journal has from an earlier run")


def _add_output(parser: argparse.ArgumentParser) -> None:
    output = parser.add_argument_group("what to show")
    output.add_argument(
        "-o", "--output", action="append", default=[], type=Path, metavar="FILE",
        help="write the table: .csv, .json, .html, .md or .txt (several times for several); finished targets are kept"
        " in FILE.journal, and the same command goes on from there",
    )  # fmt: skip
    output.add_argument(
        "--format", choices=FORMAT_WORDS, default="table", help="of what is printed (default: table, a summary)"
    )
    output.add_argument("--cost", action="store_true", help="seconds and peak memory of each target, too")


def _sweep(arguments: argparse.Namespace) -> int:
    for path in arguments.output:
        if path.suffix not in _SUFFIXES:
            raise SweepError("no format has this suffix", str(path), f"Use one of {', '.join(_SUFFIXES)}.")
        check_writable(path)
    if arguments.what[0].endswith(".csv"):
        table = _read(arguments.what)
    else:
        from opscan.sweeps.packages import needs
        from opscan.sweeps.search import search

        if not arguments.list:
            needs("joblib")
        found = search(arguments.what, arguments.all, arguments.select)
        if arguments.list:
            return _listed(found)
        table = _scanned(found, arguments)
    for path in arguments.output:
        write_text(path, _rendered(table, _SUFFIXES[path.suffix], arguments.cost))
    show(_rendered(table, arguments.format, arguments.cost), arguments.format == "table")
    return _status(table)


def _read(what: list[str]) -> Sweep:
    from opscan.sweeps.columns import read_csv

    if len(what) > 1:
        raise SweepError("one table at a time", " ".join(what), "Name one .csv file.")
    return read_csv(Path(what[0]))


def _listed(found: Found) -> int:
    from opscan.sweeps.reason import grouped

    say("\n".join(printable(each.target) for each in found.listed))
    for count, reason in grouped(reason for _, reason in found.skipped):
        complain(f"{count} {'module' if count == 1 else 'modules'} could not be imported: {reason}")
    return CLEAN


def _scanned(found: Found, arguments: argparse.Namespace) -> Sweep:
    from opscan.environment import make_environment
    from opscan.isolation.outcome import Limits
    from opscan.sweeps.parallel import Backend
    from opscan.sweeps.run import scan_found
    from opscan.sweeps.task import Settings

    settings = Settings(
        make_environment(arguments.device, arguments.torch, arguments.strict),
        arguments.mode,
        tuple(str(folder.resolve()) for folder in arguments.rules),
        Limits(arguments.timeout, arguments.memory or None),
    )
    backend = Backend(arguments.backend, arguments.jobs or os.cpu_count() or 1, arguments.cluster)
    journal = Path(f"{arguments.output[0]}.journal") if arguments.output else None
    try:
        return scan_found(arguments.what, found, settings, backend, journal, arguments.fresh)
    except KeyboardInterrupt:
        if journal is not None:
            complain(f"what is done is kept in {journal}: the same command goes on from there")
        raise


def _rendered(table: Sweep, format: str, cost: bool) -> str:
    if format == "table":
        return table.to_text(terminal_width())
    if format == "markdown":
        return table.to_markdown()
    return {"csv": table.to_csv, "json": table.to_json, "html": table.to_html}[format](cost)


def _status(table: Sweep) -> int:
    if table.missed:
        return COULD_NOT_LOOK
    return FINDINGS if any(row.fails for row in table.rows) else CLEAN
