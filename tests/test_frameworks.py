"""The cases of the frameworks, with the packages themselves: skipped where one is not installed."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

import opscan
from tests.conftest import run_process

pytestmark = pytest.mark.packages
ROOT = Path(__file__).parents[1]


def run_check(*words: str, **env: str):
    return run_process(sys.executable, "-m", "opscan", "check", *words, cwd=ROOT, env={**os.environ, **env})


def needs_keras() -> None:
    """Keras is not imported to see whether it is there: it would look for its backend."""
    if find_spec("keras") is None:
        pytest.skip("keras is not installed")


def test_case_e_a_lightning_module_is_checked_through_its_training_step() -> None:
    pytest.importorskip("lightning")
    report = opscan.check("opscan.examples.lightning_mlp:LitMLP")
    assert any(line.startswith("x = float32 2x784") for line in report.assumptions)
    assert any(line.startswith("y = int64 2, values below 10") for line in report.assumptions)
    assert not report.fails()
    assert report.forward_ops > 80  # its optimizer's ops among them


def test_case_c_a_keras_model_is_checked_through_one_step_of_fit() -> None:
    needs_keras()
    outcome = run_check("opscan.examples.keras_mlp:make_model", "--show", "all", KERAS_BACKEND="torch")
    assert outcome.status == 0, outcome.err
    assert "x = float32 2x784" in outcome.out
    assert "y = int64 2, values below 10" in outcome.out
    assert "Nothing nondeterministic" in outcome.out


def test_keras_on_another_backend_says_how_to_run_it() -> None:
    needs_keras()
    outcome = run_check("opscan.examples.keras_mlp:make_model", KERAS_BACKEND="tensorflow")
    assert outcome.status == 2
    assert "KERAS_BACKEND=torch opscan check" in outcome.err


def test_a_graph_is_handed_over_as_data() -> None:
    geometric = pytest.importorskip("torch_geometric.nn")
    from torch import nn

    class Graph(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = geometric.GCNConv(16, 4)

        def forward(self, data: object) -> object:
            return geometric.global_mean_pool(self.convolution(data.x, data.edge_index), data.batch)  # type: ignore[attr-defined]

    report = opscan.check(Graph())
    assert any(line.startswith("data = an object with x, edge_index, batch") for line in report.assumptions)
    assert report.backward_ops > 0
