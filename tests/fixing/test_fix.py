"""`opscan fix`, as a user runs it: the diff, the files written, and the model that comes of them."""

from __future__ import annotations

import importlib.util
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch

from tests.conftest import CNN_SOURCE, Outcome

Run = Callable[..., Outcome]

SEGMENTER = """\
import torch.nn as nn
import torch.nn.functional as F


class Segmenter(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.up = nn.Upsample(scale_factor=2, mode="bilinear")  # opscan: keep

    def forward(self, x):
        y = F.interpolate(  # to the size of the image
            self.conv(x),
            size=x.shape[-2:],   mode="bicubic",
        )
        return self.up(y)
"""


def loaded(path: Path, name: str) -> ModuleType:
    """The file as a module of its own."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def changed(diff: str, sign: str) -> list[str]:
    return [line[1:] for line in diff.splitlines() if line.startswith(sign) and not line.startswith(sign * 3)]


def test_case_a_is_six_one_line_edits_and_an_import(opscan: Run, workplace: Path) -> None:
    outcome = opscan("fix", "mymodel.py:CNN_v2", "--diff")
    assert outcome.status == 1
    gone, come = changed(outcome.out, "-"), changed(outcome.out, "+")
    assert [line.split(" = ")[0].strip() for line in gone] == [f"self.conv{n}" for n in range(1, 7)]
    assert come[0] == "from opscan import replacements"
    assert come[1:] == [line.replace("nn.Conv2d", "replacements.Conv2d") for line in gone]
    assert "6 lines to edit in 1 file" in outcome.err
    assert (workplace / "mymodel.py").read_text() == CNN_SOURCE


def test_case_a_written_scans_clean_and_computes_the_same(opscan: Run, workplace: Path) -> None:
    (workplace / "before.py").write_text(CNN_SOURCE)
    outcome = opscan("fix", "mymodel.py:CNN_v2", "--write")
    assert outcome.status == 0, outcome.err
    assert outcome.out.splitlines() == ["mymodel.py: written", "scanned again: clean"]
    torch.manual_seed(0)
    before = loaded(workplace / "before.py", "before").CNN_v2(10).double()
    after = loaded(workplace / "mymodel.py", "after").CNN_v2(10).double()
    after.load_state_dict(before.state_dict())
    before.load_state_dict(after.state_dict())
    x = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    results = []
    for model in (before, after):
        leaf = x.clone().requires_grad_()
        output = model(leaf)
        output.square().sum().backward()
        results.append([output.detach(), leaf.grad, *(each.grad for each in model.parameters())])
    torch.testing.assert_close(results[0][0], results[1][0], rtol=0, atol=0)
    torch.testing.assert_close(results[0], results[1], rtol=1e-12, atol=1e-12)


def test_a_file_without_a_name_is_fixed_model_by_model_and_kept_lines_stay(opscan: Run, workplace: Path) -> None:
    (workplace / "seg.py").write_text(SEGMENTER)
    outcome = opscan("fix", "seg.py")
    assert changed(outcome.out, "-") == ["        y = F.interpolate(  # to the size of the image"]
    assert changed(outcome.out, "+")[1:] == ["        y = replacements.interpolate(  # to the size of the image"]
    assert "left: seg.py:9: aten.upsample_bilinear2d_backward.default switches (OPS302): kept" in _flat(outcome.err)
    assert outcome.status == 1


def _flat(text: str) -> str:
    return " ".join(text.replace(str(Path.cwd()) + "/", "").split())


def test_what_is_written_keeps_mode_and_line_ends(opscan: Run, workplace: Path) -> None:
    path = workplace / "mymodel.py"
    path.write_bytes(CNN_SOURCE.replace("\n", "\r\n").encode())
    path.chmod(0o640)
    assert opscan("fix", "mymodel.py:CNN_v2", "--write").status == 0
    data = path.read_bytes()
    assert data.count(b"\n") == data.count(b"\r\n") == CNN_SOURCE.count("\n") + 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert [each.name for each in workplace.iterdir() if each.name.startswith(".opscan")] == []


def test_the_second_time_there_is_nothing_to_do(opscan: Run, workplace: Path) -> None:
    assert opscan("fix", "mymodel.py:CNN_v2", "--write").status == 0
    sys.modules.pop("mymodel", None)
    written = (workplace / "mymodel.py").read_bytes()
    outcome = opscan("fix", "mymodel.py:CNN_v2", "--write")
    assert (outcome.status, outcome.out) == (0, "")
    assert "nothing to fix" in outcome.err
    assert (workplace / "mymodel.py").read_bytes() == written


def test_other_values_are_written_only_if_allowed(opscan: Run, workplace: Path) -> None:
    (workplace / "mid.py").write_text(
        "import torch\nfrom torch import nn\n\n\nclass Mid(nn.Module):\n    def forward(self, x):\n"
        "        return torch.median(x, dim=1).values\n"
    )
    outcome = opscan("fix", "mid.py:Mid", "--input", "4x9")
    assert outcome.out == ""
    assert "(--allow-different-values)" in outcome.err
    outcome = opscan("fix", "mid.py:Mid", "--input", "4x9", "--allow-different-values")
    assert changed(outcome.out, "+")[-1] == "        return replacements.median(x, dim=1).values"


def test_a_clean_model_needs_nothing(opscan: Run) -> None:
    outcome = opscan("fix", "mymodel4.py")
    assert (outcome.status, outcome.out) == (0, "")


def test_strict_mode_needs_no_edit_where_it_switches(opscan: Run) -> None:
    assert opscan("fix", "mymodel.py:CNN_v2", "--strict").status == 0


@pytest.mark.parametrize(
    ("word", "said"),
    [("nosuch.py:Net", "no such file"), ("mymodel.py:Nosuch", "Nosuch"), ("empty.py", "defines no model")],
)
def test_what_cannot_be_looked_at_is_status_2(opscan: Run, workplace: Path, word: str, said: str) -> None:
    (workplace / "empty.py").write_text("x = 1\n")
    outcome = opscan("fix", word)
    assert outcome.status == 2
    assert said in outcome.err
    assert "Traceback" not in outcome.err


def test_a_file_that_cannot_be_replaced_is_said_and_stays(
    opscan: Run, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.replace", refuse)
    outcome = opscan("fix", "mymodel.py:CNN_v2", "--write")
    assert outcome.status == 2
    assert "mymodel.py: cannot be written: Permission denied" in outcome.err
    assert (workplace / "mymodel.py").read_text() == CNN_SOURCE
    assert not list(workplace.glob(".opscan-*"))
