"""Samples of an op database like PyTorch's: which dtypes are run, how many samples, with which gradients."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from opscan.calibrate import subjects
from opscan.calibrate.measure import Bench, measured
from opscan.calibrate.subjects import sample_subjects
from opscan.environment import make_environment
from opscan.rules.load import load_rules

CPU = torch.device("cpu")


@dataclass
class Op:
    """What is used of an OpInfo: torch.testing._internal.opinfo.core."""

    name: str = "unpool"
    variant_test_name: str = ""
    supports_autograd: bool = True

    def supported_dtypes(self, device: str) -> set[torch.dtype]:
        return {torch.float64, torch.float32, torch.int64}

    def supported_backward_dtypes(self, device: str) -> set[torch.dtype]:
        return {torch.float32}

    def sample_inputs(self, device: str, dtype: torch.dtype, requires_grad: bool) -> Iterator[Any]:
        for size in (2, 4, 6):
            x = torch.randn(1, 1, size, dtype=dtype, device=device, requires_grad=requires_grad)
            yield SimpleNamespace(
                input=x, args=(torch.arange(0, 2 * size, 2)[None, None], 2), kwargs={"padding": 0},
                output_process_fn_grad=lambda out: out,
            )  # fmt: skip

    def op(self, x: torch.Tensor, *args: Any, **kwargs: Any) -> torch.Tensor:
        return torch.nn.functional.max_unpool1d(x, *args, **kwargs)


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subjects, "_op_db", lambda: [Op("b"), Op("a", "variant")])


@pytest.mark.usefixtures("database")
def test_each_op_is_a_subject_with_samples_of_the_floats_it_supports() -> None:
    one, other = sample_subjects(2)
    assert (one.name, other.name) == ("a.variant", "b")
    trials = list(other.trials(CPU))
    assert [each.dtype for each in trials] == ["float32", "float32", "float64", "float64"]
    assert [each.args[0].requires_grad for each in trials] == [True, True, False, False]
    assert torch.equal(trials[0].args[0], next(iter(other.trials(CPU))).args[0])


@pytest.mark.usefixtures("database")
def test_a_sample_runs_forward_and_backward_and_its_alert_is_seen() -> None:
    subject = sample_subjects(2)[1]
    row = measured(subject, Bench(CPU, load_rules(), make_environment("cpu"), 2))
    assert row.ran == {"float32": 2, "float64": 2}
    assert {(op.op, op.dtype, op.alert, op.outcome == "did not raise") for op in row.ops} == {
        ("aten.max_unpool2d.default", dtype, "max_unpooling2d_forward_out", False) for dtype in ("float32", "float64")
    }
    assert "aten.gather.default" in row.quiet


def test_importing_the_database_leaves_flags_and_command_line_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    words = sys.argv

    def as_pytorch_does(name: str) -> ModuleType:
        torch.backends.disable_global_flags()
        sys.argv = [*sys.argv, "eaten"]
        found = ModuleType(name)
        found.op_db = []
        return found

    monkeypatch.setattr(subjects, "import_module", as_pytorch_does)
    assert sample_subjects(1) == ()
    assert not torch.backends.flags_frozen()
    assert sys.argv is words
