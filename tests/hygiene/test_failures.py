"""Whatever the model does while it is scanned, and wherever it or opscan fails: all is afterwards as it was."""

from __future__ import annotations

import contextlib
import random
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

import opscan
from opscan import replacements
from opscan.errors import OpscanError
from opscan.examples.cnn import CNN_v2
from tests.hygiene.changes import CHANGES, Change
from tests.hygiene.snapshot import Watch, unchanged

X = torch.randn(2, 4)


class Doing(nn.Module):
    """Does something in the middle of its forward, at its `at`-th op or hook."""

    def __init__(self, do: Any) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(), nn.Linear(4, 4))
        self.do = do

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.layers[:2](x)
        self.do()
        return self.layers[2:](x)


UNDONE = [each for each in CHANGES if each.undone]
FIRST_OF_EACH_FACET = list({each.facet: each for each in reversed(UNDONE)}.values())


@pytest.mark.parametrize(
    ("changes", "way"),
    [pytest.param(UNDONE, {}, id="meta"), pytest.param(FIRST_OF_EACH_FACET, {"device": "cpu", "run": True}, id="CPU")],
)
def test_what_the_model_changes_is_put_back(changes: list[Change], way: dict[str, Any]) -> None:
    models = {f"{each.facet}: {each.name}": Doing(lambda each=each: next(each.make())) for each in changes}
    watch, changed = Watch(), {}
    for name, model in models.items():

        def scan(model: nn.Module = model) -> None:
            with contextlib.suppress(OpscanError):
                opscan.check(model, (X,), **way)

        if found := watch.changes(scan, model, X):
            changed[name] = found
    assert changed == {}


def _raising_at(number: int, error: BaseException) -> Any:
    """A model whose forward, loss or backward raises at the op of this number."""

    class Counting(TorchDispatchMode):
        seen = 0

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            self.seen += 1
            if self.seen == number:
                raise error
            return func(*args, **(kwargs or {}))

    model = Doing(lambda: random.random())

    def step(x: torch.Tensor) -> None:
        with Counting():
            model.layers[1].running_mean.add_(1)
            model(x).square().mean().backward()

    return step, model


@pytest.mark.parametrize(
    "error", [ValueError("no"), KeyboardInterrupt(), SystemExit(3)], ids=lambda each: type(each).__name__
)
@pytest.mark.parametrize("way", [{}, {"device": "cpu", "trace_device": "cpu"}], ids=["meta", "CPU"])
def test_an_error_at_any_op(error: BaseException, way: dict[str, Any]) -> None:
    made = [_raising_at(number, error) for number in range(1, 60, 6)]
    watch, changed, raised = Watch(), [], 0
    for step, model in made:

        def scan(step: Any = step) -> None:
            nonlocal raised
            try:
                opscan.check(step, (X,), **way)
            except (OpscanError, KeyboardInterrupt):
                raised += 1

        changed += watch.changes(scan, model, X)
    assert changed == []
    assert 3 <= raised < 10


@pytest.mark.parametrize(
    "place", ["opscan.match.match", "opscan.scan.make_report", "opscan.trace.recorder.tensor_info"]
)
def test_an_error_in_opscan_itself(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError("opscan is wrong")

    module, _, name = place.rpartition(".")
    monkeypatch.setattr(sys.modules[module], name, fail)
    if place == "opscan.match.match":
        monkeypatch.setattr("opscan.reporting.match", fail)
    model = Doing(lambda: None)
    with unchanged(model, X), pytest.raises((AssertionError, OpscanError)):
        opscan.check(model, (X,))


def _made_deterministic(model: nn.Module, images: torch.Tensor) -> None:
    opscan.make_deterministic(model, (images,))
    assert opscan.changes_of(model).done
    opscan.changes_of(model).undo()


def _substituting(model: nn.Module, images: torch.Tensor) -> None:
    with replacements.Substituting():
        torch.zeros(3).index_add(0, torch.tensor([0, 0]), torch.ones(2))


DOORS = {
    "make_deterministic and undo": _made_deterministic,
    "Substituting": _substituting,
    "env": lambda model, images: opscan.env().to_text(),
    "log": lambda model, images: opscan.log("loss", 1.0),
    "all formats": lambda model, images: [
        getattr(opscan.check(model, (images,)), name)()
        for name in ("to_text", "to_json", "to_html", "to_pandas", "_repr_html_")
    ],
    "assert_deterministic": lambda model, images: __import__("opscan.testing").testing.assert_deterministic(
        model, (images,), fail_on=()
    ),
    "64 ranks": lambda model, images: opscan.check(model, (images,), world_size=64),
    "inputs solved for": lambda model, images: opscan.check(model),
    "a name": lambda model, images: opscan.check("opscan.examples.cnn:CNN_v3"),
    "a name that is not there": lambda model, images: _failing("opscan.examples.cnn:CNN_v9"),
}


def _failing(target: str) -> None:
    with pytest.raises(OpscanError):
        opscan.check(target)


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
def test_every_other_door(door: Any) -> None:
    model, images = CNN_v2(10), torch.randn(2, 3, 32, 32)
    door(model, images)  # what is loaded at the first call stays
    with unchanged(model, images):
        door(model, images)


def test_settings_of_tf32_that_torch_itself_refuses_to_read_together() -> None:
    """torch 2.9 and newer raise where the old getter is asked after a new setter: a check must not ask."""
    if not hasattr(torch._C, "_set_fp32_precision_setter"):
        pytest.skip("this torch has one way to set it")
    matmul: Any = torch.backends.cuda.matmul
    was = matmul.fp32_precision
    matmul.fp32_precision = "tf32"
    try:
        model = nn.Linear(4, 4)
        with unchanged(model, X):
            opscan.check(model, (X,))
    finally:
        matmul.fp32_precision = was


def test_a_module_imported_by_the_model_keeps_nothing_of_opscans(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(folder, "imported_late.py").write_text(
        "import torch\n"
        "from torch import compile, use_deterministic_algorithms\n"
        "from torch.nn.functional import scaled_dot_product_attention\n"
        "apply = torch.autograd.Function.apply\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    opscan.check(Doing(lambda: __import__("imported_late")), (X,))
    late = sys.modules.pop("imported_late")
    assert late.compile is torch.compile
    assert late.use_deterministic_algorithms is torch.use_deterministic_algorithms
    assert late.scaled_dot_product_attention is torch.nn.functional.scaled_dot_product_attention
    assert late.apply == torch.autograd.Function.apply


def test_an_object_that_imports_when_it_is_asked_is_not_asked(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As those of torch/onnx/_internal/_lazy_import.py, which fail where onnx is not installed."""
    Path(folder, "lazy_late.py").write_text(
        "class Lazy:\n    def __getattr__(self, name):\n        raise ModuleNotFoundError(name)\n\nonnx = Lazy()\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    assert opscan.check(Doing(lambda: __import__("lazy_late")), (X,)).forward_ops
    sys.modules.pop("lazy_late")
