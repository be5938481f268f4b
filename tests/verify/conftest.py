"""Running `opscan verify` in an empty folder: the command in this process, its runs in processes of their own."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Outcome, outcome_of
from tests.verify.planted import PLANTED

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not below pytest's own folder: sockets of worker processes are in TMPDIR, and a socket's path has 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="verify") as made:
        (Path(made) / "here").mkdir()
        (Path(made) / "tmp").mkdir()
        yield Path(made).resolve() / "here"


@pytest.fixture
def verify(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run the command in the folder; temporary files go to one beside it, which must be empty afterwards."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("TMPDIR", str(folder.parent / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", None)  # read TMPDIR anew
    monkeypatch.delenv("PYTHONHASHSEED", raising=False)

    def run(*words: str, **variables: str) -> Outcome:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        return outcome_of(("verify", *words), capsys)

    return run


@pytest.fixture
def answer(verify: Callable[..., Outcome]) -> Callable[..., dict[str, Any]]:
    """The JSON of a run, which could be compared to its end."""

    def run(*words: str, **variables: str) -> dict[str, Any]:
        outcome = verify("--format", "json", *words, **variables)
        assert outcome.status in (0, 1), outcome.err + outcome.out
        document: dict[str, Any] = json.loads(outcome.out)
        return document

    return run


@pytest.fixture
def plant(folder: Path) -> Callable[[str], str]:
    """Write one of the planted scripts into the folder."""

    def write(name: str) -> str:
        (folder / f"{name}.py").write_text(PLANTED[name])
        return f"{name}.py"

    return write
