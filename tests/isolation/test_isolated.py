"""A function in a process of its own: whatever it does, it is told, and nothing of it is left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from opscan.errors import TargetError
from opscan.isolation.client import isolated, stop_server
from opscan.isolation.outcome import Limits, is_out_of_memory
from tests.isolation import misdeeds

LIMITS = Limits(timeout_s=20.0, memory_bytes=1 << 30)
EATEN = "out of memory (limit 1 GiB)"
linux = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone has it")


@pytest.fixture(autouse=True)
def _no_server_is_left() -> Iterator[None]:
    yield
    stop_server()


def is_alive(pid: int) -> bool:
    """Whether there is such a process, and it is not one that ended and waits to be buried."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def goes(pid: int) -> bool:
    for _ in range(200):
        if not is_alive(pid):
            return True
        time.sleep(0.05)
    return False


def written_pid(path: Path) -> int:
    for _ in range(400):
        if path.exists() and path.read_text():
            return int(path.read_text())
        time.sleep(0.05)
    raise AssertionError("the child never began")


def test_a_value_comes_back_with_what_it_took() -> None:
    outcome = isolated(misdeeds.add, (2, 3), LIMITS, int)
    assert (outcome.value, outcome.error, outcome.ended) == (5, None, "")
    assert 0 < outcome.seconds < LIMITS.timeout_s
    assert outcome.peak_bytes is not None
    assert 1 << 20 < outcome.peak_bytes < 1 << 30


@pytest.mark.parametrize(
    ("function", "limits", "ended"),
    [
        pytest.param(misdeeds.hang, Limits(0.5), "timed out after 0.5 s", id="it hangs"),
        pytest.param(misdeeds.exit_at_once, LIMITS, "ended its process with exit status 3", id="it ends its process"),
        pytest.param(misdeeds.crash, LIMITS, "killed by signal SIGSEGV", id="it crashes the interpreter"),
        pytest.param(misdeeds.eat, LIMITS, EATEN, id="it eats memory", marks=linux),
        pytest.param(misdeeds.eat_and_wrap, LIMITS, EATEN, id="it eats memory, and says so in words", marks=linux),
        pytest.param(misdeeds.kill_its_parent, LIMITS, "killed the process that watches over it", id="it kills up"),
    ],
)  # fmt: skip
def test_how_it_ended_is_told_and_the_next_call_is_served(
    function: Callable[..., Any], limits: Limits, ended: str
) -> None:
    outcome = isolated(function, (), limits, int)
    assert (outcome.value, outcome.error, outcome.ended) == (None, None, ended)
    assert isolated(misdeeds.add, (1, 1), LIMITS, int).value == 2


@pytest.mark.parametrize(
    ("function", "error"),
    [
        pytest.param(misdeeds.fail, "ValueError: no such shape", id="any error comes back in words"),
        pytest.param(misdeeds.exit_politely, "SystemExit: 4", id="sys.exit is one"),
        pytest.param(
            misdeeds.return_a_closure, "internal error: DataError: function", id="a value that cannot be sent is one"
        ),
        pytest.param(misdeeds.complain, "mod:Name: not a model\n  Name a class.", id="opscan's own come as they are"),
    ],
)
def test_errors_come_back(function: Callable[..., Any], error: str) -> None:
    outcome = isolated(function, (), LIMITS, int)
    assert outcome.value is None
    assert str(outcome.error).startswith(error)
    assert isinstance(outcome.error, TargetError) == (function is misdeeds.complain)


def test_what_it_prints_is_lost_and_its_forks_say_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    assert isolated(misdeeds.talk, (), LIMITS, str).value == "said"
    assert isolated(misdeeds.fork, (), LIMITS, str).value == "once"
    assert capfd.readouterr() == ("", "")


@linux
def test_a_daemon_it_left_behind_is_ended(tmp_path: Path) -> None:
    assert isolated(misdeeds.leave_a_process_behind, (str(tmp_path / "pid"),), LIMITS, str).value == "left"
    assert goes(written_pid(tmp_path / "pid"))


@linux
def test_it_ends_when_the_process_that_asked_is_killed(tmp_path: Path) -> None:
    code = (
        "from opscan.isolation.client import isolated; from opscan.isolation.outcome import Limits;"
        "from tests.isolation import misdeeds; import sys;"
        f"isolated(misdeeds.write_pid, ({str(tmp_path / 'pid')!r},), Limits(60), str)"
    )
    asking = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2])
    child = written_pid(tmp_path / "pid")
    assert is_alive(child)
    asking.kill()
    asking.wait()
    assert goes(child)


@linux
def test_a_ctrl_c_while_it_waits_ends_it(tmp_path: Path) -> None:
    def interrupt() -> None:
        written_pid(tmp_path / "pid")
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        isolated(misdeeds.write_pid, (str(tmp_path / "pid"),), LIMITS, str)
    assert goes(written_pid(tmp_path / "pid"))
    assert isolated(misdeeds.add, (1, 1), LIMITS, int).value == 2


def test_preloaded_modules_are_there_and_one_that_ends_the_process_is_left_out(
    tmp_path: Path, monkeypatch: Any
) -> None:
    (tmp_path / "ends_all.py").write_text("import os; os._exit(1)")
    monkeypatch.chdir(tmp_path)
    assert isolated(misdeeds.loaded, ("wave",), LIMITS, bool, ("wave",)).value is True
    assert isolated(misdeeds.loaded, ("wave",), LIMITS, bool, ()).value is False
    assert isolated(misdeeds.loaded, ("wave",), LIMITS, bool, ("wave", "ends_all")).value is True


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        pytest.param(MemoryError(), True, id="Python's own"),
        pytest.param(RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True, id="torch's"),
        pytest.param(RuntimeError("the memory format is wrong"), False, id="another that speaks of memory"),
    ],
)
def test_which_errors_are_for_want_of_memory(error: Exception, is_one: bool) -> None:
    wrapped = TargetError("cannot build it")
    wrapped.__cause__ = error
    assert is_out_of_memory(error) is is_one
    assert is_out_of_memory(wrapped) is is_one
