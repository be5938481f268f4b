"""The pytest plugin under the real pytest: what fails, what the failure says, and what it leaves alone."""

from __future__ import annotations

import os
import sys
import tomllib
from pathlib import Path

import pytest

import opscan
from tests.conftest import run_process

pytest_plugins = ("pytester",)
ROOT = Path(opscan.__file__).parents[1]
MODELS = """
import pytest, torch
from torch import nn
import torch.nn.functional as F
from opscan.testing import assert_deterministic

class Pads(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 3, 1)
        self.conv = nn.Conv2d(3, 4, 3, padding=1, padding_mode="replicate")
    def forward(self, x):
        return self.conv(self.first(x)).mean()

class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
    def forward(self, x):
        return self.norm(self.conv(x)).mean()

@pytest.fixture(scope="module")
def pads():
    return Pads()

@pytest.fixture(scope="module")
def plain():
    return Plain()
"""


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A folder for tests, where pytest finds the plugin by its entry point, as after an installation."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["pytest11"]
    info = pytester.mkdir("site") / "opscan-0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: opscan\nVersion: 0\n")
    lines = "\n".join(f"{name} = {value}" for name, value in scripts.items())
    (info / "entry_points.txt").write_text(f"[pytest11]\n{lines}\n")
    path = [str(info.parent), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for name in ("CI", "BUILD_NUMBER"):  # there pytest shows messages in its summary whole, too
        monkeypatch.delenv(name, raising=False)
    return pytester


def run(project: pytest.Pytester, tests: str, *words: str) -> pytest.RunResult:
    project.makepyfile(test_models=MODELS + tests)
    return project.runpytest_subprocess("-p", "no:cacheprovider", "--strict-markers", *words)


FAILING = """
import unittest

def test_asserted():
    assert_deterministic(Pads(), (torch.rand(2, 3, 8, 8),))

@pytest.mark.opscan
def test_marked(pads):
    loss = pads(torch.rand(2, 3, 8, 8))
    loss.backward()

@pytest.mark.opscan
def test_its_own_assertion(plain):
    value = plain(torch.rand(2, 3, 8, 8)).item()
    assert value == 1e9, "as it should"

@pytest.mark.opscan("cpu")
def test_positional():
    pass

def test_not_looked_at():
    assert_deterministic(Pads(), (torch.rand(2, 5, 8, 8),))

class TestOld(unittest.TestCase):
    @pytest.mark.opscan
    def test_method(self):
        pass
"""


def test_a_failure_says_what_the_report_says_and_shows_none_of_opscan_s_frames(project: pytest.Pytester) -> None:
    outcome = run(project, FAILING)
    outcome.assert_outcomes(failed=5, errors=1)
    shown = outcome.stdout.str()
    assert shown.count("aten.replication_pad2d_backward.default: switches, in backward (OPS102)") == 2
    assert shown.count("instead   replacements.") == 2
    assert "where     pads.conv  built test_models.py:10, called test_models.py:12" in shown
    for expected in (
        ">       assert_deterministic(Pads(), (torch.rand(2, 3, 8, 8),))",
        "E       AssertionError: 1 of 14 ops (4 forward, 10 backward) nondeterministic: 1 switches.",
        "E       AssertionError: as it should",
        "opscan.errors.TraceError: test_models.py:12: RuntimeError: ",
        "the marker opscan is for plain test functions and methods",
        "the marker opscan takes its arguments by name, not ('cpu',)",
        "FAILED test_models.py::test_marked - Failed: 1 of 15 ops (6 forward, 9 backwa",
    ):
        assert expected in shown
    for frame in ("scan.py:", "testing.py:", "pytest_plugin.py:", "opscan/trace", "opscan/target", "/_pytest/"):
        assert frame not in shown


PASSING = """
runs = []

def test_asserted():
    images = (torch.rand(2, 3, 8, 8),)
    assert assert_deterministic(Plain(), images).forward_ops
    assert_deterministic(Pads(), images, strict=True)
    assert assert_deterministic(Pads(), images, device="cpu").run is None
    assert assert_deterministic(Pads(), images, device="cpu", replay=2).run.replays == 2
    assert_deterministic(Pads(), images, mode="eval")
    assert_deterministic(Pads(), images, fail_on=("raises",))
    assert_deterministic(Pads(), images, ignore=("OPS102",))
    assert_deterministic(Pads(), images, ignore="aten.replication_pad2d*")
    with pytest.raises(AssertionError, match="raises RuntimeError"):
        assert_deterministic(Pads(), images, strict=True, torch_version="1.8.1")

def test_flags_and_random_numbers_stay():
    torch.use_deterministic_algorithms(True, warn_only=True)
    model, images = Plain(), torch.rand(2, 3, 8, 8)
    state = torch.get_rng_state()
    assert_deterministic(model, (images,))
    assert torch.equal(state, torch.get_rng_state())
    assert torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(False)

@pytest.mark.opscan(strict=True)
class TestStrict:
    def test_switches(self, pads):
        return pads(torch.rand(2, 3, 8, 8))

    @pytest.mark.opscan(torch_version="1.8.1")
    @pytest.mark.xfail(strict=True)
    def test_raised(self, pads):
        return pads(torch.rand(2, 3, 8, 8))

    @pytest.mark.opscan(torch_version="1.8.1", ignore=["OPS102"])
    def test_ignored(self, pads):
        return pads(torch.rand(2, 3, 8, 8))

@pytest.mark.opscan
@pytest.mark.parametrize("size", [8, 9])
def test_step(plain, size, tmp_path, monkeypatch, request):
    runs.append(size)
    monkeypatch.setenv("OPSCAN_TRIED", "1")
    request.addfinalizer(lambda: runs.append(-size))
    (tmp_path / "file").write_text("")
    before = plain.conv.bias.detach().clone()
    optimizer = torch.optim.SGD(plain.parameters(), 0.5)
    loss = ((plain(torch.rand(2, 3, size, size)) - plain.conv.bias) ** 2).sum()
    loss.backward()
    optimizer.step()
    assert 0 < loss.item() < 10
    assert plain.norm.num_batches_tracked == 1
    assert not torch.equal(before, plain.conv.bias)

def test_what_was_lent_is_as_it_was(plain):
    import os
    assert runs == [8, -8, 9, -9]
    assert "OPSCAN_TRIED" not in os.environ
    assert plain.norm.num_batches_tracked == 0
    assert plain.conv.weight.grad is None

@pytest.fixture
def evaluated(plain):
    yield plain.eval()
    plain.train()

@pytest.mark.opscan
def test_eval_stays_eval(evaluated):
    assert not evaluated.training
    assert not evaluated(torch.rand(2, 3, 8, 8)).isnan()

@pytest.mark.opscan
def test_weights_that_are_loaded_are_not_uninitialized(plain, tmp_path):
    torch.save(plain.state_dict(), tmp_path / "weights")
    other = Plain()
    other.load_state_dict(torch.load(tmp_path / "weights"))
    assert torch.equal(other.conv.weight, plain.conv.weight)

@pytest.mark.opscan
def test_skips():
    pytest.skip("for a reason")

def test_unmarked(pads):
    pads(torch.rand(2, 3, 8, 8)).backward()
"""


def test_a_marked_test_is_the_test_it_was(project: pytest.Pytester) -> None:
    """It runs once with real values, fixtures and mode, its assertions count, and what it is lent stays as it was."""
    run(project, PASSING).assert_outcomes(passed=10, xfailed=1, skipped=1)


def test_it_works_under_xdist_and_can_be_left_out(project: pytest.Pytester) -> None:
    tests = """
@pytest.mark.opscan
def test_marked(pads):
    pads(torch.rand(2, 3, 8, 8)).backward()

@pytest.mark.opscan
def test_clean(plain):
    plain(torch.rand(2, 3, 8, 8)).backward()
"""
    run(project, tests, "-n", "2").assert_outcomes(failed=1, passed=1)
    project.runpytest_subprocess("-p", "no:opscan", "-p", "no:cacheprovider").assert_outcomes(passed=2, warnings=2)


def test_pytest_lists_the_marker(project: pytest.Pytester) -> None:
    project.runpytest_subprocess("--markers").stdout.fnmatch_lines(["@pytest.mark.opscan(device=*"])


def test_the_plugin_costs_a_session_without_marked_tests_next_to_nothing(project: pytest.Pytester) -> None:
    project.makepyfile("""
        import sys

        def test_nothing(request):
            assert request.config.pluginmanager.has_plugin("opscan")
            assert not {"torch", "pandas", "numpy", "tabulate", "opscan.testing"} & set(sys.modules)
    """)
    project.runpytest_subprocess("-p", "no:hypothesispytest").assert_outcomes(passed=1)
    clock = "time.perf_counter()"
    code = f"import pytest, time; began = {clock}; import opscan.pytest_plugin; print({clock} - began)"
    took = [float(run_process(sys.executable, "-c", code, cwd=project.path).out) for _ in range(5)]
    assert min(took) < 0.02
