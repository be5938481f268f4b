"""The settings data: valid, complete, and refused where it is not valid."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from opscan.environment import RELEASES
from opscan.errors import RulesError
from opscan.rules.load import builtin_rules_dir
from opscan.settings.load import load_settings, read_settings
from opscan.settings.schema import UNSET, Setting

SETTINGS = load_settings()
NAMES = {setting.name for setting in SETTINGS}

ROW = """
[[setting]]
name = "MY_FLAG"
kind = "variable"
about = "What it does."

[[setting.history]]
device = ["cuda"]
torch = ">=2.0"
changes = "repeatability"
wants = ["1"]
moment = "before torch is imported"
why = "Because."

[[setting.evidence]]
kind = "docs"
ref = "Where it says so."
"""


def written(folder: Path, *changes: tuple[str, str]) -> tuple[Setting, ...]:
    text = ROW
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "mine.settings.toml"
    path.write_text(text)
    return tuple(read_settings(path))


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_a_shipped_setting_reads_well(setting: Setting) -> None:
    sentences = [setting.about, *(entry.why for entry in setting.history)]
    assert all(text.strip() == text and text.endswith(".") and len(text) <= 400 for text in sentences)
    assert all(len(line) <= 74 for entry in setting.history for line in entry.write.strip().splitlines())
    assert all(entry.accepted(None if value == UNSET else value) for entry in setting.history for value in entry.wants)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting.name)
def test_no_entry_stands_behind_one_that_always_decides(setting: Setting) -> None:
    """An entry nobody can reach is a mistake in the order or in a range."""
    for at, entry in enumerate(setting.history):
        reached = [
            (device, release)
            for device in entry.devices
            for release in RELEASES
            if entry.torch.contains(release)
            and not any(
                device in other.devices and other.torch.contains(release) and other.cuda is None
                for other in setting.history[:at]
            )
        ]
        assert reached, f"entry {at + 1}"


def test_every_settings_file_is_found() -> None:
    files = {path.name for path in builtin_rules_dir().glob("*.settings.toml")}
    assert {setting.source for setting in SETTINGS} == files


@pytest.mark.parametrize(
    "name",
    [
        "CUBLAS_WORKSPACE_CONFIG",
        "CUBLASLT_WORKSPACE_SIZE",
        "TORCH_CUBLAS_WORKSPACE_CACHE",
        "TORCH_CUBLASLT_UNIFIED_WORKSPACE",
        "torch.backends.cudnn.benchmark",
        "torch.backends.cudnn.deterministic",
        "CUBLAS_WORKSPACE_CONFIG for cuDNN RNNs",
        "torch.backends.cuda.matmul.allow_tf32",
        "torch.backends.cuda.matmul.fp32_precision",
        "torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction",
        "torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction_split_k",
        "torch.cuda.tunable.is_enabled()",
        "torch.backends.cuda.preferred_blas_library()",
        "TORCHINDUCTOR_MAX_AUTOTUNE",
        "NCCL_ALGO",
        "DistributedDataParallel buckets",
        "torch._inductor.config.deterministic",
        "TORCHINDUCTOR_DETERMINISTIC",
        "TORCHINDUCTOR_BATCH_INVARIANT",
        "torch.utils.deterministic.fill_uninitialized_memory",
        "several CUDA streams",
        "DataLoader workers",
        "checkpointing",
        "TORCH_DISABLE_NATIVE_AOT",
        "TORCH_DISABLE_NATIVE_JIT",
        "PYTORCH_SUM_INNER_TREE",
        "torch.is_deterministic_algorithms_warn_only_enabled()",
        "torch.are_deterministic_algorithms_enabled()",
        "TorchScript",
        "seeds",
        "PYTHONHASHSEED",
        "torch.get_num_threads()",
        "MKL_CBWR",
        "CUDA_LAUNCH_BLOCKING",
        "PYTORCH_NO_CUDA_MEMORY_CACHING",
        "NVIDIA_TF32_OVERRIDE",
    ],
)
def test_what_is_known_to_matter_has_a_row(name: str) -> None:
    assert name in NAMES


def test_precision_changes_bits_and_never_repeatability() -> None:
    told = {entry.changes for each in SETTINGS for entry in each.history if re.search("tf32|precision", each.name)}
    assert told == {"bits"}


def test_a_new_variable_is_one_table(tmp_path: Path) -> None:
    (setting,) = written(tmp_path)
    assert (setting.name, setting.reads, setting.history[0].wants) == ("MY_FLAG", "MY_FLAG", ("1",))


def test_a_name_stands_once(tmp_path: Path) -> None:
    (tmp_path / "a.settings.toml").write_text(ROW)
    (tmp_path / "b.settings.toml").write_text(ROW)
    with pytest.raises(RulesError, match=r"a\.settings\.toml and b\.settings\.toml: the setting MY_FLAG stands twice"):
        load_settings(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(("about =", "abuot ="), "`about` is missing", id="a key is missing"),
        pytest.param(('why = "Because."', 'why = "Because."\nwishes = []'), "unknown key `wishes`", id="unknown key"),
        pytest.param(('torch = ">=2.0"', 'torch = "2.x"'), "`torch` is '2.x'", id="unreadable version range"),
        pytest.param(('kind = "variable"', 'kind = "envvar"'), "`kind` is 'envvar'", id="unknown kind"),
        pytest.param(('"repeatability"', '"repeatable"'), "Did you mean `repeatability`", id="misspelt change"),
        pytest.param(('name = "MY_FLAG"', 'name = "my flag"'), "'my flag' cannot be read", id="no variable's name"),
        pytest.param(('moment = "before torch is imported"\n', ""), "`moment` is missing", id="when to write it"),
        pytest.param(('wants = ["1"]', 'accepts = "["'), "regular expression", id="unreadable pattern"),
        pytest.param(
            ('wants = ["1"]\nmoment = "before torch is imported"', 'accepts = ".*"'), "without `wants`", id="alone"
        ),
        pytest.param(('kind = "variable"', 'kind = "unseen"'), "shows in no process", id="nothing to compare"),
        pytest.param(
            ('name = "MY_FLAG"\nkind = "variable"', 'name = "torch.f()"\nkind = "python"'), "how to set it", id="a call"
        ),
        pytest.param(('name = "MY_FLAG"\nkind = "variable"', 'name = "os.abort()"\nkind = "python"'), "cannot be read"),
        pytest.param(('ref = "Where it says so."', 'ref = ""'), "`ref` is empty", id="evidence without a source"),
    ],
)
def test_what_is_not_valid_is_refused_with_its_place(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    with pytest.raises(RulesError, match=re.escape(message)) as caught:
        written(tmp_path, change)
    assert caught.value.where.startswith("mine.settings.toml")
    assert caught.value.hint
