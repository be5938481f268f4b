"""`opscan.check` in Python: models as objects, from notebook cells, from nowhere; steps; bad arguments."""

from __future__ import annotations

import linecache
import pickle
from pathlib import Path
from typing import Any

import pandas
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import opscan
from tests.conftest import CNN_SOURCE, CONV_LINES

PAD_BACKWARD = "aten.replication_pad2d_backward.default"


def run_cell(source: str, name: str, *, known_to_linecache: bool) -> dict[str, Any]:
    """Execute source as a notebook does: under a made-up file name, with the text in linecache."""
    if known_to_linecache:
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(source, name, "exec"), namespace)
    return namespace


def nondeterministic(report: opscan.Report) -> list[opscan.Finding]:
    return [finding for finding in report.findings if finding.verdict in ("raises", "switches", "silent")]


@pytest.mark.parametrize(
    "inputs",
    [
        pytest.param(None, id="inputs solved for"),
        pytest.param((torch.zeros(2, 3, 32, 32),), id="a real tensor"),
        pytest.param({"x": torch.zeros(2, 3, 32, 32)}, id="by keyword"),
    ],
)
def test_a_model_from_a_notebook_cell_gives_the_same_six_findings(inputs: Any) -> None:
    cell = "<ipython-input-7-0123456789ab>"
    model = run_cell(CNN_SOURCE, cell, known_to_linecache=True)["CNN_v2"](10)
    (finding,) = nondeterministic(opscan.check(model, inputs))
    assert (finding.op, finding.count) == (PAD_BACKWARD, 6)
    assert finding.modules == tuple(f"conv{number}" for number in range(1, 7))
    assert [(line.file, line.line) for line in finding.constructed] == [(cell, line) for line in CONV_LINES]
    assert {line.file for line in finding.called} == {cell}


def test_a_model_whose_source_is_gone_still_gives_six_findings_with_the_lines_of_the_calls() -> None:
    source = CNN_SOURCE.replace("inplace=True", "inplace=False")  # code nobody has seen the source of
    model = run_cell(source, "<string>", known_to_linecache=False)["CNN_v2"](10)
    (finding,) = nondeterministic(opscan.check(model))
    assert (finding.count, finding.constructed) == (6, ())
    assert [line.line for line in finding.called] == [25]


def test_the_same_findings_from_a_string_an_object_and_another_environment(
    workplace: Path,
) -> None:
    by_name = opscan.check("mymodel:CNN_v2")
    by_path = opscan.check(f"{workplace}/mymodel.py:CNN_v2(num_classes=10)")
    model = run_cell(CNN_SOURCE, str(workplace / "mymodel.py"), known_to_linecache=False)["CNN_v2"](10)
    by_object = opscan.check(model)
    assert by_name.findings == by_path.findings == by_object.findings
    past = opscan.check(model, torch_version="1.8.1", strict=True)
    assert nondeterministic(past)[0].alert == "replication_pad2d_backward_cuda"
    assert opscan.check(model, device="cpu").findings == ()


@pytest.mark.parametrize(
    ("loss", "op"),
    [
        pytest.param("cross_entropy", "aten.nll_loss2d_forward.default", id="a function of torch by name"),
        pytest.param("CrossEntropyLoss", "aten.nll_loss2d_forward.default", id="a module of torch by name"),
        pytest.param(nn.NLLLoss(), "aten.nll_loss2d_forward.default", id="a module"),
        pytest.param(lambda out: out.flatten().cumsum(0).sum(), "aten.cumsum.default", id="of the output alone"),
    ],
)
def test_the_loss_is_scanned_too_with_its_own_phase(loss: Any, op: str) -> None:
    model = nn.Sequential(nn.Conv2d(3, 5, 1))
    report = opscan.check(model, (torch.zeros(2, 3, 8, 8),), loss=loss)
    assert (op, "loss") in {(finding.op, finding.phase) for finding in nondeterministic(report)}


