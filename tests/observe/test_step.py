"""A step on the CPU, for real: all of strict mode's errors in one run, what replays show, nothing else changed."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn
from torch._prims_common import alert_not_deterministic
from torch.utils.checkpoint import checkpoint

import opscan
from opscan.errors import EnvironmentSpecError, TraceError
from opscan.observe import plan as plan_module
from opscan.observe.join import NO_RULE
from opscan.report.report import Report
from opscan.rules.load import make_ruleset, rules_of


@pytest.fixture(autouse=True)
def library() -> Iterator[torch.library.Library]:
    """Ops as an extension would register them: two that alert, one of them in backward, and one that varies."""
    with torch.library._scoped_library("observed", "FRAGMENT") as made:
        made.define("smear(Tensor x) -> Tensor")
        made.define("blend(Tensor x) -> Tensor")
        made.define("blend_backward(Tensor grad) -> Tensor")
        made.define("moody(Tensor x) -> Tensor")
        alerting = {"smear": "smear_cuda", "blend_backward": "blend_backward_cuda"}
        calls = iter(range(10**6))

        def moody(x: torch.Tensor) -> torch.Tensor:
            late = not torch.are_deterministic_algorithms_enabled() and next(calls) % 20 == 19
            return torch.nextafter(x, torch.tensor(torch.inf)) if late else x.clone()

        def alert(name: str) -> Callable[[torch.Tensor], torch.Tensor]:
            def run(x: torch.Tensor) -> torch.Tensor:
                alert_not_deterministic(alerting[name])
                return x * 2

            return run

        for name, run in (("smear", alert("smear")), ("blend", torch.clone), ("moody", moody)):
            made.impl(name, run, "CPU")
        made.impl("blend_backward", alert("blend_backward"), "CPU")
        for name in ("smear", "blend", "blend_backward", "moody"):
            made.impl(name, torch.empty_like, "Meta")
        ops = torch.ops.observed
        straight = lambda ctx, grad: grad  # noqa: E731
        for name, backward in (
            ("blend_backward", straight),
            ("smear", straight),
            ("moody", straight),
            ("blend", lambda ctx, g: ops.blend_backward(g)),
        ):
            torch.library.register_autograd(f"observed::{name}", backward, lib=made)
        yield made


class Six(nn.Module):
    """Six ops that alert, on the CPU too."""

    def __init__(self) -> None:
        super().__init__()
        self.line, self.plane, self.space = nn.MaxUnpool1d(2), nn.MaxUnpool2d(2), nn.MaxUnpool3d(2)
        self.weight = nn.Parameter(torch.randn(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x * self.weight
        cells = torch.arange(0, 8, 2)
        flat = self.line(x[None, :], cells[None, :])
        plane = self.plane(x.reshape(1, 2, 2), torch.tensor([[[0, 2], [8, 10]]]))
        space = self.space(x.reshape(1, 1, 2, 2), torch.tensor([[[[0, 2], [8, 10]]]]))
        total = flat.sum() + plane.sum() + space.sum()
        put = x.clone().put_(torch.tensor([0, 1]), torch.tensor([1.0, 2.0]))
        return total + torch.ops.observed.smear(put).sum() + torch.ops.observed.blend(x).sum()


def check(model: Any, inputs: tuple[torch.Tensor, ...] = (torch.ones(4),), **options: Any) -> Report:
    return opscan.check(model, inputs, device="cpu", **options)


def alerts(report: Report) -> dict[str, tuple[str, ...]]:
    """Alert to modules, of what was observed to raise."""
    found: dict[str, tuple[str, ...]] = {}
    for finding in report.findings:
        if finding.observed == "raises" and finding.alert:
            found[finding.alert] = tuple(sorted({*found.get(finding.alert, ()), *finding.modules}))
    return found


ALL_SIX = {
    "max_unpooling2d_forward_out": ("line", "plane"),
    "max_unpooling3d_forward_out": ("space",),
    "put_": ("",),
    "smear_cuda": ("",),
    "blend_backward_cuda": ("",),
}


def test_all_six_alerts_in_one_run_each_with_module_and_line() -> None:
    report = check(Six())
    assert alerts(report) == ALL_SIX
    lines = {line.line for finding in report.findings if finding.observed == "raises" for line in finding.called}
    assert len(lines) == 6
    assert report.run is not None
    assert (report.run.device, report.run.replays, report.run.failure) == ("cpu", 1, None)
    assert report.fails()


def test_an_alert_no_rule_predicts_is_a_finding_of_its_own() -> None:
    found = {finding.alert: finding for finding in check(Six()).findings if finding.alert}
    assert {alert for alert, finding in found.items() if finding.rule == NO_RULE} == {
        "smear_cuda",
        "blend_backward_cuda",
    }
    assert found["blend_backward_cuda"].phase == "backward"
    assert found["smear_cuda"].predicted is None
    assert "Please report it" in found["smear_cuda"].message
    assert (found["put_"].predicted, found["put_"].observed) == ("raises", "raises")


def test_nothing_of_the_users_is_changed() -> None:
    model, x = Six(), torch.ones(4)
    before = copy.deepcopy(model.state_dict())
    model.weight.grad = torch.ones(4)
    version, state = model.weight._version, torch.get_rng_state()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        check(model, (x,), replay=3)
        assert torch.are_deterministic_algorithms_enabled()
        assert torch.is_deterministic_algorithms_warn_only_enabled()
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert model.weight.grad.tolist() == [1, 1, 1, 1]
    assert model.weight._version == version
    assert torch.equal(torch.get_rng_state(), state)
    assert x.grad is None


class Hooked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.six = Six()
        self.six.register_forward_hook(lambda module, inputs, output: output * 1)
        self.six.weight.register_hook(lambda grad: grad * 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.six(x)


class Checkpointed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.six = Six()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return checkpoint(self.six, x, use_reentrant=False)


class Careful(nn.Module):
    """Falls back when something raises, as code does that has met strict mode."""

    def __init__(self) -> None:
        super().__init__()
        self.six = Six()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        try:
            y = self.six(x)
            raise ValueError("caught by the model itself")
        except ValueError:
            return y
        except RuntimeError:
            return x.sum()


@pytest.mark.parametrize("wrapper", [Hooked, Checkpointed, Careful])
def test_hooks_checkpoints_and_handlers_are_not_in_the_way(wrapper: type[nn.Module]) -> None:
    prefixed = {alert: tuple(f"six.{name}".rstrip(".") for name in modules) for alert, modules in ALL_SIX.items()}
    assert alerts(check(wrapper())) == prefixed


def test_a_step_with_its_own_backward_and_optimizer_runs_to_its_end() -> None:
    model = Six()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before = model.weight.detach().clone()

    def step(x: torch.Tensor) -> None:
        optimizer.zero_grad()
        model(x).backward()
        optimizer.step()

    assert set(alerts(check(step))) == set(ALL_SIX)
    assert torch.equal(model.weight, before)
    assert model.weight.grad is None


def test_the_gradient_of_a_gradient_is_watched_too() -> None:
    def step(x: torch.Tensor) -> None:
        w = torch.ones(4, requires_grad=True)
        (grad,) = torch.autograd.grad(torch.ops.observed.blend(w).pow(3).sum(), w, create_graph=True)
        (grad * x).sum().backward()

    report = check(step)
    (finding,) = [each for each in report.findings if each.alert == "blend_backward_cuda"]
    assert (finding.observed, finding.count) == ("raises", 2)  # once in each backward


def test_what_does_worse_than_predicted_takes_the_machines_verdict(library: torch.library.Library) -> None:
    library.define("noise(Tensor x) -> Tensor", tags=torch.Tag.nondeterministic_seeded)
    library.impl("noise", torch.empty_like, "Meta")
    count = iter(range(10**6))
    library.impl("noise", lambda x: x + next(count), "CPU")
    row = """
    [[rule]]
    id = "MINE001"
    title = "noise is seeded"
    ops = ["observed.noise"]
    phase = "forward"
    mechanism = "made up"
    history = [{ device = ["cpu"], torch = ">=2", default = "seeded", strict = "seeded", why = "so it says" }]
    evidence = [{ kind = "test", ref = "this test" }]
    """
    rules = make_ruleset(rules_of(tomllib.loads(row), "mine.toml"))
    report = check(lambda x: torch.ops.observed.noise(x), rules=rules, replay=4)
    (finding,) = report.findings
    assert (finding.predicted, finding.observed, finding.verdict) == ("random", "silent", "silent")
    assert report.fails()
    assert "1 finding not as predicted" in " ".join(report.to_text().split())
    assert "not as predicted (random)" in " ".join(report.to_text().split())


class Failing(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        index = (x > 0).sum() + 100
        return torch.ops.aten.index_select(x, 0, index[None].clamp(min=4))


def test_any_other_error_is_the_users_and_names_the_op() -> None:
    with pytest.raises(TraceError, match=r"aten\.index_select\.default.* on cpu") as caught:
        check(Failing())
    assert "test_step.py" in caught.value.where


def test_replay_finds_one_run_in_twenty_and_says_how_far_apart() -> None:
    report = check(torch.ops.observed.moody, (torch.ones(3),), replay=200)
    (finding,) = [each for each in report.findings if "moody" in each.op]
    assert (finding.observed, finding.rule) == ("switches", NO_RULE)
    replay = finding.replay
    assert replay is not None
    assert (replay.runs, replay.distinct, replay.max_ulps) == (200, 2, 1)
    assert replay.differing in (9, 10)
    assert replay.first_at in range(2, 21)
    assert "ulps apart" in report.to_text()


def test_dropout_and_what_repeats_are_never_reported() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Dropout(), nn.BatchNorm1d(4), nn.Linear(4, 4))
    report = check(model, (torch.randn(8, 4),), replay=50)
    assert [each for each in report.findings if each.observed not in (None, "nothing")] == []
    assert {each.verdict for each in report.findings} == {"random"}


def test_replays_can_be_narrowed() -> None:
    def step(x: torch.Tensor) -> torch.Tensor:
        return torch.ops.observed.moody(x) + x.put(torch.tensor([0]), torch.ones(1))

    unknown = check(step, (torch.ones(3),), replay=3, replay_ops="unknown")
    (put,) = [each for each in unknown.findings if each.op == "aten.put.default"]
    assert put.replay is None
    ruled = check(step, (torch.ones(3),), replay=3, replay_ops="rules")
    assert [each.op for each in ruled.findings if each.replay is not None] == ["aten.put.default"]


def test_a_prediction_that_does_not_come_true_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opscan.observe.run.alert_in", lambda error: None)

    def harmless(x: torch.Tensor) -> torch.Tensor:
        return x.put(torch.tensor([0]), torch.ones(1))

    with pytest.raises(TraceError):  # not taken for an alert, it is the user's error
        check(harmless)
    monkeypatch.undo()
    report = check(harmless)
    (finding,) = [each for each in report.findings if each.alert == "put_"]
    missed = replace(report, findings=(replace(finding, observed="nothing"),))
    assert "not as predicted" in missed.to_text()


def test_want_of_memory_is_said_with_the_module_and_the_prediction_stays(library: torch.library.Library) -> None:
    library.define("greedy(Tensor x) -> Tensor")
    library.impl("greedy", torch.empty_like, "Meta")

    def greedy(x: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1000 GiB.")

    library.impl("greedy", greedy, "CPU")

    class Greedy(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.ops.observed.greedy(x.detach()) + x.put(torch.tensor([0]), torch.ones(1))

    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Greedy()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner(x)

    report = check(Outer())
    assert report.run is not None
    assert report.run.failure is not None
    assert "observed.greedy.default, module inner" in report.run.failure
    assert {(each.predicted, each.observed) for each in report.findings if each.alert} == {("raises", None)}
    assert "out of memory" in report.to_text()


def test_a_model_too_large_for_the_machine_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan_module, "free_memory", lambda device: 10)
    report = check(nn.Linear(4, 4), (torch.ones(2, 4),))
    assert report.run is None
    assert any("not run on cpu" in line for line in report.assumptions)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"device": "cuda", "run": True}, "no CUDA device here"),
        ({"device": "cpu", "run": True, "torch_version": "1.13"}, "is installed here, not 1.13"),
        ({"device": "mps", "replay": 3}, "cuda and cpu only"),
        ({"device": "cpu", "run": False, "replay": 3}, "a replay is a run"),
    ],
)
@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_a_run_that_cannot_be_made_is_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(EnvironmentSpecError, match=says):
        opscan.check(nn.Linear(4, 4), (torch.ones(2, 4),), **options)


def test_without_a_device_or_with_another_torch_it_is_a_prediction() -> None:
    assert check(nn.Linear(4, 4), (torch.ones(2, 4),), run=False).run is None
    assert check(nn.Linear(4, 4), (torch.ones(2, 4),), torch_version="1.13").run is None


@pytest.mark.parametrize("arguments", [{"replay": 0}, {"replay_ops": "some"}])
def test_arguments_that_make_no_sense_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="replays are at least 1"):
        check(nn.Linear(4, 4), (torch.ones(2, 4),), **arguments)
