"""A journal is read again as far as it holds, and never more than that."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from opscan.sweeps.journal import Journal
from tests.sweep.sample import ROWS


def key(target: str) -> dict[str, str]:
    return {"opscan": "0.1.0", "code": target.partition(":")[0]}


def written(path: Path) -> Journal:
    journal = Journal(path, key)
    for row in ROWS:
        journal.add(row)
    return journal


def test_rows_are_read_as_they_were_written(tmp_path: Path) -> None:
    written(tmp_path / "journal")
    assert list(Journal(tmp_path / "journal", key).done.values()) == list(ROWS)


@pytest.mark.parametrize(
    ("spoil", "left"),
    [
        pytest.param(lambda text: text[:-20], 4, id="the last line is cut short"),
        pytest.param(lambda text: text.replace('"opscan": "0.1.0"', '"opscan": "0.0.9"', 2), 3, id="other versions"),
        pytest.param(lambda text: "\x00\xff" + text, 4, id="a line is no JSON"),
        pytest.param(lambda text: '{"key": {}}\n[]\n3\n' + text, 5, id="lines of something else"),
        pytest.param(lambda text: text.replace('"family"', '"kin"', 1), 4, id="a row of other columns"),
        pytest.param(lambda text: "", 0, id="empty"),
    ],
)
def test_what_does_not_hold_is_left_out_and_can_be_written_again(
    spoil: Callable[[str], str], left: int, tmp_path: Path
) -> None:
    path = tmp_path / "journal"
    written(path)
    path.write_text(spoil(path.read_text()))
    journal = Journal(path, key)
    assert len(journal.done) == left
    for row in ROWS:
        if row.target not in journal.done:
            journal.add(row)
    assert len(Journal(path, key).done) == len(ROWS)


def test_fresh_begins_anew(tmp_path: Path) -> None:
    written(tmp_path / "journal")
    assert Journal(tmp_path / "journal", key, fresh=True).done == {}
    assert not (tmp_path / "journal").exists()
