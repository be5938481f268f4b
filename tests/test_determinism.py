"""Two runs of the same give the same bytes, whatever the order of sets, the folder, the clock or the terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SURROUNDINGS = {
    "one": {"PYTHONHASHSEED": "1", "TZ": "UTC", "LC_ALL": "C.UTF-8", "LANGUAGE": "en", "TERM": "dumb"},
    "two": {
        "PYTHONHASHSEED": "2",
        "TZ": "Pacific/Kiritimati",
        "LC_ALL": "C",
        "LANGUAGE": "de",
        "TERM": "xterm-256color",
    },
}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, bytes]]:
    """What every command printed and wrote, in either surroundings; the folder's own name is taken out."""
    base = tmp_path_factory.mktemp("runs")
    running = {}
    for name, variables in SURROUNDINGS.items():
        (base / name / "out").mkdir(parents=True)
        (base / name / "here").mkdir()
        running[name] = subprocess.Popen(
            [sys.executable, "-m", "tests.every_command", str(base / name / "out")],
            cwd=base / name / "here",
            env={**os.environ, "PYTHONPATH": str(ROOT), **variables},
        )
    assert [process.wait(600) for process in running.values()] == [0, 0]
    return [
        {path.name: path.read_bytes().replace(str(base / name).encode(), b"BASE") for path in sorted(out.iterdir())}
        for name, out in ((name, base / name / "out") for name in SURROUNDINGS)
    ]


def test_every_command_gives_the_same_bytes(kept: list[dict[str, bytes]]) -> None:
    one, two = kept
    assert len(one) > 30
    assert all(one.values())
    assert [name for name in one.keys() | two.keys() if one.get(name) != two.get(name)] == []


def test_what_is_compared_says_something(kept: list[dict[str, bytes]]) -> None:
    """Findings are found, and nothing is an error: two empty answers are equal too."""
    for name, data in kept[0].items():
        assert b"internal error" not in data, name
        assert b"Traceback" not in data, name
        assert not data.endswith(b"status 2\n"), (name, data)
    assert all(b"replication_pad2d_backward" in kept[0][f"document.{name}"] for name in ("json", "sarif", "html"))
