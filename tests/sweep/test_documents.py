"""The documents in docs/ say what the tables beside them say."""

from __future__ import annotations

from pathlib import Path

import pytest

import opscan
from opscan.sweeps.columns import read_csv

DOCS = Path(opscan.__file__).parents[1] / "docs"
TABLES = sorted(path for path in DOCS.glob("*.csv") if path.stem != "replacements")  # that is no table of a sweep


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.stem)
def test_a_document_is_made_of_its_table(table: Path) -> None:
    """If not: opscan sweep docs/NAME.csv --format markdown > docs/NAME.md."""
    sweep = read_csv(table)
    assert table.with_suffix(".md").read_text(encoding="utf-8") == sweep.to_markdown()
    assert sweep.to_csv() == table.read_text(encoding="utf-8")
    assert all(row.reason for row in sweep.missed)
