"""Running `opscan verify` as a user does: as a process of its own, in an empty folder."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Outcome, run_process
from tests.verify.planted import PLANTED

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "here").mkdir()
    (tmp_path / "tmp").mkdir()
    return tmp_path / "here"


@pytest.fixture
def verify(folder: Path) -> Callable[..., Outcome]:
    """Run the command in the folder; temporary files go to one beside it, which must be empty afterwards."""

    def run(*words: str, **variables: str) -> Outcome:
        env = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder.parent / "tmp"), **variables}
        env.pop("PYTHONHASHSEED", None)
        return run_process(sys.executable, "-m", "opscan", "verify", *words, cwd=folder, env=env)

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
