"""A row says what a model's training does, derived from the findings and nothing else."""

from __future__ import annotations

from dataclasses import replace

import pytest

from opscan.finding import Finding
from opscan.sweeps.row import row_of, training_of
from tests.report.sample import ATTENTION, CLEAN, CONV, FULL, GATHER, PAD, POOL

SILENT = replace(PAD, verdict="silent", strict="nondeterministic", alert=None)


@pytest.mark.parametrize(
    ("findings", "unknown", "training"),
    [
        pytest.param((), False, "repeats", id="nothing found"),
        pytest.param((CONV,), False, "repeats", id="settings are the user's to set"),
        pytest.param((GATHER,), False, "repeats", id="its bits cannot vary"),
        pytest.param((ATTENTION,), False, "repeats in strict mode", id="not known to repeat by default"),
        pytest.param((ATTENTION, PAD), False, "strict mode raises", id="one varies, and one raises"),
        pytest.param((POOL,), False, "repeats in default mode", id="strict mode raises for nothing"),
        pytest.param((POOL, GATHER, CONV), False, "repeats in default mode", id="and the rest is harmless"),
        pytest.param((SILENT,), False, "never repeats", id="silent"),
        pytest.param((SILENT, PAD), False, "strict mode raises", id="silent behind one that raises"),
        pytest.param((CONV,), True, "not known", id="an op without a rule"),
        pytest.param((SILENT,), True, "never repeats", id="what varies is known, whatever the others do"),
    ],
)
def test_what_training_does(findings: tuple[Finding, ...], unknown: bool, training: str) -> None:
    assert training_of(findings, unknown) == training


def test_a_row_counts_the_ops_in_the_way() -> None:
    row = row_of(FULL, "nets")
    assert (row.target, row.family, row.outcome, row.fails) == ("net.model:Net<T>", "nets", "traced", True)
    assert row.ways == (
        "raises: avg_pool3d_backward 1, replication_pad2d_backward 15; switches: scaled_dot_product_attention 3;"
        " silent: cumsum 4"
    )
    assert (row.forward_ops, row.backward_ops, row.counts["unknown"]) == (40, 60, 2)
    assert row_of(CLEAN).training == "repeats"


@pytest.mark.parametrize(
    ("assumption", "backward", "loss"),
    [
        pytest.param("x = float32 2x64 (input, assumed; --input 2x64)", 5, True, id="backward began at its loss"),
        pytest.param("backward: a dense gradient was fed into each output (--loss ...)", 5, False, id="at its outputs"),
        pytest.param("backward: no output has a gradient, so there is none", 0, False, id="there is no backward"),
    ],
)
def test_whether_it_has_a_loss(assumption: str, backward: int, loss: bool) -> None:
    assert row_of(replace(CLEAN, assumptions=(assumption,), backward_ops=backward)).loss is loss
