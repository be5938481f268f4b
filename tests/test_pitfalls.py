"""Case D: what still draws random numbers in eval mode, and where."""

from __future__ import annotations

import pytest

import opscan

FOUND = {
    "F.dropout without training=": ("AlwaysDropping", {"aten.bernoulli_.float": 1}),
    "F.dropout that is on on purpose": ("MonteCarlo", {"aten.bernoulli_.float": 1}),
    "a rate drawn in forward": ("RandomRate", {"aten.rand.default": 1}),
}


@pytest.mark.parametrize(("name", "random"), FOUND.values(), ids=FOUND)
def test_eval_mode_shows_what_still_draws(name: str, random: dict[str, int]) -> None:
    report = opscan.check(f"opscan.examples.pitfalls:{name}", mode="eval")
    drawn = [each for each in report.findings if each.verdict == "random"]
    assert {each.op: each.count for each in drawn} == random
    assert all(line.file.endswith("pitfalls.py") for each in drawn for line in each.called)
