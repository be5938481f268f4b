"""The page of the benchmarks and the README say what the data of the run say that was kept."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
pytestmark = pytest.mark.skipif(not BENCHMARKS.is_dir(), reason="not run from a checkout")


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Imports a file of benchmarks/, whose files import one another by their names."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    before = set(sys.modules)
    yield import_module
    for name in {path.stem for path in BENCHMARKS.glob("*.py")} & (set(sys.modules) - before):
        del sys.modules[name]


def test_the_page_and_the_readme_are_written_from_the_data(module: Any) -> None:
    table: ModuleType = module("table")
    machine, rows = table.read()
    assert table.PAGE.read_text(encoding="utf-8") == table.page(machine, rows)
    readme = table.README.read_text(encoding="utf-8")
    assert readme == table.filled(readme, rows)


def test_a_table_in_a_text_is_put_in_place_of_the_old_one(module: Any) -> None:
    table, row = module("table"), module("measure").Row
    rows = [
        row("scan", "quick", 1.0, "bare", 2.0, 0.5, 0.6, 1.3, 7),
        row("scan", "slow", 4.0, "bare", 2.0, 2.0, 2.1, 1.3, 7),
        row("lint", "lint", 1.0, "other", 150.0, 150.0, 140.0, 100.0, 1, above=True),
        row("scan", "no target", 1.0, "bare", 2.0, 0.5, 0.6, None, 7),
    ]
    text = table.filled("# A\n<!-- benchmarks -->\nold\n<!-- /benchmarks -->\nrest", rows)
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines()[4:7]]
    assert [(line[0], line[4], line[6]) for line in lines] == [
        ("quick", "0.5x", "at most 1.3x"),
        ("slow", "2x", "at most 1.3x, missed"),
        ("lint", "150x", "at least 100x"),
    ]
    assert "old" not in text
    assert "no target" not in text
    assert text.endswith("<!-- /benchmarks -->\nrest")


def test_a_row_is_the_median_of_the_ratios_of_neighbours(module: Any) -> None:
    measure = module("measure")
    ours, theirs = iter([9, 1, 2, 30]), iter([9, 1, 4, 10])  # the first are the ones that warm up
    row = measure.compare(
        "scan", "w", lambda: measure.Cost(next(ours), 1), "f", lambda: measure.Cost(next(theirs), 2), 3, 1.3
    )
    assert (row.cost, row.floor_cost, row.ratio, row.wall_ratio, row.met) == (2, 4, 1, 0.5, True)


def test_the_slope_is_the_power_of_the_ops(module: Any) -> None:
    slope = module("scans").slope
    ops = [1000, 3000, 10_000]
    assert slope(ops, [each * 1e-4 for each in ops]) == pytest.approx(1)
    assert slope(ops, [each**2 * 1e-7 for each in ops]) == pytest.approx(2)
