"""Reasons in one line, the same on every machine, and counted together where they are alike."""

from __future__ import annotations

import pytest

from opscan.errors import InputError, OpscanError, TargetError
from opscan.sweeps.reason import grouped, reason_of


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        pytest.param(TargetError("no such thing", "mod:Name", "Name another."), "no such thing", id="only what"),
        pytest.param(
            TargetError(f"Net(Config {{{'x' * 200}}}) raised ValueError: 3"),
            "Net(...) raised ValueError: 3",
            id="a long configuration is left out",
        ),
        pytest.param(TargetError("Net(3) raised ValueError: 3"), "Net(3) raised ValueError: 3", id="a short one stays"),
        pytest.param(
            TargetError("cannot import 'x' from 'y' (/home/me/site-packages/y/__init__.py)"),
            "cannot import 'x' from 'y' (__init__.py)",
            id="folders are left out",
        ),
        pytest.param(TargetError("<object at 0x7f0012345678>\n  fails"), "<object at 0x...> fails", id="addresses too"),
        pytest.param(
            InputError(
                "no input found that forward(x) runs on; tried 13 shapes",
                "mod:Net",
                "Give the shapes. The likeliest ones failed so:\n    2x3: RuntimeError: a (net.py:3)\n    2: no",
            ),
            "no input found that forward(x) runs on: 2x3: RuntimeError: a (net.py:3)",
            id="how many shapes there was time for says nothing; how the first one failed does",
        ),
        pytest.param(OpscanError("x" * 400), "x" * 297 + "...", id="no longer than a line can be read"),
    ],
)
def test_a_reason(error: OpscanError, reason: str) -> None:
    assert reason_of(error) == reason


def test_alike_are_those_that_differ_in_numbers_and_names() -> None:
    reasons = [
        "timed out after 60 s",
        "BertModel(...) raised ValueError: needs 3",
        "GptModel(...) raised ValueError: needs 4",
        "GptModel(...) raised TypeError: needs 4",
        "no input found that forward(x) runs on: 2x3: RuntimeError: a",
        "no input found that forward(ids, mask) runs on: 2: ValueError: b",
    ]
    assert [count for count, _ in grouped(reasons)] == [2, 2, 1, 1]
