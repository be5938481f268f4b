"""What linting costs, beside other linters on the same tree in one run: `python benchmarks/lint.py [FOLDER]`.

Every round runs each program once, one after the other, so that whatever else the machine does falls on all; the table
has medians of wall time, of CPU time with that of child processes, and of the ratios of both within a round. On a
machine with other work the CPU time says more. ruff, torchdetscan and torchfix are found on PATH or in --bin; what is
missing has no row. Ratios are the others' time by opscan's, for ruff and `python -c pass` the reverse. All run with
bytecode written beside their sources, as pip leaves it.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NamedTuple

WALK = """
import ast, pathlib, sys
for path in pathlib.Path(sys.argv[1]).rglob("*.py"):
    for node in ast.walk(ast.parse(path.read_bytes())):
        pass
"""
ROOT = Path(__file__).resolve().parent.parent
OPSCAN = [sys.executable, "-m", "opscan", "lint"]
PIECE = """
class Net{0}(nn.Module):
    def __init__(self, files):
        super().__init__()
        self.layer = nn.Linear(3, 3)
        self.weight = nn.Parameter(torch.empty(3))
        nn.init.zeros_(self.weight)
        self.files = sorted(os.listdir(files))

    def forward(self, x):
        return F.dropout(self.layer(x) * self.weight, 0.1, training=self.training)

def train{0}(loader, seed):
    torch.manual_seed(seed)
    np.random.seed(seed)
    model = Net{0}("data")
    rng = np.random.default_rng(seed)
    generator = torch.Generator()
    generator.manual_seed(seed)
    for number, name in enumerate(sorted(set(model.files))):
        for x, y in loader:
            (model(x) - y).sum().backward()
