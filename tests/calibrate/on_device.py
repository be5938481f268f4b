"""Checks of a real device against the rules, for any device: the CPU runs them here, CUDA in tests/cuda."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

import opscan
from opscan.calibrate.measure import Bench, measured
from opscan.calibrate.rows import Row
from opscan.calibrate.subjects import Subject, case_subjects
from opscan.cases import read_cases
from opscan.environment import make_environment
from opscan.observe.join import NO_RULE
from opscan.observe.run import alert_in
from opscan.report.report import Report
from opscan.rules.load import builtin_rules_dir, load_rules
from tests.rules.test_pytorch_alerts import CHECKS, INSTALLED, Check, predicted, real_inputs, step_of

SUBJECTS = case_subjects(list(read_cases(builtin_rules_dir())))[0]

ABOUT_ALERTS = ("raised, not predicted", "raised another alert", "did not raise")


def checks_for(device: str) -> list[Check]:
    """PyTorch's own alert tests that hold for this device and the installed torch, settings of cuBLAS aside."""
    return [
        each
        for each in CHECKS
        if device in each.devices and each.torch.contains(INSTALLED) and each.claim != "by setting"
    ]


@contextmanager
def strict_mode_put_back() -> Iterator[None]:
    was = torch.are_deterministic_algorithms_enabled()
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(was)


def observed_alerts(check: Check, device: str) -> set[str]:
    """What strict mode really raises on the device."""
    inputs = {
        name: each.detach().to(device).requires_grad_(each.requires_grad) for name, each in real_inputs(check).items()
    }
    with strict_mode_put_back(), torch.device(device):
        try:
            step_of(check)(**inputs)
        except RuntimeError as error:
            alert = alert_in(error)
            if alert is None:
                raise
            return {alert}
    return set()


def assert_alerts_are_as_predicted(check: Check, device: str) -> None:
    observed = observed_alerts(check, device)
    assert observed == check.expected(device)
    assert observed == predicted(check, device, INSTALLED)


def row_of(subject: Subject, device: str, replays: int = 2) -> Row:
    return measured(subject, Bench(torch.device(device), load_rules(), make_environment(device), replays))


def assert_row_agrees(row: Row) -> None:
    """Every alert is predicted and every predicted alert raised; nothing varies that is said not to."""
    wrong = [op for op in row.ops if op.outcome in (*ABOUT_ALERTS, "varied though it cannot")]
    assert wrong == []


def checked_cnn(device: str, folder: Path, replays: int) -> Report:
    """The CNN of case A, run in strict mode and replayed."""
    was = Path.cwd()
    os.chdir(folder)
    try:
        return opscan.check("mymodel:CNN_v2", (torch.randn(1, 3, 32, 32),), device=device, replay=replays)
    finally:
        os.chdir(was)


def assert_cnn_is_as_predicted(report: Report) -> None:
    assert report.run is not None
    assert report.run.failure is None
    assert report.run.ops > 50
    assert [each for each in report.findings if each.rule == NO_RULE] == []
    for finding in report.findings:
        assert (finding.predicted == "raises") == (finding.observed == "raises"), finding
