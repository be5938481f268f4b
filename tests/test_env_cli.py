"""`opscan env` as it is typed: exit statuses, formats, a set-up of the user's own run first."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from tests.conftest import Outcome, run_process
from tests.settings.test_load import ROW

Run = Callable[..., Outcome]

SETUP = """
import torch

def strict(benchmark=False):
    print("setting up")
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = benchmark

def broken():
    raise ValueError("no seed")

number = 3
"""


@pytest.fixture(autouse=True)
def as_before(workplace: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (workplace / "setup_mine.py").write_text(SETUP)
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    yield
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.benchmark = False


def test_a_new_process_is_not_strict(opscan: Run) -> None:
    outcome = opscan("env")
    assert (outcome.status, outcome.err) == (1, "")
    assert "torch.use_deterministic_algorithms(True)" in outcome.out
    assert "What your script sets" in outcome.out
    assert max(len(line) for line in outcome.out.splitlines()) <= 80


def test_the_users_own_set_up_is_run_first(opscan: Run) -> None:
    outcome = opscan("env", "--after", "setup_mine:strict", "--torch", "2.15")
    assert (outcome.status, outcome.err) == (0, "setting up\n")
    assert "Nothing is missing for strict training." in outcome.out
    assert "What your script sets" not in outcome.out


def test_a_set_up_that_forgets_something(opscan: Run) -> None:
    outcome = opscan("env", "--after", "setup_mine.py:strict(benchmark=True)", "--torch", "2.15", "--format", "json")
    assert outcome.status == 1
    assert outcome.document["missing"] == ["torch.backends.cudnn.benchmark"]
    assert outcome.document["fresh_process"] is False


@pytest.mark.parametrize(("version", "status"), [("2.9.1", 1), ("2.10.0", 0)])
def test_what_is_missing_depends_on_the_version(opscan: Run, version: str, status: int) -> None:
    assert opscan("env", "--after", "setup_mine:strict", "--torch", version).status == status


def test_with_the_variable_set_the_old_version_is_content(opscan: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    assert opscan("env", "--after", "setup_mine:strict", "--torch", "2.9.1").status == 0


def test_on_the_cpu_there_is_no_workspace_to_set(opscan: Run) -> None:
    outcome = opscan("env", "--device", "cpu", "--torch", "2.9.1", "--format", "json")
    assert outcome.document["missing"] == ["torch.are_deterministic_algorithms_enabled()"]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        pytest.param(("--torch", "1.4"), "has no strict mode", id="a version without strict mode"),
        pytest.param(("--torch", "new"), "cannot read the torch version", id="no version"),
        pytest.param(("--after", "setup_mine:absent"), "absent", id="no such function"),
        pytest.param(("--after", "setup_mine:broken"), "ValueError: no seed", id="it raises"),
        pytest.param(("--after", "setup_mine:number"), "is no function", id="not a function"),
        pytest.param(("--after", "setup_mine"), "not a target", id="half a name"),
    ],
)
def test_could_not_look(opscan: Run, words: tuple[str, ...], complaint: str) -> None:
    outcome = opscan("env", *words)
    assert (outcome.status, outcome.out) == (2, "")
    assert complaint in outcome.err


def test_settings_of_another_folder(opscan: Run, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (workplace / "cluster.settings.toml").write_text(ROW)
    words = ("env", "--after", "setup_mine:strict", "--torch", "2.15")
    assert opscan(*words).status == 0
    assert opscan(*words, "--rules", str(workplace)).status == 1
    monkeypatch.setenv("MY_FLAG", "1")
    assert opscan(*words, "--rules", str(workplace)).status == 0


def test_all_gives_reasons_and_sources(opscan: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)  # where tests run on every core it is set
    short, full = opscan("env").out, opscan("env", "--all").out
    assert "MKL_NUM_THREADS" not in short
    assert "MKL_NUM_THREADS" in full
    assert "pytorch#161749" in full.replace("\n", "")
    assert "def seed_worker(worker):" in full
    assert "def seed_worker(worker):" not in short


def test_the_command_as_a_process(tmp_path: Path) -> None:
    outcome = run_process(sys.executable, "-m", "opscan", "env", "--device", "cpu", cwd=tmp_path)
    assert (outcome.status, outcome.err) == (1, "")
    assert outcome.out.startswith("for   cpu, torch ")
