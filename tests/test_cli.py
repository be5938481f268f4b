"""The command line, as issue reporters would use it: case A, many ops at once, and every way to get it wrong."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import CONV_LINES, Outcome, run_process

Run = Callable[..., Outcome]
CONVS = ["conv1", "conv2", "conv3", "conv4", "conv5", "conv6"]
PAD_BACKWARD = "aten.replication_pad2d_backward.default"


def nondeterministic(outcome: Outcome) -> list[dict[str, object]]:
    return [each for each in outcome.report["findings"] if each["verdict"] in ("raises", "switches", "silent")]


def test_case_a_names_all_six_places_with_the_lines_of_the_conv2d_calls(opscan: Run, workplace: Path) -> None:
    outcome = opscan("check", "mymodel:CNN_v2", "--format", "json")
    (finding,) = nondeterministic(outcome)
    assert outcome.status == 1
    assert (finding["op"], finding["count"], finding["verdict"]) == (PAD_BACKWARD, 6, "switches")
    assert finding["modules"] == CONVS
    assert finding["module_type"] == "Conv2d"
    assert finding["constructed"] == [{"file": str(workplace / "mymodel.py"), "line": line} for line in CONV_LINES]
    assert finding["called"] == [{"file": str(workplace / "mymodel.py"), "line": 25}]
    assert finding["strict"] == "deterministic"
    assert "strict" in finding["message"]
    assert {each["same_values"] for each in finding["replacements"]} >= {"different", "rounding"}


def test_case_a_on_torch_1_8_raised(opscan: Run) -> None:
    outcome = opscan("check", "mymodel:CNN_v2", "--torch", "1.8.1", "--format", "json")
    (finding,) = nondeterministic(outcome)
    assert outcome.status == 1
    assert (finding["verdict"], finding["strict"]) == ("raises", "raises")
    assert finding["alert"] == "replication_pad2d_backward_cuda"
    assert outcome.report["environment"] == {"device": "cuda", "torch": "1.8.1", "strict": None, "amp": None}


@pytest.mark.parametrize("target", ["mymodel3:CNN_v3", "mymodel4:CNN_v4"])
def test_without_replicate_padding_the_report_is_clean(opscan: Run, target: str) -> None:
    outcome = opscan("check", target, "--format", "json")
    assert (outcome.status, nondeterministic(outcome)) == (0, [])
    assert {each["verdict"] for each in outcome.report["findings"]} == {"config"}


@pytest.mark.parametrize(
    ("flags", "status"),
    [
        pytest.param((), 1, id="switches fail where both modes count"),
        pytest.param(("--default",), 1, id="switches fail in default mode"),
        pytest.param(("--strict",), 0, id="in strict mode another kernel runs"),
        pytest.param(("--strict", "--torch", "1.8.1"), 1, id="in strict mode torch 1.8 raises"),
        pytest.param(("--warn-only",), 0, id="warn_only reroutes in Python as strict mode does"),
        pytest.param(("--warn-only", "--torch", "1.8.1"), 1, id="warn_only warns on torch 1.8 and goes on varying"),
        pytest.param(("--strict", "--fail-on", "switches"), 1, id="asked for"),
        pytest.param(("--fail-on", "raises"), 0, id="only raises fail"),
        pytest.param(("--device", "cpu"), 0, id="the CPU kernel repeats"),
        pytest.param(("--mode", "eval"), 0, id="no backward in eval mode"),
        pytest.param(("--fail-on", "config", "--device", "cuda"), 1, id="config fails when asked for"),
    ],
)
def test_exit_status_follows_the_environment(opscan: Run, flags: tuple[str, ...], status: int) -> None:
    assert opscan("check", "mymodel:CNN_v2", *flags).status == status


def test_every_assumption_is_printed_and_can_be_overridden(opscan: Run) -> None:
    assumed = opscan("check", "mymodel:CNN_v2", "--format", "json").report["assumptions"]
    assert any(line.startswith("num_classes=10") and "--init" in line for line in assumed)
    assert any("2x3x32x32" in line and "--input" in line for line in assumed)
    assert any("inputs need a gradient" in line and "--no-input-grad" in line for line in assumed)
    given = ["--init", "num_classes=7", "--input", "4x3x32x32", "--input-grad"]
    given += ["--loss", "cross_entropy", "--input", "target=int64:4<7"]
    assert opscan("check", "mymodel:CNN_v2", *given, "--format", "json").report["assumptions"] == []


def test_without_input_gradients_the_first_padding_has_no_backward(opscan: Run) -> None:
    (finding,) = nondeterministic(opscan("check", "mymodel:CNN_v2", "--no-input-grad", "--format", "json"))
    assert finding["modules"] == CONVS[1:]


def test_the_table_fits_80_columns_and_says_everything(opscan: Run) -> None:
    out = opscan("check", "mymodel:CNN_v2", "--torch", "1.8.1").out
    prose = [line for line in out.splitlines() if not line.startswith(" " * 14)]
    assert max(map(len, prose)) <= 80
    for expected in (
        "raises",
        PAD_BACKWARD,
        "conv3",
        "mymodel.py:10",
        "replication_pad2d_backward_cuda",
        "zero padding",
    ):
        assert expected in out
    assert len([line for line in out.splitlines() if line.startswith("config: ")]) == 1
    assert out.rstrip().endswith("6 raises.")


def test_config_random_and_unknown_are_one_line_each_unless_asked_for(opscan: Run) -> None:
    short = opscan("check", "mymodel:CNN_v2").out
    long = opscan("check", "mymodel:CNN_v2", "--show", "config").out
    assert "aten.convolution.default: config" not in short
    assert "aten.convolution.default: config" in long


EVERYTHING = """
import torch, torch.nn as nn, torch.nn.functional as F

