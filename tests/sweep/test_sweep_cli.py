"""`opscan sweep` from end to end: models that hang, end or crash their process cost their row and nothing else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import opscan as library
from opscan.cli import main
from opscan.cli.words import BACKEND_WORDS, FORMAT_WORDS
from opscan.sweeps.columns import read_csv
from opscan.sweeps.parallel import BACKENDS
from opscan.sweeps.table import Sweep
from tests.conftest import Outcome
from tests.sweep.sample import ROWS, SETTING

Run = Callable[..., Outcome]
ZOO = """\
import ctypes, os, sys, time
from pathlib import Path
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes=3):
        super().__init__()
        with Path("scanned").open("a") as file:
            file.write(type(self).__name__ + "\\n")
        self.head = nn.Linear(64, num_classes)
    def forward(self, x):
        return self.head(x)

class Pads(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1, padding_mode="replicate")
    def forward(self, x):
        return self.conv(x).mean()

class Hangs(Net):
    def forward(self, x):
        while True: time.sleep(1)

class Exits(Net):
    def forward(self, x):
        os._exit(3)

class Crashes(Net):
    def forward(self, x):
        ctypes.string_at(0)

class Talks(Net):
    def forward(self, x):
        print("x" * 10_000_000)
        return super().forward(x)

class Wants(nn.Module):
    def __init__(self, engine):
        super().__init__()
    def forward(self, x):
        return x
"""
EXPECTED = {
    "Net": ("repeats", ""),
    "Pads": ("repeats in strict mode", ""),
    "Hangs": (None, "timed out after 10 s"),
    "Exits": (None, "ended its process with exit status 3"),
    "Crashes": (None, "killed by signal SIGSEGV"),
    "Talks": ("repeats", ""),
    "Wants": (None, "Wants needs a value for 'engine'"),
}


@pytest.fixture
def zoo(workplace: Path) -> Path:
    (workplace / "zoo.py").write_text(ZOO)
    return workplace


def sweep(opscan: Run, *words: str) -> Outcome:
    return opscan("sweep", "zoo.py", "--timeout", "10", "--jobs", "1", "-o", "table.csv", *words)


def test_each_misdeed_costs_its_row_and_what_is_done_is_not_done_again(zoo: Path, opscan: Run) -> None:
    (zoo / "scanned").touch()
    outcome = sweep(opscan)
    rows = read_csv(zoo / "table.csv").rows
    assert {row.target.partition(":")[2]: (row.training, row.reason) for row in rows} == EXPECTED
    assert outcome.status == 2
    assert outcome.out.rstrip().endswith("3 of 7 targets traced (42.9%); 1 with findings, 4 not looked at.")
    assert max(map(len, outcome.out.splitlines())) <= 80
    first, scanned = (zoo / "table.csv").read_text(), (zoo / "scanned").read_text()

    journal = (zoo / "table.csv.journal").read_text().splitlines(keepends=True)
    (zoo / "table.csv.journal").write_text("".join(journal[1:]) + journal[0][:50])  # as if killed while writing
    assert sweep(opscan).status == 2
    assert (zoo / "table.csv").read_text() == first
    assert (zoo / "scanned").read_text().removeprefix(scanned).split() == ["Net"]

    again = opscan("sweep", "table.csv", "--format", "json")
    assert [row["target"] for row in json.loads(again.out)["rows"]] == [f"zoo.py:{name}" for name in EXPECTED]
    assert again.status == 2


@pytest.mark.parametrize(
    ("words", "status"),
    [
        pytest.param(("findings.csv",), 1, id="findings"),
        pytest.param(("clean.csv",), 0, id="none"),
        pytest.param(("not_there",), 2, id="no such package"),
        pytest.param(("targets.txt", "--select", "nothing*"), 2, id="nothing selected"),
        pytest.param(("targets.txt", "--list"), 0, id="only listed"),
        pytest.param(("targets.txt", "-o", "table.xls"), 2, id="no such format"),
        pytest.param(("targets.txt", "--memory", "much"), 2, id="no such size"),
        pytest.param(("not_there.csv",), 2, id="no such table"),
        pytest.param(("targets.txt", "--device", "tpu"), 2, id="no such device"),
    ],
)
def test_exit_status(words: tuple[str, ...], status: int, workplace: Path, opscan: Run) -> None:
    (workplace / "targets.txt").write_text("mymodel:CNN_v2\n")
    (workplace / "findings.csv").write_text(Sweep(SETTING, ROWS[:3]).to_csv())
    (workplace / "clean.csv").write_text(Sweep(SETTING, ROWS[2:3]).to_csv())
    outcome = opscan("sweep", *words, "--jobs", "1")
    assert outcome.status == status
    assert ("opscan" in outcome.err) == (status == 2)


def test_in_python_the_table_is_an_object(workplace: Path) -> None:
    table = library.sweep(["mymodel.py", "mymodel4.py"], jobs=1, strict=True)
    assert isinstance(table, library.Sweep)
    assert list(table.to_pandas()["switches"]) == [6, 0]
    assert table.rows[0].parameters == 550_570
    assert not table.rows[0].fails  # strict mode runs another kernel
    assert "mymodel.py:CNN_v2" in table._repr_html_()


PICKY = """\
from torch import nn

