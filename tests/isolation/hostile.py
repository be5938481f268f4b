"""The targets of hostile.toml: what each does to the process that looks at it, and what is said of it."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

MODEL = """\
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x):
        return self.layer(x).flatten().cumsum(0)


def opscan_inputs():
    return torch.zeros(2, 4)
"""


@dataclass(frozen=True)
class Hostile:
    """A target; `says` is None where it is reported as if it did nothing."""

    kind: str
    does: str
    code: str = ""
    forward: str = ""
    says: str | None = None
    hint: str = ""
    hangs: bool = False

    @property
    def name(self) -> str:
        """The stem of its file."""
        return re.sub(r"\W+", "_", self.does.lower()).strip("_")

    @property
    def target(self) -> str:
        """As the command line takes it."""
        return f"{self.name}.py:Net"

    def write(self, folder: Path) -> None:
        """Write its file into a folder."""
        lines = "".join(f"        {line}\n" for line in self.forward.strip().splitlines())
        text = MODEL.replace("        return self", f"{lines}        return self")
        (folder / f"{self.name}.py").write_text(f"{text}\n\n{self.code.strip()}\n", encoding="utf-8")


def read_hostile() -> list[Hostile]:
    """All of them, in the order of the file."""
    rows = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
    return [Hostile(**row) for row in rows["target"]]


_HEAD = """\
# What a target may do

Importing a model runs its code. `opscan check` and `opscan fix` look at each target in a process of its own, with
limits of time and memory (`--timeout`, `--memory`). Whatever a target does costs that target alone: the others are
reported, JSON on stdout stays JSON, and no process is left behind. What it prints goes to stderr, a megabyte of it at
most. The process hands its report in as data, which opscan checks before it takes it.

This protects against accidents and unfinished code, and is no sandbox: the code runs with your rights. `--in-process`
switches it off. `opscan lint`, `opscan diff` and all that reads reports run none of your code.

Each row is a target of tests/isolation/hostile.toml; the tests run all of them in two commands, beside models that do
nothing of the kind, and compare what is said. Limits there are 3 s, or 60 s, and 3 GiB.

| the target does | opscan says |
| --- | --- |
"""


def page() -> str:
    """docs/hostile.md."""
    return _HEAD + "".join(f"| {_plain(each.does)} | {_said(each)} |\n" for each in read_hostile())


def _said(hostile: Hostile) -> str:
    if hostile.says is None:
        return "its report, as if it did nothing"
    said = _plain(hostile.says.format(name="net"))
    return f"{said} (and names `{hostile.hint}`)" if hostile.hint.startswith(("--", "opscan")) else said


def _plain(text: str) -> str:
    """Text that Markdown takes as it is."""
    return text.replace("_", r"\_")