"""
HEAD = "import os\nimport numpy as np\nimport torch\nimport torch.nn.functional as F\nfrom torch import nn\n"


@dataclass(frozen=True)
class Row:
    what: str
    wall_seconds: float | None
    cpu_seconds: float
    wall_ratio: float | None
    cpu_ratio: float
    target: str


class Cost(NamedTuple):
    wall: float
    cpu: float


def cost(command: list[str]) -> Cost:
    """What one run takes; away from any pyproject.toml, so that the defaults are measured."""
    written = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment = {**written, "PYTHONPATH": os.pathsep.join((str(ROOT), os.environ.get("PYTHONPATH", "")))}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, capture_output=True, check=False, cwd=tempfile.gettempdir(), env=environment)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Cost(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


def median_ratio(above: list[Cost], below: list[Cost]) -> Cost:
    """The medians of the ratios within a round."""
    pairs = list(zip(above, below, strict=False))
    return Cost(
        statistics.median(a.wall / b.wall for a, b in pairs), statistics.median(a.cpu / b.cpu for a, b in pairs)
    )


def middle(costs: list[Cost]) -> Cost:
    return Cost(statistics.median(each.wall for each in costs), statistics.median(each.cpu for each in costs))


def program(name: str, folder: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join((folder, os.environ["PATH"])))


def others(tree: str, folder: str, slow: bool) -> dict[str, list[str]]:
    found = {"ast.parse and ast.walk": [sys.executable, "-c", WALK, tree]}
    if ruff := program("ruff", folder):
        found["ruff, two rules"] = [ruff, "check", "--isolated", "--no-cache", "--select", "NPY002,S311", tree]
    if detscan := program("torchdetscan", folder):
        found["torchdetscan"] = [detscan, tree]
    if slow and (torchfix := program("torchfix", folder)):
        found["torchfix"] = [torchfix, "--select", "ALL", tree]
    return found


def tree_rows(tree: str, folder: str, runs: int, slow: bool) -> list[Row]:
    commands = {"opscan lint": [*OPSCAN, tree], **others(tree, folder, slow)}
    times: dict[str, list[Cost]] = {name: [] for name in commands}
    for number in range(runs + 1):  # the first round fills the caches of the file system
        for name, command in commands.items():
            if name == "torchfix" and number != 1:
                continue
            spent = cost(command)
            if number:
                times[name].append(spent)
    own = times["opscan lint"]
    rows = [Row("opscan lint", *middle(own), 1.0, 1.0, "")]
    targets = {"torchdetscan": ">= 3x", "torchfix": ">= 100x", "ruff, two rules": "opscan <= 8x"}
    for name, spent in list(times.items())[1:]:
        ratio = median_ratio(own, spent) if "ruff" in name else median_ratio(spent, own)
        rows.append(Row(name, *middle(spent), *ratio, targets.get(name, "")))
    return rows


def small_file_row(runs: int) -> Row:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "train.py")
        path.write_text(HEAD + PIECE.format(0))
        pairs = [(cost([*OPSCAN, str(path)]), cost([sys.executable, "-c", "pass"])) for _ in range(runs + 1)][1:]
    more = middle([Cost(a.wall - b.wall, a.cpu - b.cpu) for a, b in pairs])
    ratio = median_ratio([a for a, _ in pairs], [b for _, b in pairs])
    return Row("one small file, more than `python -c pass`", *more, *ratio, "<= 0.15 s of wall time")


def linearity_rows(runs: int) -> list[Row]:
    """CPU time for files of 1, 10 and 50 times the length, in this process."""
    from opscan.lint.engine import Options
    from opscan.lint.rule import RULES
    from opscan.lint.rules import load_all
    from opscan.lint.run import lint_files

    load_all()
    rows, first = [], 0.0
    with tempfile.TemporaryDirectory() as folder:
        for times in (1, 10, 50):
            text = HEAD + "".join(PIECE.format(number) for number in range(20 * times))
            path = Path(folder, f"{times}.py")
            path.write_text(text)
            spent = []
            for _ in range(runs):
                start = time.process_time()
                list(lint_files([str(path)], Options(tuple(RULES.values()))))
                spent.append(time.process_time() - start)
            median = statistics.median(spent)
            first = first or median
            rows.append(
                Row(f"{text.count(chr(10)):,} lines in one file", None, median, None, median / first, f"~ {times}x")
            )
    return rows


def installed(package: str) -> str:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"{package} is not installed; name a folder to lint")
    return str(next(iter(spec.submodule_search_locations)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", help="the tree to lint (default: the installed timm)")
    parser.add_argument("--bin", default="", metavar="FOLDER", help="where the other linters are")
    parser.add_argument("--runs", type=int, default=5, help="rounds measured; torchfix is run once")
    parser.add_argument("--fast", action="store_true", help="leave torchfix out, which takes minutes")
    parser.add_argument("--json", action="store_true", help="print data instead of a table")
    arguments = parser.parse_args()
    tree = os.path.abspath(arguments.folder or installed("timm"))
    rows = tree_rows(tree, arguments.bin, arguments.runs, not arguments.fast)
    rows += [small_file_row(arguments.runs), *linearity_rows(arguments.runs)]
    machine = {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "files": sum(1 for _ in Path(tree).rglob("*.py")),
    }
    if arguments.json:
        print(json.dumps({"machine": machine, "rows": [asdict(row) for row in rows]}, indent=2))
        return
    print(", ".join(f"{name} {value}" for name, value in machine.items()))
    print("| what | wall time | CPU time | ratio of wall time | of CPU time | target |")
    print("| --- | --- | --- | --- | --- | --- |")
    for row in rows:
        wall = "" if row.wall_seconds is None else f"{row.wall_seconds:.3f} s"
        ratio = "" if row.wall_ratio is None else f"{row.wall_ratio:.2f}x"
        print(f"| {row.what} | {wall} | {row.cpu_seconds:.3f} s | {ratio} | {row.cpu_ratio:.2f}x | {row.target} |")


if __name__ == "__main__":
    main()
