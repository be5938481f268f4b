"""PyTorch's own tests of its alerts: what they expect is what opscan predicts, and on the CPU what really happens."""

from __future__ import annotations

import re
import tomllib
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from packaging.specifiers import SpecifierSet
from packaging.version import Version
from torch import nn

from opscan.environment import RELEASES, make_environment
from opscan.finding import Finding
from opscan.match import match
from opscan.rules.load import load_rules
from opscan.settings.outlook import env
from opscan.target.inputs import make_inputs, parse_input
from opscan.trace.driver import trace_target
from opscan.trace.graph import Trace

INSTALLED = Version(Version(metadata.version("torch")).base_version)
WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"


@dataclass(frozen=True, eq=False)
class Check:
    """One call of a PyTorch test. An alert on the devices of `raises_on`, none on the others of `devices`."""

    test: str
    torch: SpecifierSet
    phase: str
    run: str
    inputs: dict[str, str]
    name: str = ""
    before: str = ""
    alert: str = ""
    raises_on: list[str] = field(default_factory=list)
    devices: list[str] = field(default_factory=lambda: ["cuda", "cpu"])
    claim: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, (self.test.replace("test_nondeterministic_alert_", ""), self.name)))

    def expected(self, device: str) -> set[str]:
        return {self.alert} if device in self.raises_on else set()


def read_checks() -> Iterator[Check]:
    content = tomllib.loads(Path(__file__).with_name("pytorch_alert_tests.toml").read_text(encoding="utf-8"))
    for test in content["test"]:
        for check in test["check"]:
            yield Check(test=test["name"], torch=SpecifierSet(test["torch"]), phase=test["phase"], **check)


CHECKS = list(read_checks())
ON_DEVICES = [(check, device) for check in CHECKS for device in check.devices]


def step_of(check: Check) -> Callable[..., None]:
    """The check as a training step: what it does before strict mode is on, and what it does in it."""
    before, run = (compile(code.strip(), f"<{check}>", "exec") for code in (check.before, check.run))

    def step(**tensors: torch.Tensor) -> None:
        names: dict[str, Any] = {"torch": torch, "nn": nn, "F": F, **tensors}
        torch.use_deterministic_algorithms(False)
        exec(before, names)
        torch.use_deterministic_algorithms(True)
        exec(run, names)

    return step


def inputs_of(check: Check) -> dict[str, torch.Tensor]:
    return make_inputs([parse_input(f"{name}={spec}") for name, spec in check.inputs.items()]).kwargs


@cache
def traced(check: Check) -> Trace:
    watched = frozenset(load_rules().by_call)
    return trace_target(step_of(check), (), inputs_of(check), input_grad=True, watched=watched)


def findings_of(check: Check, device: str, version: Version) -> tuple[Finding, ...]:
    return match(traced(check), load_rules(), make_environment(device, str(version), strict=True)).findings


def predicted(check: Check, device: str, version: Version) -> set[str]:
    """The alerts strict mode raises."""
    return {each.alert or "" for each in findings_of(check, device, version) if each.strict == "raises"}


def releases(check: Check) -> list[Version]:
    return [release for release in RELEASES if check.torch.contains(release)]


def test_there_are_forty_tests_and_each_says_something() -> None:
    assert len({check.test for check in CHECKS}) == 40
    assert all(releases(check) for check in CHECKS)
    assert all(bool(check.alert) == bool(check.raises_on) for check in CHECKS)
    assert len({str(check) for check in CHECKS}) == len(CHECKS)


@pytest.mark.parametrize(("check", "device"), [each for each in ON_DEVICES if each[0].claim != "by setting"], ids=str)
def test_the_prediction_is_what_pytorch_expects(check: Check, device: str) -> None:
    found = {str(release): predicted(check, device, release) for release in releases(check)}
    assert found == {str(release): check.expected(device) for release in releases(check)}


