"""A sign of life: late, on stderr, and only for a person."""

from __future__ import annotations

import io
import sys
import time

import pytest

from opscan import progress


class _Screen(io.StringIO):
    def __init__(self, tty: bool) -> None:
        super().__init__()
        self.tty = tty

    def isatty(self) -> bool:
        return self.tty


@pytest.mark.parametrize(
    ("tty", "patience_s", "shown"),
    [
        pytest.param(True, 0.01, True, id="long work, a terminal"),
        pytest.param(True, 60.0, False, id="short work"),
        pytest.param(False, 0.01, False, id="a file or a pipe"),
    ],
)
def test_progress_is_shown_only_when_it_helps(
    tty: bool, patience_s: float, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = _Screen(tty)
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(progress, "PATIENCE_S", patience_s)
    with progress.progress("net:Net"):
        time.sleep(0.1)
    assert ("net:Net" in screen.getvalue()) is shown
    assert screen.getvalue().endswith("\r\x1b[K") is shown
