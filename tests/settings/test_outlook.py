"""Values read under several environments, judged per torch version, and nothing changed by looking."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import opscan
from opscan.environment import make_environment
from opscan.settings import machine as machine_module
from opscan.settings import outlook as outlook_module
from opscan.settings.machine import Machine, look_at_machine
from opscan.settings.outlook import Outlook, Stand, env
from opscan.settings.read import read_setting
from tests.conftest import run_process

STRICT = "torch.are_deterministic_algorithms_enabled()"
WORKSPACE = "CUBLAS_WORKSPACE_CONFIG"
RNN = "CUBLAS_WORKSPACE_CONFIG for cuDNN RNNs"
BARE = Machine("3.11.0", "Linux", "2.13.0", "12.6", None, "9.1.0", "2.21.5", ("NVIDIA H100",), False)


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the variables the data speaks of is set."""
    for setting in outlook_module.load_settings():
        if setting.kind == "variable":
            monkeypatch.delenv(setting.reads, raising=False)


def of(outlook: Outlook, name: str) -> Stand:
    (found,) = (stand for stand in outlook.stands if stand.setting.name == name)
    return found


def names(stands: tuple[Stand, ...]) -> list[str]:
    return [stand.setting.name for stand in stands]


@pytest.fixture
def strict() -> Any:
    """Strict mode on, as a script would have it."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize(
    ("version", "value", "standing"),
    [
        pytest.param("1.13.1", None, "missing", id="1.13 needs it"),
        pytest.param("2.9.1", None, "missing", id="2.9 is the last to need it"),
        pytest.param("2.9.1", ":4096:8", "right", id="larger workspaces"),
        pytest.param("2.9.1", ":16:8", "right", id="small workspaces"),
        pytest.param("2.9.1", ":4096:2", "missing", id="what RNNs accept the check does not"),
        pytest.param("2.9.1", "4096:8", "missing", id="the colon in front belongs to it"),
        pytest.param("2.9.1", "", "missing", id="set and empty"),
        pytest.param("2.10.0", None, "free", id="2.10 does not ask"),
        pytest.param("2.15.0", ":4096:8", "free", id="any value"),
    ],
)
def test_the_cublas_workspace(monkeypatch: pytest.MonkeyPatch, version: str, value: str | None, standing: str) -> None:
    if value is not None:
        monkeypatch.setenv(WORKSPACE, value)
    assert of(env(torch=version), WORKSPACE).standing == standing


@pytest.mark.parametrize(
    ("version", "value", "standing"),
    [
        ("2.9.1", ":4096:2", "missing in some cases"),
        ("2.9.1", ":16:8", "right"),
        ("2.15.0", ":4096:2", "right"),
        ("2.15.0", ":4096:8", "missing in some cases"),
        ("2.15.0", None, "missing in some cases"),
    ],
)
def test_what_cudnn_rnns_want_of_it(
    monkeypatch: pytest.MonkeyPatch, version: str, value: str | None, standing: str
) -> None:
    if value is not None:
        monkeypatch.setenv(WORKSPACE, value)
    assert of(env(torch=version), RNN).standing == standing


@pytest.mark.parametrize(
    ("version", "value", "standing"),
    [
        pytest.param("2.8.0", None, "right", id="torch sets it itself"),
        pytest.param("2.8.0", "^NVLS", "right", id="as torch sets it"),
        pytest.param("2.8.0", "^NVLS,Tree", "right", id="more left out"),
        pytest.param("2.8.0", "Ring", "right", id="NVLS not among those named"),
        pytest.param("2.8.0", "Ring,NVLS", "missing in some cases", id="NVLS named"),
        pytest.param("2.8.0", "^Tree", "missing in some cases", id="only another left out"),
        pytest.param("2.7.1", None, "free", id="before 2.8 another variable decides"),
    ],
)
def test_nvls(monkeypatch: pytest.MonkeyPatch, version: str, value: str | None, standing: str) -> None:
    if value is not None:
        monkeypatch.setenv("NCCL_ALGO", value)
    assert of(env(torch=version), "NCCL_ALGO").standing == standing
    if version == "2.7.1":
        assert of(env(torch=version), "NCCL_NVLS_ENABLE").standing == "missing in some cases"


@pytest.mark.parametrize(("value", "standing"), [("0", "right"), ("42", "right"), ("random", "missing in some cases")])
def test_the_hash_seed(monkeypatch: pytest.MonkeyPatch, value: str, standing: str) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", value)
    assert of(env(), "PYTHONHASHSEED").standing == standing


def test_strict_mode_is_what_is_missing_on_todays_torch() -> None:
    outlook = env(torch="2.15.0")
    assert names(outlook.missing) == [STRICT]
    assert outlook.lines() == {"before the first forward": ("torch.use_deterministic_algorithms(True)",)}


@pytest.mark.usefixtures("strict")
def test_nothing_is_missing_once_it_is_on() -> None:
    assert env(torch="2.15.0").missing == ()
    assert "Nothing is missing for strict training." in env(torch="2.15.0").to_text()


def test_warn_only_is_not_strict() -> None:
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        assert names(env(torch="2.15.0").missing) == ["torch.is_deterministic_algorithms_warn_only_enabled()"]
    finally:
        torch.use_deterministic_algorithms(False)


@pytest.mark.usefixtures("strict")
def test_flags_that_undo_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.utils.deterministic, "fill_uninitialized_memory", False)
    with torch.backends.cudnn.flags(enabled=True, benchmark=True):
        outlook = env(torch="2.15.0")
    assert names(outlook.missing) == [
        "torch.backends.cudnn.benchmark",
        "torch.utils.deterministic.fill_uninitialized_memory",
    ]
    assert outlook.lines()["before the first forward"] == (
        "torch.backends.cudnn.benchmark = False",
        "torch.utils.deterministic.fill_uninitialized_memory = True",
    )


@pytest.mark.usefixtures("strict")
def test_flags_of_cuda_do_not_matter_on_the_cpu() -> None:
    with torch.backends.cudnn.flags(enabled=True, benchmark=True):
        assert env("cpu", torch="2.9.1").missing == ()
        assert names(env("cuda", torch="2.9.1").missing) == ["torch.backends.cudnn.benchmark", WORKSPACE]


def test_a_variable_is_written_for_the_shell_and_in_python() -> None:
    assert of(env(torch="2.9.1"), WORKSPACE).lines() == (
        "export CUBLAS_WORKSPACE_CONFIG=:4096:8  # shell, or",
        'os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"',
    )
    assert of(env(), "PYTHONHASHSEED").lines() == ("export PYTHONHASHSEED=0",)


def test_a_variable_that_has_to_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTORCH_TUNABLEOP_ENABLED", "1")
    assert of(env(), "PYTORCH_TUNABLEOP_ENABLED").lines() == (
        "unset PYTORCH_TUNABLEOP_ENABLED  # shell, or",
        'os.environ.pop("PYTORCH_TUNABLEOP_ENABLED", None)',
    )


@pytest.mark.parametrize(
    ("installed", "cuda", "expected"),
    [
        pytest.param("1.7.1+cu101", "10.1", [RNN, "CUDA_LAUNCH_BLOCKING"], id="CUDA 10.1 has no workspaces"),
        pytest.param("1.7.1+cu110", "11.0", [WORKSPACE, RNN], id="CUDA 11 has"),
        pytest.param("2.13.0+cpu", None, [WORKSPACE, RNN, "CUDA_LAUNCH_BLOCKING"], id="an unknown CUDA may be any"),
    ],
)
def test_the_cuda_version_decides_where_it_is_known(
    monkeypatch: pytest.MonkeyPatch, installed: str, cuda: str | None, expected: list[str]
) -> None:
    here = replace(BARE, torch=installed, cuda=cuda)
    monkeypatch.setattr(outlook_module, "look_at_machine", lambda: here)
    outlook = env(torch="1.7.1")
    needed = {*names(outlook.missing), *names(outlook.missing_in_some_cases)} & {WORKSPACE, RNN, "CUDA_LAUNCH_BLOCKING"}
    expected = [each for each in expected if not (each == RNN and cuda == "10.1")]
    assert needed == set(expected)


def test_the_projects_own_settings_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.settings.test_load import ROW

    (tmp_path / "pyproject.toml").write_text('[tool.opscan]\nrules = ["mine"]\n')
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "cluster.settings.toml").write_text(ROW)
    monkeypatch.chdir(tmp_path)
    assert of(env(), "MY_FLAG").standing == "missing"
    monkeypatch.setenv("MY_FLAG", "1")
    assert of(env(), "MY_FLAG").standing == "right"


LOOKING = """
import json, os, sys, warnings
import torch
MODULES = ("torch._inductor", "torch._dynamo", "pandas")

