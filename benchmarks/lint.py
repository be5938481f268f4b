"""What linting costs, beside other linters on the same tree in one run: `python benchmarks/lint.py [FOLDER]`.

ruff, torchdetscan, torchfix, semgrep and pylint with dslinter are found on PATH or in --bin; what is missing has no
row. The tree is torch's own `torch/nn` by default. torchfix, semgrep and pylint take minutes for it: beside them opscan
lints FILES of its files too. What each of them is asked for is in `commands`; none needs a network. To have them:

    python -m venv peers && peers/bin/pip install ruff torchfix torchdetscan semgrep "pylint<3" dslinter
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from measure import Row, child, compare
from table import printed

WALK = """
import ast, pathlib, sys
for path in pathlib.Path(sys.argv[1]).rglob("*.py"):
    for node in ast.walk(ast.parse(path.read_bytes())):
        pass
"""
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
SEMGREP = """\
rules:
  - {id: flag, languages: [python], severity: WARNING, message: m, pattern: torch.backends.cudnn.benchmark = True}
  - {id: cuda-seed, languages: [python], severity: WARNING, message: m, pattern: torch.cuda.manual_seed($X)}
  - {id: np-seed, languages: [python], severity: WARNING, message: m, pattern: np.random.seed(...)}
  - {id: loader, languages: [python], severity: WARNING, message: m, pattern: "DataLoader(..., shuffle=True, ...)"}
"""
FILES = 24


def rows(tree: str, folder: str, runs: int) -> Iterator[Row]:
    """The tree with what is quick, a part of it with what is slow, and files of one, ten and fifty times the length."""
    with tempfile.TemporaryDirectory() as part:
        for path in sorted(Path(tree).rglob("*.py"), key=lambda path: -path.stat().st_size)[:FILES]:
            shutil.copy(path, Path(part, f"{path.parent.name}_{path.name}"))
        Path(part, "rules.yaml").write_text(SEMGREP)
        own, own_part = (child(sys.executable, "-m", "opscan", "lint", each) for each in (tree, part))
        name, part_name = f"opscan lint {_short(tree)}", f"opscan lint, {FILES} files of {_short(tree)}"
        quick, slow = commands(tree, part, folder)
        for other, words in quick.items():
            yield compare("lint", name, own, other, child(*words), runs, above=True)
        if ruff := _program("ruff", folder):
            words = (ruff, "check", "--isolated", "--no-cache", "--select", "NPY002,S311", tree)
            yield compare("lint", name, own, "ruff check, two rules", child(*words), runs, 8.0)
        for other, words in slow.items():
            target = 100.0 if "torchfix" in other else None
            yield compare("lint", part_name, own_part, other, child(*words), 1, target, above=True, warm=False)
    yield from _by_length(runs)


def commands(tree: str, part: str, folder: str) -> tuple[Mapping[str, tuple[str, ...]], Mapping[str, tuple[str, ...]]]:
    """What is run on the whole tree, and what on a part of it."""
    quick: dict[str, tuple[str, ...]] = {"ast.parse and ast.walk": (sys.executable, "-c", WALK, tree)}
    slow: dict[str, tuple[str, ...]] = {}
    if found := _program("torchdetscan", folder):
        quick["torchdetscan"] = (found, tree)
    if found := _program("torchfix", folder):
        slow["torchfix --select ALL"] = (found, "--select", "ALL", part)
    if found := _program("semgrep", folder):
        quiet = ("--metrics=off", "--disable-version-check", "--no-git-ignore", "--quiet")
        slow["semgrep, four patterns"] = (found, "scan", *quiet, "--config", f"{part}/rules.yaml", part)
    if (found := _program("pylint", folder)) and _has(found, "dslinter"):
        only = ("--disable=all", "--enable=dslinter", "--load-plugins=dslinter")
        slow["pylint with dslinter"] = (found, *only, *map(str, sorted(Path(part).glob("*.py"))))
    return quick, slow


def _short(tree: str) -> str:
    path = Path(tree)
    return path.name if path.parent.name.endswith("-packages") else f"{path.parent.name}/{path.name}"


def _program(name: str, folder: str) -> str | None:
    return shutil.which(name, path=os.pathsep.join((folder, os.environ["PATH"])))


def _has(program: str, package: str) -> bool:
    """Whether a package lies in the environment that a program belongs to."""
    return any(Path(program).resolve().parent.parent.glob(f"lib/python*/site-packages/{package}")) or any(
        Path(program).parent.parent.glob(f"lib/python*/site-packages/{package}")
    )


def _by_length(runs: int) -> Iterator[Row]:
    """CPU time per line for a file of 10 and of 50 times the length of another, in this process."""
    from opscan.lint.engine import Options
    from opscan.lint.rule import RULES
    from opscan.lint.rules import load_all
    from opscan.lint.run import lint_files

    load_all()
    spent: dict[int, float] = {}
    lines = HEAD.count("\n") + 20 * PIECE.count("\n")
    with tempfile.TemporaryDirectory() as folder:
        for times in (1, 10, 50):
            path = Path(folder, f"{times}.py")
            path.write_text(HEAD + "".join(PIECE.format(number) for number in range(20 * times)))
            measured = []
            for _ in range(runs):
                start = time.process_time()
                list(lint_files([str(path)], Options(tuple(RULES.values()))))
                measured.append(time.process_time() - start)
            spent[times] = statistics.median(measured)
    for times in (10, 50):
        what = f"linting a file of {times * lines:,} lines, per line"
        ratio = spent[times] / spent[1] / times
        yield Row("lint", what, spent[times], f"of {lines:,} lines", spent[1], ratio, None, 1.3, runs)


def default_tree() -> str:
    """The sources of torch.nn, which are wherever torch is."""
    spec = importlib.util.find_spec("torch")
    assert spec is not None
    assert spec.origin is not None
    return str(Path(spec.origin).parent / "nn")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", help="the tree to lint (default: the sources of torch.nn)")
    parser.add_argument("--bin", default="", metavar="FOLDER", help="where the other linters are")
    parser.add_argument("--runs", type=int, default=5, help="pairs measured; of the slow ones one")
    arguments = parser.parse_args()
    print(printed(list(rows(os.path.abspath(arguments.folder or default_tree()), arguments.bin, arguments.runs))))


if __name__ == "__main__":
    main()
