"""`opscan check-files`: which models of a file are checked, with what, and what is said of the others."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from packaging.version import Version

from opscan.files import run as run_module
from opscan.isolation.outcome import Limits
from tests.conftest import Outcome, run_process

Run = Callable[..., Outcome]
HEAD = "import ctypes, os, sys, time\nfrom torch import nn\n"
BLOCK = """
class _Block(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.first = nn.Conv2d(width, width, 1)
        self.conv = nn.Conv2d(width, width, 3, padding=1, padding_mode="replicate")
    def forward(self, x):
        return self.conv(self.first(x))
"""
NET = """
class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), _Block())
        self.head = nn.Linear(4, num_classes)
    def forward(self, x):
        return self.head(self.body(x).mean((2, 3)))
"""
CLEAN = """
class Clean(nn.Linear):
    def __init__(self):
        super().__init__(8, 2)
"""
WANTS = """
class Wants(nn.Module):
    def __init__(self, engine):
        super().__init__()
        self.layer = engine.layer()
    def forward(self, x):
        return self.layer(x)
"""
ODD = """
class Odd(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(5, 5)
    def forward(self, x):
        if tuple(x.shape) != (3, 7, 11, 5):
            raise ValueError("not the shape it is for")
        return self.layer(x)
"""
BASE = """
class Base(nn.Module):
    def helper(self):
        return 1
"""
REFUSED = "aten.replication_pad2d_backward.default: switches, in backward (OPS102)"


def write(workplace: Path, name: str, *parts: str) -> str:
    path = workplace / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEAD + "".join(parts))
    return name


def configured(workplace: Path, text: str) -> None:
    (workplace / "pyproject.toml").write_text(text)


def test_findings_are_a_short_block_and_a_part_is_checked_with_what_uses_it(opscan: Run, workplace: Path) -> None:
    outcome = opscan("check-files", write(workplace, "src/my net.py", BLOCK, NET, CLEAN, BASE))
    assert (outcome.status, outcome.err) == (1, "")
    numbers = re.sub(r"\d+ of \d+ ops \(\d+ forward, \d+ backward\)", "N", outcome.out)
    assert numbers == (
        f"src/my net.py:Net  (cuda, torch {Version(torch.__version__).base_version})\n"
        f"  {REFUSED}\n"
        "    where     body.1.conv  built src/my net.py:8, called src/my net.py:10\n"
        "    default   differs from run to run\n"
        "    strict    repeats: another kernel runs\n"
        "    instead   replacements.Conv2d\n"
        "  N nondeterministic: 1 switches.\n"
        "  all of it: opscan check 'src/my net.py:Net'\n"
        "\n"
        "2 models checked, 1 with findings\n"
    )


def test_what_nobody_named_and_cannot_be_built_is_skipped_with_a_word(opscan: Run, workplace: Path) -> None:
    files = [
        write(workplace, "wants.py", WANTS, CLEAN),
        write(workplace, "needs.py", "import nowhere_to_be_found\n", CLEAN),
        write(workplace, "broken.py", "class Net(nn.Module:\n"),
        write(workplace, "odd.py", ODD),
    ]
    outcome = opscan("check-files", *files)
    assert (outcome.status, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[0].startswith("skipped   wants.py:Wants: Wants(")
    assert lines[1] == "skipped   needs.py: needs imports nowhere_to_be_found, which is not installed"
    assert lines[2].startswith("skipped   broken.py: SyntaxError: ")
    assert lines[3].startswith("skipped   odd.py:Odd: no input found")
    assert lines[4:] == [
        "1 model checked, 0 with findings; 4 skipped (name a target in [tool.opscan.targets] of pyproject.toml)"
    ]


def test_a_part_is_checked_by_itself_where_what_uses_it_cannot_be(opscan: Run, workplace: Path) -> None:
    broken = NET.replace("nn.Linear(4, num_classes)", "engine.head()").replace("num_classes", "engine")
    file = write(workplace, "net.py", BLOCK, broken)
    outcome = opscan("check-files", file)
    assert outcome.status == 1
    assert "net.py:_Block  (cuda" in outcome.out
    assert "skipped   net.py:Net" in outcome.out


def test_a_file_without_a_model_is_not_imported_and_no_torch_is(workplace: Path) -> None:
    write(workplace, "util.py", "raise SystemExit('imported')\nclass A(dict): ...\n")
    code = "import sys, opscan.cli as c; print(c.main(['check-files', 'util.py']), 'torch' in sys.modules)"
    outcome = run_process(sys.executable, "-c", code, cwd=workplace)
    assert outcome.out == "0 models checked, 0 with findings\n0 False\n", outcome.err


def test_what_the_project_names_counts_and_must_be_looked_at(opscan: Run, workplace: Path) -> None:
    write(workplace, "src/net.py", BLOCK, NET, CLEAN)
    write(workplace, "src/layers/conv.py", BLOCK)
    write(workplace, "src/layers/other.py", BLOCK)
    write(workplace, "tests/toy.py", BLOCK)
    write(workplace, "wants.py", WANTS)
    configured(
        workplace,
        """
        [tool.opscan.targets]
        "src/net.py" = ["Net(num_classes=7)", "Clean"]
        "src/layers/*.py" = ["src/net.py:Clean"]
        "tests/*" = []
        """,
    )
    outcome = opscan(
        "check-files", "src/net.py", "src/layers/conv.py", "src/layers/other.py", "tests/toy.py", "wants.py"
    )
    assert outcome.status == 1
    assert "src/net.py:Net(num_classes=7)  (cuda" in outcome.out
    assert "2 models checked, 1 with findings; 1 skipped" in outcome.out
    configured(workplace, '[tool.opscan.targets]\n"*.py" = ["wants.py:Wants", "Gone"]\n')
    outcome = opscan("check-files", "src/net.py", "wants.py")
    assert outcome.status == 2
    assert "opscan: wants.py:" in outcome.err
    assert "net has no name 'Gone'" in outcome.err
    assert outcome.out.startswith("0 models checked, 0 with findings; 3 not looked at")


def test_inputs_of_the_project_are_used_and_name_their_target(opscan: Run, workplace: Path) -> None:
    file = write(workplace, "src/odd.py", ODD)
    configured(workplace, '[tool.opscan.inputs]\n"src/*.py:*" = ["3x7x11x5"]\n')
    assert opscan("check-files", file).out == "1 model checked, 0 with findings\n"
    configured(workplace, '[tool.opscan.inputs]\n"src/odd.py:Odd" = ["2x2"]\n')
    outcome = opscan("check-files", file)
    assert (outcome.status, outcome.out) == (2, "0 models checked, 0 with findings; 1 not looked at\n")
    assert "not the shape it is for" in outcome.err
    configured(workplace, '[tool.opscan.inputs]\n"src/*:Odd" = ["2x2"]\n')
    assert opscan("check-files", file).status == 0


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ('[tool.opscan.targets]\n"a.py:Net" = []', "the key is no file"),
        ('[tool.opscan.targets]\n"a.py" = "Net"', "the targets are 'Net'"),
        ('[tool.opscan.targets]\n"a.py" = [1]', "the targets are [1]"),
    ],
)
def test_a_table_that_means_nothing_is_an_error(table: str, says: str, opscan: Run, workplace: Path) -> None:
    configured(workplace, table)
    outcome = opscan("check-files", write(workplace, "a.py", CLEAN))
    assert (outcome.status, outcome.out) == (2, "")
    assert says in outcome.err


def test_a_file_that_is_not_there_is_an_error(opscan: Run) -> None:
    outcome = opscan("check-files", "nowhere.py")
    assert (outcome.status, outcome.out) == (2, "")
    assert "no such file: nowhere.py" in outcome.err


def test_the_mode_asked_for_decides(opscan: Run, workplace: Path) -> None:
    file = write(workplace, "net.py", BLOCK)
    assert opscan("check-files", "--strict", file).status == 0
    outcome = opscan("check-files", "--strict", "--torch", "1.8.1", file)
    assert outcome.status == 1
    assert "\n  all of it: opscan check net.py:_Block --torch 1.8.1 --strict\n" in outcome.out
    assert opscan("check-files", "--device", "cpu", file).status == 0


ENDS = """
class Exits(Clean):
    def forward(self, x):
        os._exit(3)

class Hangs(Clean):
    def forward(self, x):
        time.sleep(60)
"""


def test_a_model_that_ends_or_hangs_its_process_is_skipped_and_the_others_are_checked(
    opscan: Run, workplace: Path
) -> None:
    outcome = opscan("check-files", "--timeout", "6", write(workplace, "ends.py", CLEAN, ENDS))
    assert outcome.status == 0
    assert "skipped   ends.py:Exits: ended its process with exit status 3\n" in outcome.out
    assert "skipped   ends.py:Hangs: timed out after 6 s\n" in outcome.out
    assert "1 model checked, 0 with findings; 2 skipped" in outcome.out


def test_files_of_one_name_do_not_meet(opscan: Run, workplace: Path) -> None:
    """Each has a neighbour of its own, of the same name: files are scanned in processes of their own."""
    for folder, base in (("a", "nn.Linear"), ("b", "nn.Identity")):
        (workplace / folder).mkdir()
        (workplace / folder / "base.py").write_text(f"from torch import nn\nBase = {base}\n")
    first = write(
        workplace, "a/net.py", "from base import Base\nclass Net(Base):\n  def __init__(self): super().__init__(3, 2)\n"
    )
    second = write(workplace, "b/net.py", "from base import Base\nclass Net(Base):\n  kind = 1\n")
    assert opscan("check-files", first, second).out == "2 models checked, 0 with findings\n"


def test_where_nothing_can_be_forked_a_process_begins_anew(
    opscan: Run, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "_can_fork", lambda: False)
    outcome = opscan("check-files", write(workplace, "net.py", BLOCK, CLEAN), write(workplace, "wants.py", WANTS))
    assert outcome.status == 1
    assert "net.py:_Block  (cuda" in outcome.out
    assert "2 models checked, 1 with findings; 1 skipped" in outcome.out
    configured(workplace, '[tool.opscan.lint]\nselect = []\n[tool.opscan.targets]\n"ends.py" = ["Exits"]\n')
    outcome = opscan("check-files", write(workplace, "ends.py", CLEAN, ENDS))
    assert (outcome.status, outcome.err) == (2, "opscan: ends.py:Exits: ended its process\n")


def test_a_process_that_begins_anew_has_its_time() -> None:
    outcome = run_module._spawned(time.sleep, (60,), Limits(2.0))
    assert outcome.ended == "timed out after 2 s"