def test_a_loss_is_found_a_target_that_fits() -> None:
    report = opscan.check(nn.Linear(4, 3), (torch.zeros(2, 4),), loss="mse_loss")
    assert any("target=2x3" in line for line in report.assumptions)
    report = opscan.check(nn.Linear(4, 3), (torch.zeros(2, 4),), loss="cross_entropy")
    assert any("target=int64:2<3" in line for line in report.assumptions)


def test_a_target_that_the_forward_takes_is_not_the_loss_s() -> None:
    class Scored(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(4, 3)

        def forward(self, x: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            return F.cross_entropy(self.linear(x), target)

    inputs = {"x": torch.zeros(2, 4), "target": torch.tensor([0, 2])}
    report = opscan.check(Scored(), inputs, loss=lambda value: value * 2)
    assert report.backward_ops > 0


def test_a_constructor_that_reads_values_is_run_with_real_ones(workplace: Path) -> None:
    (workplace / "reads.py").write_text(
        "import torch\nfrom torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.linear = nn.Linear(4, int(torch.full((1,), 3.0).item()))\n"
        "        self.check = nn.Linear(3, 2)\n"
        "    def forward(self, x): return self.check(self.linear(x))\n"
    )
    assert opscan.check("reads:Net").backward_ops > 0


FORGOTTEN = """
import torch
import torch.nn.functional as F
from torch import nn

class Mine(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.Tensor(3, 4))

    def reset_parameters(self):
        nn.init.xavier_uniform_(self.weight)

    def forward(self, x):
        return F.linear(x, self.weight)

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = Mine()

    def forward(self, x):
        return self.fc(x)

class Reads(Net):
    def __init__(self):
        super().__init__()
        self.width = int(torch.full((1,), 3.0).item())

class Remembered(Net):
    def __init__(self):
        super().__init__()
        self.fc.reset_parameters()

def make():
    model = Net()
    model.load_state_dict({"fc.weight": torch.ones(3, 4)})
    return model

model = Net()
"""


@pytest.mark.parametrize(
    ("name", "found"),
    [
        pytest.param("Net", ["fc.weight"], id="built on meta"),
        pytest.param("Reads", ["fc.weight"], id="built for real, for its constructor reads values"),
        pytest.param("Remembered", [], id="initialised by another"),
        pytest.param("make", [], id="loaded by a factory"),
        pytest.param("model", [], id="an object, of which nothing is known"),
    ],
)
@pytest.mark.parametrize("mode", ["train", "eval"])
def test_parameters_that_nothing_initialises(name: str, found: list[str], mode: str, workplace: Path) -> None:
    (workplace / "forgotten.py").write_text(FORGOTTEN)
    report = opscan.check(f"forgotten:{name}", (torch.zeros(2, 4),), mode=mode)
    places = [place for finding in report.findings for place in finding.places if finding.rule == "OPS954"]
    assert [place.module for place in places] == found
    assert [place.constructed and place.constructed.line for place in places] == [9] * len(found)
    for rendered in (report.to_text(), report.to_json(), report._repr_html_()):
        assert ("fc.weight" in rendered and "uninitialized" in rendered) == bool(found)
    assert report.fails() == bool(found)


def test_a_step_may_name_what_is_not_there_yet() -> None:
    def outer() -> opscan.Report:
        def step(x: torch.Tensor) -> torch.Tensor:
            return x * 2 if x.dim() else later

        report = opscan.check(step, (torch.zeros(3),))
        later = report
        return later

    assert outer().forward_ops == 1


def test_a_step_may_take_the_model_and_the_batch() -> None:
    model = nn.Sequential(nn.ReplicationPad1d(2), nn.Conv1d(3, 4, 3))

    def train_step(model: nn.Module, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        loss = F.mse_loss(model(batch["x"]), batch["y"])
        loss.backward()
        return loss

    batch = {"x": torch.randn(2, 3, 8, requires_grad=True), "y": torch.randn(2, 4, 10)}
    report = opscan.check(train_step, (model, batch))
    (finding,) = nondeterministic(report)
    assert (finding.op, finding.modules) == ("aten.replication_pad1d_backward.default", ("args[0].0",))
    assert batch["x"].grad is None
    assert all(parameter.grad is None for parameter in model.parameters())


def test_eval_mode_shows_what_still_draws_random_numbers() -> None:
    class MonteCarlo(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.quiet = nn.Dropout(0.5)
            self.linear = nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.dropout(self.quiet(self.linear(x)))

    report = opscan.check(MonteCarlo(), (torch.zeros(2, 4),), mode="eval")
    (random,) = (finding for finding in report.findings if finding.verdict == "random")
    assert random.count == 1
    assert random.modules == ("",)
    assert report.backward_ops == 0


def test_an_op_no_rule_speaks_for_is_counted_as_unknown() -> None:
    library = torch.library.Library("opscan_test", "DEF")
    library.define("double(Tensor x) -> Tensor")
    library.impl("double", lambda x: x * 2, "CompositeExplicitAutograd")
    try:
        report = opscan.check(lambda x: torch.ops.opscan_test.double(x) + 1, (torch.zeros(3),))
    finally:
        library._destroy()
    assert report.unknown == {"opscan_test.double.default": 1}
    assert report.counts() == {"unknown": 1}
    assert not report.fails()
    assert report.fails(["unknown"])
    assert "opscan_test.double.default" in report.to_text()


def test_a_torch_newer_than_the_rules_is_said_to_be() -> None:
    assert any("newer" in line for line in opscan.check(nn.Linear(2, 2), torch_version="3.1").assumptions)
    assert not any("newer" in line for line in opscan.check(nn.Linear(2, 2), torch_version="2.15.1").assumptions)


def test_a_device_the_rules_know_little_of_is_said_to_be() -> None:
    assert any("mps" in line for line in opscan.check(nn.Linear(2, 2), device="mps").assumptions)


@pytest.mark.parametrize(
    ("arguments", "error", "says"),
    [
        pytest.param({"target": 3}, TypeError, "int", id="not a model"),
        pytest.param({"target": nn.Linear}, TypeError, "instance", id="a class"),
        pytest.param({"target": nn.Linear(2, 2), "inputs": 5}, TypeError, "tuple", id="inputs of no known kind"),
        pytest.param({"target": nn.Linear(2, 2), "mode": "test"}, ValueError, "train", id="unknown mode"),
        pytest.param({"target": nn.Linear(2, 2), "device": "tpu"}, opscan.OpscanError, "cuda", id="unknown device"),
        pytest.param(
            {"target": nn.Linear(2, 2), "inputs": (torch.zeros(2, 3),)}, opscan.OpscanError, "Linear", id="misfit"
        ),
        pytest.param({"target": nn.Linear(2, 2), "loss": "nope"}, opscan.OpscanError, "nope", id="unknown loss"),
    ],
)
def test_misuse_and_failure_are_told_apart(arguments: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        opscan.check(**arguments)


def test_a_report_is_a_data_frame_a_document_and_a_fragment_of_html() -> None:
    model = nn.Sequential(nn.ReplicationPad2d(1), nn.Conv2d(3, 4, 3))
    report = opscan.check(model, (torch.zeros(2, 3, 8, 8),))
    frame = report.to_pandas()
    assert isinstance(frame, pandas.DataFrame)
    assert list(frame.query("verdict == 'switches'")["op"]) == [PAD_BACKWARD]
    assert PAD_BACKWARD in report._repr_html_().replace("<wbr>", "")
    assert str(report) == report.to_text()


def test_the_report_has_the_size_of_the_model_and_the_cost_of_the_scan() -> None:
    shared = nn.Linear(64, 64)
    cost = opscan.check(nn.Sequential(shared, shared, nn.LazyLinear(3))).cost  # lazy: it has no sizes yet
    assert cost is not None
    assert (cost.parameters, cost.parameter_bytes) == (64 * 65, 4 * 64 * 65)
    assert cost.seconds > 0
    assert opscan.check(torch.sin, (torch.ones(3),)).cost.parameters is None  # type: ignore[union-attr]  # as above


def test_a_report_goes_between_processes() -> None:
    report = opscan.check("opscan.examples.cnn:CNN_v2", run=False)
    there = pickle.loads(pickle.dumps(report))
    assert (there.findings, there.graph, there.rules) == (report.findings, report.graph, report.rules)
    assert there.to_html() == report.to_html()
