"""The checks of a real device, on the one that is always there."""

from __future__ import annotations

from pathlib import Path

import pytest

from opscan.calibrate.rows import Row
from opscan.calibrate.subjects import Subject
from tests.calibrate.on_device import (
    SUBJECTS,
    Check,
    assert_alerts_are_as_predicted,
    assert_cnn_is_as_predicted,
    assert_row_agrees,
    checked_cnn,
    checks_for,
    row_of,
)
from tests.conftest import two_threads

FEW = [each for each in SUBJECTS if "max_unpool" in each.run or "put_(i, x" in each.run][:12] + list(SUBJECTS[::60])


def test_the_cnn_is_as_predicted(workplace: Path) -> None:
    report = checked_cnn("cpu", workplace, replays=2)
    assert_cnn_is_as_predicted(report)
    assert report.findings == ()


@pytest.mark.parametrize("check", checks_for("cpu"), ids=str)
def test_pytorch_alerts_are_as_predicted(check: Check) -> None:
    assert_alerts_are_as_predicted(check, "cpu")


@pytest.fixture(scope="module")
def rows() -> dict[str, Row]:
    with two_threads():
        return {each.name: row_of(each, "cpu") for each in FEW}


@pytest.mark.parametrize("subject", FEW, ids=lambda each: each.name)
def test_cases_are_as_predicted(subject: Subject, rows: dict[str, Row]) -> None:
    assert_row_agrees(rows[subject.name])


def test_some_of_them_really_raise(rows: dict[str, Row]) -> None:
    assert "max_unpooling2d_forward_out" in {op.alert for row in rows.values() for op in row.ops}
