"""Who asks opscan to end gets one line and a status, whenever that is; files are whole, and no process is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import CNN_SOURCE
from tests.faults.warm import Warm, any_process_in
from tests.verify.conftest import ROOT
from tests.verify.test_failures import heeding_interrupts

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
OLD = "what was there before\n"
COMMANDS = {
    "check": (("check", "mymodel.py:CNN_v2", "-o", "out.json"), 1.0),
    "lint": (("lint", "."), 0.2),
    "fix": (("fix", "mymodel.py:CNN_v2", "--write"), 1.0),
    "verify": (("verify", "train.py", "-o", "out.json"), 1.0),
}
LINES = {signal.SIGINT: "opscan: interrupted\n", signal.SIGTERM: "opscan: ended by SIGTERM\n"}


@pytest.mark.parametrize("name", COMMANDS)
def test_at_many_moments(warm: Warm, tmp_path: Path, name: str) -> None:
    words, seconds = COMMANDS[name]
    (tmp_path / "train.py").write_text("import time\ntime.sleep(30)\n")
    for moment in range(5):
        (tmp_path / "mymodel.py").write_text(CNN_SOURCE)
        (tmp_path / "out.json").write_text(OLD)
        number = (signal.SIGINT, signal.SIGTERM)[moment % 2]
        ended = warm.run(*words, folder=tmp_path, number=number, after_s=seconds * moment / 5)
        if ended.status not in (0, 1):  # it was not done before
            assert (ended.status, ended.err) == (128 + number, LINES[number])
        assert ended.left == 0
        assert (tmp_path / "out.json").read_text() == OLD or json.loads((tmp_path / "out.json").read_text())
        compile((tmp_path / "mymodel.py").read_text(), "mymodel.py", "exec")
        assert not list(tmp_path.glob(".opscan-*"))


def test_while_torch_is_imported(tmp_path: Path) -> None:
    """An import that catches everything would lose it, and fail for another reason later."""
    (tmp_path / "mymodel.py").write_text(CNN_SOURCE)
    with heeding_interrupts():
        process = subprocess.Popen(
            [sys.executable, "-m", "opscan", "check", "--in-process", "mymodel.py:CNN_v2"],
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    while "libtorch" not in Path(f"/proc/{process.pid}/maps").read_text() and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode in (130, -signal.SIGINT)  # which a shell calls 130, too
    assert err == "opscan: interrupted\n"
    assert not any_process_in(str(tmp_path))


def test_a_signal_that_is_ignored_stays_ignored(tmp_path: Path) -> None:
    code = "import os, signal; from opscan.cli import process; process.begin(); os.kill(os.getpid(), signal.SIGHUP)"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(["nohup", sys.executable, "-c", code], cwd=tmp_path, env=env, check=False)
    assert ended.returncode == 0