@pytest.mark.parametrize(("check", "device"), [each for each in ON_DEVICES if each[0].alert], ids=str)
def test_the_alert_is_found_in_the_phase_it_is_raised_in(check: Check, device: str) -> None:
    for release in releases(check):
        phases = {each.phase for each in findings_of(check, device, release) if each.alert == check.alert}
        assert phases == ({check.phase} if device in check.raises_on and check.claim != "by setting" else set())


@pytest.mark.parametrize(("check", "device"), [each for each in ON_DEVICES if each[0].claim == "equal bits"], ids=str)
def test_where_pytorch_asserts_equal_bits_nothing_varies_in_strict_mode(check: Check, device: str) -> None:
    for release in releases(check):
        assert {each.strict for each in findings_of(check, device, release)} <= {"deterministic", "seeded"}


@pytest.mark.parametrize(("check", "device"), [each for each in ON_DEVICES if each[0].claim == "filled"], ids=str)
def test_where_pytorch_asserts_filled_memory_it_is_filled(check: Check, device: str) -> None:
    for release in releases(check):
        assert {each.strict for each in findings_of(check, device, release)} == {"filled"}


@pytest.mark.parametrize("value", ["garbage", None, ":4096:8", ":16:8"])
@pytest.mark.parametrize("check", [check for check in CHECKS if check.claim == "by setting"], ids=str)
def test_the_cublas_setting_decides_whether_a_product_raises(
    check: Check, value: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    if value is None:
        monkeypatch.delenv(WORKSPACE, raising=False)
    else:
        monkeypatch.setenv(WORKSPACE, value)
    for release in RELEASES[RELEASES.index(Version("1.13")) :]:
        asked = any(
            each.verdict == "config" and WORKSPACE in each.message for each in findings_of(check, "cuda", release)
        )
        missing = WORKSPACE in {each.setting.name for each in env("cuda", str(release)).missing}
        assert (asked and missing) is (check.torch.contains(release) and value in ("garbage", None)), release


def test_a_wrong_expectation_would_be_noticed() -> None:
    check = next(each for each in CHECKS if each.test.endswith("AvgPool3d") and "Adaptive" not in each.test)
    assert predicted(check, "cuda", Version("2.15")) != replace(check, alert="another").expected("cuda")
    assert predicted(replace(check, before="y = nn.AvgPool2d(3)(x)"), "cuda", Version("2.15")) == set()


ON_THIS_CPU = [check for check in CHECKS if "cpu" in check.devices and check.torch.contains(INSTALLED)]


@pytest.fixture
def as_before() -> Iterator[None]:
    yield
    torch.use_deterministic_algorithms(False)


def real_inputs(check: Check) -> dict[str, torch.Tensor]:
    """Floating inputs drawn anew: those of a trace hold no values."""
    return {
        name: torch.randn(each.shape, dtype=each.dtype, requires_grad=True) if each.is_floating_point() else each
        for name, each in inputs_of(check).items()
    }


@pytest.mark.usefixtures("as_before")
@pytest.mark.parametrize("check", ON_THIS_CPU, ids=str)
def test_on_this_cpu_it_really_is_so(check: Check) -> None:
    if "cpu" not in check.raises_on:
        step_of(check)(**real_inputs(check))
        return
    with pytest.raises(RuntimeError, match=re.escape(f"{check.alert} does not have a deterministic implementation")):
        step_of(check)(**real_inputs(check))


@pytest.mark.usefixtures("as_before")
@pytest.mark.parametrize("check", [check for check in ON_THIS_CPU if "cpu" in check.raises_on], ids=str)
def test_on_this_cpu_warn_only_really_warns(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    turn = torch.use_deterministic_algorithms
    monkeypatch.setattr(torch, "use_deterministic_algorithms", lambda mode: turn(mode, warn_only=mode))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        torch._C._set_warnAlways(True)
        try:
            step_of(check)(**real_inputs(check))
        finally:
            torch._C._set_warnAlways(False)
    assert any(str(each.message).startswith(f"{check.alert} does not have a deterministic") for each in caught)