class Picky(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(4, 2)
    def forward(self, x):
        if x.shape != (7, 11, 13, 4):
            raise ValueError("not this one")
        return self.head(x)
"""


def test_the_projects_inputs_count_and_a_row_without_them_is_not_taken_for_one_with_them(
    workplace: Path, opscan: Run
) -> None:
    (workplace / "picky.py").write_text(PICKY)
    words = ("sweep", "picky.py", "--jobs", "1", "-o", "table.csv")
    assert opscan(*words).status == 2
    (workplace / "pyproject.toml").write_text('[tool.opscan.inputs]\n"*:Picky" = ["7x11x13x4"]\n')
    assert opscan(*words).status == 0
    assert read_csv(workplace / "table.csv").rows[0].training == "repeats"


@pytest.mark.parametrize("wrong", [{"mode": "test"}, {"backend": "threads"}], ids=["no such mode", "no such backend"])
def test_arguments_that_make_no_sense(wrong: dict[str, str], workplace: Path) -> None:
    with pytest.raises(ValueError, match="must be"):
        library.sweep("mymodel.py", **wrong)  # type: ignore[arg-type]  # what is tested


def test_the_words_the_command_line_repeats_are_the_ones_of_the_library(capsys: pytest.CaptureFixture[str]) -> None:
    assert BACKEND_WORDS == BACKENDS
    with pytest.raises(SystemExit):
        main(["sweep", "--help"])
    out = capsys.readouterr().out
    assert all(word in out for word in FORMAT_WORDS)


def test_a_missing_package_is_named_with_the_command_that_installs_it(
    workplace: Path, opscan: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "joblib", None)
    outcome = opscan("sweep", "mymodel.py")
    assert outcome.status == 2
    assert 'pip install "opscan[sweep]"' in outcome.err


@pytest.mark.packages
@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_a_cluster_gives_the_same_table(backend: str, zoo: Path, opscan: Run) -> None:
    pytest.importorskip({"dask": "distributed"}.get(backend, backend))
    for name in ("loky", backend):
        opscan("sweep", "zoo.py", "--timeout", "15", "--jobs", "2", "--backend", name, "-o", f"{name}.csv")
    assert (zoo / "loky.csv").read_text() == (zoo / f"{backend}.csv").read_text()
    assert len(read_csv(zoo / "loky.csv").traced) == 3


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize(
    ("ask", "status"),
    [
        pytest.param(lambda pid: os.killpg(pid, signal.SIGINT), 130, id="Ctrl-C, as a terminal does"),
        pytest.param(lambda pid: os.kill(pid, signal.SIGTERM), 143, id="SIGTERM to it alone"),
    ],
)
def test_who_ends_it_keeps_what_is_done_is_told_how_to_go_on_and_leaves_no_process(
    zoo: Path, ask: Callable[[int], None], status: int
) -> None:
    (zoo / "zoo.py").write_text(ZOO.replace("class Hangs", "class Last(Net): pass\n\nclass Hangs"))
    root = str(Path(library.__file__).parents[1])
    words = [sys.executable, "-m", "opscan", "sweep", "zoo.py", "--timeout", "500", "--jobs", "2", "-o", "table.csv"]
    asking = subprocess.Popen(
        words,
        cwd=zoo,
        env={**os.environ, "PYTHONPATH": root},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    journal = zoo / "table.csv.journal"
    deadline = time.monotonic() + 120
    while not (journal.exists() and journal.read_text().count("\n") >= 2) and time.monotonic() < deadline:
        time.sleep(0.1)
    ask(asking.pid)
    _, err = asking.communicate(timeout=60)
    assert asking.returncode == status
    assert "table.csv.journal: the same command goes on from there" in err
    assert all(json.loads(line)["row"]["target"] for line in journal.read_text().splitlines())
    while any_process_in(zoo) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any_process_in(zoo)


def any_process_in(folder: Path) -> bool:
    for entry in Path("/proc").glob("[0-9]*/cwd"):
        try:
            if entry.readlink() == folder and int(entry.parent.name) != os.getpid():
                return True
        except OSError:
            continue
    return False
