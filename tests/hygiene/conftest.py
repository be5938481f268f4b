"""A folder of its own for each test, where files are looked at, and all of torch as it was before."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

import opscan


@pytest.fixture(autouse=True, scope="session")
def warm() -> None:
    """What the first scan loads stays: opscan's own parts, and torch's, as after a first step of any model."""
    import torch._dynamo
    import torch._inductor.config  # strict mode loads it

    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4))
    for way in ({}, {"device": "cpu", "trace_device": "cpu", "run": True, "replay": 2}):
        opscan.check(model, (torch.randn(2, 4),), **way)
    torch.func.vmap(torch.sin)(torch.randn(2))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, and the one for temporary files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path