class Everything(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.pool = nn.MaxPool2d(2, return_indices=True)
        self.unpool = nn.MaxUnpool2d(2)
        self.theta = nn.Linear(8, 6)
        self.head = nn.Conv2d(8, 5, 1)
        self.cls = nn.Linear(8, 11)
        self.memory = nn.Parameter(torch.zeros(20, 8))

    def forward(self, x, target, labels):
        p, i = self.pool(self.conv(x))
        h = self.unpool(p, i)
        grid = F.affine_grid(self.theta(h.mean((2, 3))).view(-1, 2, 3), h.shape, align_corners=False)
        h = F.interpolate(F.grid_sample(h, grid, align_corners=False), scale_factor=2, mode="bicubic")
        bank = self.memory.index_add(0, torch.arange(8), h.mean((2, 3)).repeat(4, 1))
        flat = h.flatten().clone()
        flat.put_(torch.arange(5), bank.flatten()[:5])
        h = flat.view_as(h)
        loss = F.nll_loss(F.log_softmax(self.head(h), 1), target)
        logp = self.cls(h.flatten(2).transpose(1, 2)[:, :40]).log_softmax(-1).transpose(0, 1)
        return loss + F.ctc_loss(logp, labels, [40, 40], [3, 3])
"""


def test_many_ops_at_once_are_all_found_in_one_run_forward_and_backward(opscan: Run, workplace: Path) -> None:
    (workplace / "everything.py").write_text(EVERYTHING)
    inputs = ("--input", "2x3x16x16", "--input", "int64:2x32x32<5", "--input", "int64:2x3<11")
    outcome = opscan("check", "everything:Everything", *inputs, "--format", "json")
    found = {(each["op"], each["phase"]): each["verdict"] for each in nondeterministic(outcome)}
    newer = tuple(map(int, outcome.report["environment"]["torch"].split(".")[:2])) >= (2, 15)
    assert found == {
        ("aten.max_unpool2d.default", "forward"): "raises",
        ("aten.grid_sampler_2d_backward.default", "backward"): "raises",
        ("aten.upsample_bicubic2d_backward.default", "backward"): "switches" if newer else "raises",
        ("aten.index_add.default", "forward"): "switches",
        ("aten.put_.default", "forward"): "raises",
        ("aten.put.default", "backward"): "raises",
        ("aten.nll_loss2d_forward.default", "forward"): "raises",
        ("aten._ctc_loss_backward.Tensor", "backward"): "raises",
    }


BAD_FILES = {
    "syntax.py": "def broken(:\n",
    "exits.py": "import sys\nsys.exit(3)\n",
    "imports.py": "import not_installed_anywhere\n",
    "dies.py": "raise ValueError('at import')\n",
    "models.py": """
import torch, torch.nn as nn
number = 7
class NeedsMore(nn.Module):
    def __init__(self, frobnicator): super().__init__()
class Fails(nn.Module):
    def __init__(self):
        super().__init__()
        raise RuntimeError("no weights here")
class Forward(nn.Module):
    def __init__(self):
        super().__init__()
        self.l = nn.Linear(4, 4)
    def forward(self, x): return self.l(x) + undefined_name
class Shapes(nn.Module):
    def __init__(self):
        super().__init__()
        self.l = nn.Linear(4, 4)
    def forward(self, x):
        assert x.shape == (7, 11, 13, 4), f"shape {x.shape}"
        return self.l(x)
class Backward(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x): return x * 2
    @staticmethod
    def backward(ctx, g): raise ValueError("in my backward")
class FailsBackward(nn.Module):
    def __init__(self):
        super().__init__()
        self.l = nn.Linear(4, 4)
    def forward(self, x): return Backward.apply(self.l(x))
""",
}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        pytest.param(["nosuchmodule:X"], "nosuchmodule", id="no such module"),
        pytest.param(["imports:X"], "not_installed_anywhere", id="the module imports what is not installed"),
        pytest.param(["nosuch.py:X"], "nosuch.py", id="no such file"),
        pytest.param(["mymodel:CNN_v5"], "CNN_v2", id="no such name, and what is meant"),
        pytest.param(["mymodel"], ":", id="no colon"),
        pytest.param(["syntax:X"], "syntax.py:1", id="syntax error with its line"),
        pytest.param(["exits:X"], "exit", id="the import runs sys.exit"),
        pytest.param(["dies:X"], "at import", id="the import raises"),
        pytest.param(["models:number"], "not a model", id="not a model"),
        pytest.param(["models:NeedsMore"], "--init frobnicator", id="a constructor argument nobody knows"),
        pytest.param(["models:Fails"], "no weights here", id="the constructor fails"),
        pytest.param(["models:Forward"], "undefined_name", id="the forward fails"),
        pytest.param(["models:Shapes"], "--input", id="shapes cannot be found"),
        pytest.param(["models:FailsBackward", "--input", "2x4"], "in my backward", id="the backward fails"),
        pytest.param(["mymodel:CNN_v2", "--input", "2x3xQ"], "2x3xQ", id="an input that cannot be read"),
        pytest.param(["mymodel:CNN_v2", "--input", "2x1x32x32"], "channel", id="an input that does not fit"),
        pytest.param(
            ["mymodel:CNN_v2", "--init", "num_klasses=3"], "num_classes", id="a constructor argument misspelt"
        ),
        pytest.param(["mymodel:CNN_v2", "--torch", "two"], "two", id="a torch version that cannot be read"),
        pytest.param(["mymodel:CNN_v2", "--torch", "1.3"], "1.7", id="a torch version before strict mode"),
        pytest.param(["mymodel:CNN_v2", "--loss", "no_such_loss"], "no_such_loss", id="no such loss"),
        pytest.param(["mymodel:CNN_v2", "--inputs", "mymodel:nothing"], "nothing", id="no such batch maker"),
    ],
)
def test_a_mistake_gives_one_clear_message_and_status_2(
    opscan: Run, workplace: Path, words: list[str], says: str
) -> None:
    for name, text in BAD_FILES.items():
        (workplace / name).write_text(text)
    outcome = opscan("check", *words)
    assert outcome.status == 2
    assert outcome.out == ""
    assert says in outcome.err
    assert outcome.err.startswith("opscan: ")
    assert "Traceback" not in outcome.err
    assert "internal error" not in outcome.err


def test_a_target_that_cannot_be_looked_at_does_not_cost_the_others(opscan: Run) -> None:
    outcome = opscan("check", "nosuchmodule:X", "mymodel4:CNN_v4", "--format", "json")
    assert outcome.status == 2
    assert [report["target"] for report in outcome.document["reports"]] == ["mymodel4:CNN_v4"]


def test_what_the_model_prints_never_mixes_with_the_report(opscan: Run, workplace: Path) -> None:
    (workplace / "chatty.py").write_text(
        "import torch.nn as nn\nprint('hello')\nclass M(nn.Linear):\n"
        "    def __init__(self): super().__init__(4, 4)\n"
        "    def forward(self, x):\n        print('forward')\n        return super().forward(x)\n"
    )
    outcome = opscan("check", "chatty:M", "--format", "json")
    assert outcome.document["schema"] == 1
    assert "hello" in outcome.err


def test_a_step_is_checked_with_its_optimizer(opscan: Run, workplace: Path) -> None:
    (workplace / "train.py").write_text(
        "import torch\nfrom mymodel import CNN_v2\nmodel = CNN_v2(10)\n"
        "optimizer = torch.optim.Adam(model.parameters())\n"
        "def step():\n"
        "    optimizer.zero_grad()\n"
        "    loss = torch.nn.functional.cross_entropy(model(torch.randn(4, 3, 32, 32)), torch.arange(4))\n"
        "    loss.backward()\n    optimizer.step()\n"
    )
    outcome = opscan("check", "train.py:step", "--format", "json")
    (finding,) = nondeterministic(outcome)
    assert finding["op"] == PAD_BACKWARD
    assert finding["count"] == 5  # the images need no gradient here
    ops = {each["op"] for each in outcome.report["findings"]}
    assert "aten.randn.default" in ops


def test_help_and_version_load_neither_torch_nor_pandas(tmp_path: Path) -> None:
    code = (
        "import sys, opscan.cli as cli\n"
        "for words in (['--version'], ['check', '--help']):\n"
        "    try: cli.main(words)\n"
        "    except SystemExit: pass\n"
        "sys.exit(bool({'torch', 'pandas'} & set(sys.modules)))"
    )
    assert run_process(sys.executable, "-c", code, cwd=tmp_path).status == 0


def test_a_reader_that_leaves_early_is_no_error(workplace: Path) -> None:
    command = f"{sys.executable} -m opscan check mymodel:CNN_v2 --show all | head -n 1"
    outcome = run_process("sh", "-c", command, cwd=workplace)
    assert outcome.out.startswith("mymodel:CNN_v2")
    assert "Traceback" not in outcome.err
    assert "Exception ignored" not in outcome.err


@pytest.mark.parametrize(
    ("words", "begins"),
    [
        pytest.param(("-o", "report.html"), "<!DOCTYPE html>", id="the suffix says which format"),
        pytest.param(("-o", "report.json"), '{\n  "schema": 1', id="JSON"),
        pytest.param(("-o", "report.txt"), "mymodel:CNN_v2  (cuda", id="else the table"),
        pytest.param(("-o", "report.txt", "--format", "html"), "<!DOCTYPE html>", id="--format comes first"),
    ],
)
def test_a_report_is_written_to_a_file(opscan: Run, workplace: Path, words: tuple[str, ...], begins: str) -> None:
    outcome = opscan("check", "mymodel:CNN_v2", *words)
    text = (workplace / words[1]).read_text(encoding="utf-8")
    assert text.startswith(begins)
    assert text.endswith("\n")
    assert outcome.out == (
        "mymodel:CNN_v2: 6 of 97 ops (34 forward, 63 backward) nondeterministic: 6 switches.\n"
        f"written to {words[1]}\n"
    )  # fmt: skip
    assert outcome.status == 1
    assert [path.name for path in workplace.iterdir() if path.name.startswith(".opscan-")] == []


def test_a_page_goes_to_stdout_without_a_file(opscan: Run) -> None:
    assert opscan("check", "mymodel4:CNN_v4", "--format", "html").out.startswith("<!DOCTYPE html>")


def test_a_file_that_cannot_be_written_is_a_clear_message(opscan: Run) -> None:
    outcome = opscan("check", "mymodel4:CNN_v4", "-o", "nowhere/report.html")
    assert outcome.status == 2
    assert "nowhere/report.html: cannot be written" in outcome.err


def test_a_file_keeps_its_mode_and_a_link_stays_one(opscan: Run, workplace: Path) -> None:
    file, link = workplace / "report.json", workplace / "latest.json"
    file.write_text("before")
    file.chmod(0o640)
    link.symlink_to(file)
    opscan("check", "mymodel4:CNN_v4", "-o", "latest.json")
    assert link.is_symlink()
    assert json.loads(file.read_text())["schema"] == 1
    assert file.stat().st_mode & 0o777 == 0o640
