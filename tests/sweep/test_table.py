"""The table of a sweep in each of its formats; the larger ones are compared with golden files (`pytest --renew`)."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from opscan.errors import SweepError
from opscan.sweeps.columns import columns_of, read_csv
from opscan.sweeps.row import Row
from opscan.sweeps.table import Sweep
from tests.sweep.sample import ROWS, SETTING, SWEEP

GOLDEN = Path(__file__).with_name("golden")
RENDERINGS = {
    "summary.txt": SWEEP.to_text,
    "table.csv": SWEEP.to_csv,
    "document.md": SWEEP.to_markdown,
    "table.json": SWEEP.to_json,
}


@pytest.mark.parametrize("name", RENDERINGS)
def test_rendering_is_as_agreed(name: str, request: pytest.FixtureRequest) -> None:
    text = RENDERINGS[name]().rstrip("\n") + "\n"
    golden = GOLDEN / name
    if request.config.getoption("--renew"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


def without_cost(sweep: Sweep) -> tuple[Row, ...]:
    return tuple(replace(row, seconds=None, peak_bytes=None) for row in sweep.rows)


def test_the_csv_is_read_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(SWEEP.to_csv(), encoding="utf-8")
    again = read_csv(tmp_path / "table.csv")
    assert (again.setting, again.rows) == (SETTING, without_cost(SWEEP))
    assert again.to_csv() == SWEEP.to_csv()
    assert again.to_markdown() == SWEEP.to_markdown()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("a,b\n1,2\n", id="another table"),
        pytest.param(SWEEP.to_csv() + "x" * 40, id="a line that is cut short"),
        pytest.param(SWEEP.to_csv() + SWEEP.to_csv().splitlines()[1].replace("zoo 1.2", "zoo 1.3"), id="two sweeps"),
    ],
)
def test_another_file_is_an_error(text: str, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(SweepError, match=r"table\.csv"):
        read_csv(tmp_path / "table.csv")


def test_what_differs_from_run_to_run_is_there_only_when_asked_for() -> None:
    other = Sweep(SETTING, tuple(replace(row, seconds=9.9, peak_bytes=1) for row in ROWS), SWEEP.skipped)
    assert (other.to_csv(), other.to_json(), other.to_html()) == (SWEEP.to_csv(), SWEEP.to_json(), SWEEP.to_html())
    assert other.to_csv(cost=True) != SWEEP.to_csv(cost=True)
    assert set(columns_of(True)) - set(columns_of(False)) == {"seconds", "peak_bytes"}
    assert json.loads(SWEEP.to_json(cost=True))["rows"][0]["seconds"] == 1.25


def test_pandas_has_the_columns_of_the_csv() -> None:
    frame = SWEEP.to_pandas()
    assert tuple(frame.columns) == columns_of(False)
    assert list(frame["target"]) == [row.target for row in ROWS]
    assert frame["parameters"].sum() == 217_482_240


class _Cells(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.append(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_html_is_escaped_and_well_formed() -> None:
    page = _Cells()
    page.feed(SWEEP.to_html(cost=True))
    assert page.open == []
    assert "b" not in page.tags
    assert page.tags.count("tr") == len(ROWS) + 1


@pytest.mark.parametrize("width", [60, 80, 100])
def test_the_summary_fits_its_width(width: int) -> None:
    assert max(map(len, SWEEP.to_text(width).splitlines())) <= width
