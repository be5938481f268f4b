"""Findings in the sources of five packages, read by hand: all that are shown by default, others drawn at random.

Verdicts: right; wrong (no backward follows, or it is no mistake); harmless (the op of an information-level finding is
there, but reading the code shows that its bits do not vary). All findings above information level are in the list.
"""

from __future__ import annotations

import csv
from collections import Counter
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import NamedTuple

import pytest

from opscan.lint.engine import Options, lint_source
from opscan.lint.rule import RULES
from tests.lint.run import findings_of


class Row(NamedTuple):
    package: str
    version: str
    file: str
    line: str
    code: str
    source: str
    verdict: str
    why: str


PATH = Path(__file__).with_name("packages.csv")
ROWS = [Row(*row) for row in list(csv.reader(PATH.read_text(encoding="utf-8").splitlines()))[1:]]
PRELUDE = """\
import random
import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x):
        {source}
"""
REPLAYED = [
    pytest.param(row, id=f"{row.code} {row.file}:{row.line}") for row in ROWS if RULES[row.code].level == "info"
]


def test_at_most_one_in_twenty_is_wrong() -> None:
    verdicts = Counter(row.verdict for row in ROWS)
    assert len(ROWS) >= 200
    assert set(verdicts) <= {"right", "wrong", "harmless"}
    assert verdicts["wrong"] <= len(ROWS) // 20
    assert all(row.why for row in ROWS)
    assert not [row for row in ROWS if row.verdict != "right" and RULES[row.code].level != "info"]


@pytest.mark.parametrize("row", REPLAYED)
def test_the_place_alone_is_still_found(row: Row) -> None:
    assert row.code in [each.code for each in findings_of(PRELUDE.format(source=row.source), row.code)]


@pytest.mark.packages
@pytest.mark.parametrize("package", sorted({row.package for row in ROWS}))
def test_what_is_found_in_a_package_is_what_was_read(package: str) -> None:
    rows = [row for row in ROWS if row.package == package]
    try:
        installed = distribution(package)
    except PackageNotFoundError:
        pytest.skip(f"{package} is not installed")
    if installed.version != rows[0].version:
        pytest.skip(f"{package} {rows[0].version} was read, {installed.version} is installed")
    options = Options(tuple(RULES.values()))
    for file in {row.file for row in rows}:
        found = lint_source(Path(str(installed.locate_file(file))).read_bytes(), file, options).findings
        assert {(row.line, row.code) for row in rows if row.file == file} <= {(str(f.line), f.code) for f in found}
