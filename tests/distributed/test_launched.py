"""Real runs of several processes over gloo: one report, ranks named, and nobody left when a rank ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch.distributed as dist

pytestmark = [
    pytest.mark.skipif(not dist.is_available() or not dist.is_gloo_available(), reason="needs gloo"),
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc"),
]

STEP = """
import os
import time

import torch
import torch.distributed as dist
from torch import nn


def step(unused: float = 0.0) -> None:
    dist.init_process_group("gloo")
    torch.manual_seed(0)
    model = nn.parallel.DistributedDataParallel(nn.Linear(8, 4))
    loss = model(torch.randn(4, 8)).square().mean()
    if dist.get_rank() == 2:
        loss = loss + torch.zeros(8).put_(torch.tensor([1, 3]), torch.ones(2)).sum() * 0
    if os.environ.get("WAIT_AT") == str(dist.get_rank()):
        print("waiting", os.getpid(), flush=True)
        time.sleep(1000)
    loss.backward()
"""

_WORDS = ("-m", "opscan", "check", "train.py:step", "--format", "json")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "train.py").write_text(STEP)
    return tmp_path


def started(folder: Path, *words: str, **variables: str) -> subprocess.Popen[str]:
    home = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": home, "OMP_NUM_THREADS": "1", **variables}
    return subprocess.Popen(
        [sys.executable, *words],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def alive_in_session(session: int) -> list[int]:
    """The processes of a session, zombies left out."""

    def running() -> Iterator[int]:
        for each in Path("/proc").iterdir():
            if each.name.isdigit():
                try:
                    state, _, _, of = (each / "stat").read_text().rpartition(")")[2].split()[:4]
                except OSError:
                    continue
                if int(of) == session and state != "Z":
                    yield int(each.name)

    return list(running())


def test_an_alert_on_one_of_four_ranks_is_reported_once_with_its_rank(folder: Path) -> None:
    process = started(folder, "-m", "torch.distributed.run", "--nproc-per-node", "4", *_WORDS)
    out, error = process.communicate(timeout=300)
    document = json.loads(out)
    (report,) = document["reports"]
    assert (process.returncode, document["exit_status"]) == (1, 1)
    assert "exit status 1; torchrun ends with 1 for any but 0" in error
    findings = {each["op"]: each for each in report["findings"]}
    assert (findings["aten.put_.default"]["ranks"], findings["aten.put_.default"]["observed"]) == ([2], "raises"), error
    assert all(each["ranks"] is None for op, each in findings.items() if op != "aten.put_.default")
    assert (report["world"]["size"], report["world"]["real"]) == (4, True)
    assert "c10d.allreduce_.default" in {each["op"] for each in report["world"]["messages"]}
    assert "uninitialized" not in {each["verdict"] for each in report["findings"]}
    assert alive_in_session(process.pid) == []


def waiting(process: subprocess.Popen[str]) -> int:
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(r"waiting (\d+)", line):
            return int(found[1])
    raise AssertionError("no rank came to its place")


def test_a_rank_that_is_killed_ends_the_others_and_is_named(folder: Path) -> None:
    process = started(folder, *_WORDS, "--processes", "3", WAIT_AT="2")
    os.kill(waiting(process), signal.SIGKILL)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 2
    assert "rank 2 died before it was done" in error
    assert re.search(r"rank 2 was last at train\.py:\d+", error)
    assert alive_in_session(process.pid) == []


def test_ranks_that_hang_are_ended_with_the_lines_they_stand_at(folder: Path) -> None:
    process = started(folder, *_WORDS, "--processes", "2", "--rank-timeout", "5", WAIT_AT="1")
    _, error = process.communicate(timeout=300)
    assert process.returncode == 2
    assert re.search(r"hangs: .*rank 1 at train\.py:19", error)
    assert alive_in_session(process.pid) == []


def test_a_whole_run_says_by_its_status_that_there_are_findings(folder: Path) -> None:
    process = started(folder, *_WORDS, "--processes", "2")
    out, error = process.communicate(timeout=300)
    assert process.returncode == 0, error
    assert json.loads(out)["reports"][0]["world"]["size"] == 2
