"""The rules against a real CUDA device: case A, PyTorch's alert tests, and every case of the rules.

The same checks run on the CPU in tests/calibrate/test_on_cpu.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from opscan.calibrate.measure import is_alive
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

pytestmark = pytest.mark.cuda


@pytest.fixture(autouse=True)
def device_that_answers() -> Iterator[None]:
    """After a device-side assert every call of CUDA fails in this process: the test that did it is to be seen."""
    if not is_alive(torch.device("cuda")):
        pytest.skip("an earlier test ended CUDA for this process")
    yield
    assert is_alive(torch.device("cuda")), "this test ended CUDA for the process"


def test_the_cnn_is_as_predicted(workplace: Path) -> None:
    report = checked_cnn("cuda", workplace, replays=20)
    assert_cnn_is_as_predicted(report)
    assert sum(each.count for each in report.findings if each.verdict == "switches") == 6


@pytest.mark.parametrize("check", checks_for("cuda"), ids=str)
def test_pytorch_alerts_are_as_predicted(check: Check) -> None:
    assert_alerts_are_as_predicted(check, "cuda")


@pytest.mark.parametrize("subject", SUBJECTS, ids=lambda each: each.name)
def test_cases_are_as_predicted(subject: Subject) -> None:
    row = row_of(subject, "cuda")
    assert_row_agrees(row)
    if row.failed:
        pytest.skip(f"it does not run here: {row.failed['run']}")
