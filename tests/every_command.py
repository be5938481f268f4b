"""Runs every command in every format, in this process and in the current folder, and keeps what each printed and wrote.

`python -m tests.every_command OUT` writes one file per command and format into the folder OUT.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import opscan
from opscan.cli import main
from opscan.cli.lint import FORMAT_WORDS as LINT_FORMATS
from opscan.cli.words import FORMAT_WORDS as SWEEP_FORMATS
from opscan.report.formats import DOCUMENTS, render
from opscan.report.outcome import Outcome
from opscan.sweeps.table import Sweep
from tests.sweep.sample import ROWS, SETTING

MODEL = """\
import torch
from torch import nn

torch.backends.cudnn.benchmark = True


class Net(nn.Module):
    def __init__(self, num_classes=10):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1, padding_mode="replicate")
        self.names = {name: k for k, name in enumerate({"cat", "dog", "horse", "sheep", "cow"})}
        self.heads = nn.ModuleDict({name: nn.Linear(8, num_classes) for name in sorted(self.names)})

    def forward(self, x):
        x = torch.cumsum(self.conv(x), 0).mean((2, 3))
        return sum(head(x) for head in self.heads.values()) + torch.rand(1)
"""
RUN = """\
import random
import opscan
for k in range(4):
    opscan.log("loss", 1 / (k + 1))
opscan.log("drawn", random.Random(3).random())
"""


def commands() -> Iterator[tuple[str, ...]]:
    """The words of each; `{out}` stands for the folder of what they write."""
    yield "check", "mymodel.py:Net", "--show", "all", "--verbose", "-o", "{out}/check.html"
    yield "check-files", "mymodel.py"
    yield "fix", "mymodel.py"
    yield "verify", "run.py", "-o", "{out}/verify.html", "--format", "json"
    yield from (("lint", ".", "--level", "info", "--format", name) for name in LINT_FORMATS if name != "markdown")
    yield "lint", "--rules", "--format", "markdown"
    yield from (("diff", "old.json", "new.json", "--format", name) for name in ("text", "json", "markdown"))
    yield from (("sweep", "swept.csv", "--format", name) for name in SWEEP_FORMATS)
    yield from (("env", "--all", "--format", name) for name in ("table", "json"))
    yield from (("rules", "list", "--format", name) for name in ("table", "json"))
    yield from (("rules", "show", "OPS102", "--format", name) for name in ("table", "json"))


def prepare(folder: Path) -> None:
    """What the commands are about."""
    (folder / "mymodel.py").write_text(MODEL)
    (folder / "other.py").write_text("import torch\n\ntorch.use_deterministic_algorithms = True\n")
    (folder / "run.py").write_text(RUN)
    (folder / "swept.csv").write_text(Sweep(SETTING, ROWS[:3]).to_csv())


def keep_all(out: Path) -> None:
    """Run them all."""
    reports = [opscan.check("mymodel.py:Net", mode=mode) for mode in ("train", "eval")]
    outcome = Outcome(tuple(replace(each, cost=None) for each in reports))  # as where --cost is not asked for
    for name in DOCUMENTS:
        (out / f"document.{name}").write_text(render(outcome, name))
    Path("old.json").write_text(render(Outcome(outcome.reports[1:]), "json"))
    Path("new.json").write_text(render(Outcome(outcome.reports[:1]), "json"))
    os.environ.pop("PYTHONHASHSEED", None)  # it has done its work, and `env` tells what is set
    for at, words in enumerate(commands()):
        with (out / f"{at:02}-{'-'.join(word for word in words if word.isalnum())}.out").open("wb") as file:
            _printing_into(file.fileno(), lambda words=words: main([word.format(out=out) for word in words]))


def _printing_into(file: int, run: Callable[[], int]) -> None:
    kept = os.dup(1), os.dup(2)
    os.dup2(file, 1)
    os.dup2(file, 2)
    try:
        print("status", run(), flush=True)
    finally:
        for number, each in enumerate(kept, 1):
            os.dup2(each, number)
            os.close(each)


if __name__ == "__main__":
    prepare(Path.cwd())
    keep_all(Path(sys.argv[1]))