def state():
    return [
        torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic, torch.get_num_threads(),
        str(torch.get_default_dtype()), torch.initial_seed(), torch.get_rng_state().tolist(), dict(os.environ),
        [str(each) for each in warnings.filters], torch.cuda.is_initialized(),
        [name for name in MODULES if name in sys.modules], torch.backends.cuda.matmul.allow_tf32,
    ]

before = state()
import opscan
outlook = opscan.env()
outlook.to_text(everything=True), outlook.to_json(), outlook._repr_html_(), repr(outlook)
after = state()
assert before == after, [(one, other) for one, other in zip(before, after) if one != other]
assert not torch.cuda.is_initialized()
print(json.dumps(after[-2]))
"""


def test_looking_changes_nothing_and_imports_nothing(tmp_path: Path) -> None:
    outcome = run_process(sys.executable, "-c", LOOKING, cwd=tmp_path)
    assert outcome.status == 0, outcome.err
    assert json.loads(outcome.out) == []


def test_inductor_is_read_only_where_it_is_imported(tmp_path: Path) -> None:
    code = (
        "import opscan, torch, sys;"
        "before = [s for s in opscan.env().stands if s.setting.name == 'torch._inductor.config.fallback_random'];"
        "import torch._inductor.config as c; c.fallback_random = True;"
        "after = [s for s in opscan.env().stands if s.setting.name == 'torch._inductor.config.fallback_random'];"
        "print(before[0].standing, before[0].shown_value, after[0].standing, after[0].shown_value)"
    )
    assert run_process(sys.executable, "-c", code, cwd=tmp_path).out.strip() == "not seen - free True"


def test_the_python_function_is_the_packages_own() -> None:
    assert opscan.env is env


def test_a_value_that_this_torch_lacks_is_not_seen() -> None:
    stand = env().stands[0]
    setting = replace(stand.setting, kind="python", reads="torch.backends.cuda.matmul.no_such_flag")
    assert not read_setting(setting).seen
    assert replace(stand, setting=setting, reading=read_setting(setting)).standing == "not seen"


def test_a_value_that_cannot_be_read_is_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """As allow_tf32 in torch 2.13 once the new name for it was set."""

    def mixed() -> bool:
        raise RuntimeError("mix of the legacy and new APIs")

    monkeypatch.setattr(torch, "get_num_threads", mixed)
    stand = of(env(), "torch.get_num_threads()")
    assert (stand.standing, stand.shown_value) == ("not seen", "-")


@pytest.mark.parametrize(("number", "text"), [(8902, "8.9.2"), (90100, "9.1.0"), (92600, "9.26.0")])
def test_cudnn_versions(monkeypatch: pytest.MonkeyPatch, number: int, text: str) -> None:
    class Binding:
        class _cudnn:
            getVersionInt = staticmethod(lambda: number)  # noqa: N815

    assert machine_module._cudnn(Binding) == text


def test_gpus_come_from_the_drivers_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    def tool(*_: object, **__: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], 0, "NVIDIA H100 80GB HBM3\nNVIDIA H100 80GB HBM3\n", "")

    monkeypatch.setattr(machine_module.subprocess, "run", tool)
    assert look_at_machine().gpus == ("NVIDIA H100 80GB HBM3",) * 2


@pytest.mark.parametrize("error", [FileNotFoundError("nvidia-smi"), subprocess.TimeoutExpired("nvidia-smi", 10)])
def test_a_machine_without_the_tool_has_none(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    def tool(*_: object, **__: object) -> subprocess.CompletedProcess[str]:
        raise error

    monkeypatch.setattr(machine_module.subprocess, "run", tool)
    assert look_at_machine().gpus == ()


@pytest.mark.parametrize("everything", [False, True])
@pytest.mark.parametrize("version", ["1.7", "1.13", "2.2", "2.6", "2.9", "2.15"])
@pytest.mark.parametrize("device", ["cuda", "cpu", "mps"])
def test_the_table_fits_80_columns(
    monkeypatch: pytest.MonkeyPatch, device: str, version: str, everything: bool
) -> None:
    monkeypatch.setenv("NCCL_ALGO", "Ring,Tree,CollnetDirect,CollnetChain,NVLS,NVLSTree,PAT")
    outlook = replace(env(device, version), machine=replace(BARE, cuda_initialised=True), fresh=True)
    long = [line for line in outlook.to_text(80, everything=everything).splitlines() if len(line) > 80]
    assert long == []


def test_a_wider_table_breaks_fewer_names() -> None:
    narrow, wide = env().to_text(80), env().to_text(120)
    assert len(wide.splitlines()) < len(narrow.splitlines())
    assert all(len(line) <= 120 for line in wide.splitlines())


def test_the_table_says_what_it_cannot_know() -> None:
    text = replace(env(), fresh=True).to_text()
    assert "What your script sets is not seen" in " ".join(text.split())
    assert "What your script sets" not in env().to_text()
    other = env(torch="2.6.0" if not torch.__version__.startswith("2.6") else "2.15.0").to_text()
    assert "The values are those of the torch that is installed here" in " ".join(other.split())


def test_a_variable_comes_too_late_once_cuda_is_initialised() -> None:
    outlook = env(torch="2.9.1")
    late = replace(outlook, machine=replace(outlook.machine, cuda_initialised=True))
    assert "comes too late" in " ".join(late.to_text().split())
    assert "comes too late" not in " ".join(outlook.to_text().split())


def test_precision_is_said_to_change_bits_alone() -> None:
    text = env().to_text()
    head = text.index("Decides which bits come out, not whether they repeat")
    assert text.index("torch.backends.cuda.matmul.allow_tf32") > head > text.index("torch.backends.cudnn.")


def test_a_setting_without_effect_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_LAUNCH_BLOCKING", "1")
    text = env(torch="2.13.0").to_text()
    assert text.index("CUDA_LAUNCH_BLOCKING") > text.index("Without influence on either")


def test_the_document_holds_what_the_table_holds() -> None:
    document = json.loads(env(torch="2.9.1").to_json())
    assert document["schema"] == 1
    assert document["environment"] == {"device": "cuda", "torch": "2.9.1"}
    assert set(document["missing"]) == {STRICT, WORKSPACE}
    assert document["machine"]["torch"] == torch.__version__
    (row,) = (each for each in document["settings"] if each["name"] == WORKSPACE)
    assert (row["value"], row["seen"], row["wants"]) == (None, True, [":4096:8", ":16:8"])
    assert (row["standing"], row["moment"]) == ("missing", "before CUDA is initialised")
    assert row["evidence"]


def test_a_notebook_shows_the_text_escaped() -> None:
    outlook = env()
    system = replace(outlook, machine=replace(outlook.machine, system="<b>&"))
    html = system._repr_html_()
    assert html.startswith("<pre>")
    assert "&lt;b&gt;&amp;" in html
    assert "<b>" not in html


def test_a_prompt_shows_one_line() -> None:
    assert repr(env(torch="2.15.0")) == f"<opscan settings: cuda, torch 2.15.0: missing {STRICT}>"


def test_devices_and_versions_that_are_not_covered_are_refused() -> None:
    with pytest.raises(opscan.OpscanError, match="unknown device"):
        env("tpu")
    with pytest.raises(opscan.OpscanError, match="has no strict mode"):
        env(torch="1.4")
    assert make_environment("cpu").device == "cpu"
