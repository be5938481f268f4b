"""Shared: the CNN of case A as a user would type it, and running the command line in a folder of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from opscan.cli import main

if "torch" not in sys.modules:  # which reads these once; processes that tests start have them too
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(variable, "1")  # tensors are small, and there is a pytest worker for each core

CNN_SOURCE = """\
import torch
import torch.nn as nn


class CNN_v2(nn.Module):
    def __init__(self, num_classes):
        super(CNN_v2, self).__init__()
        self.conv1 = nn.Conv2d(3, 32, kernel_size=(3, 3), padding=(1, 1), padding_mode='replicate')
        self.conv2 = nn.Conv2d(32, 32, kernel_size=(3, 3), padding=(1, 1), padding_mode='replicate')
        self.conv3 = nn.Conv2d(32, 64, kernel_size=(3, 3), padding=(1, 1), padding_mode='replicate')
        self.conv4 = nn.Conv2d(64, 64, kernel_size=(3, 3), padding=(1, 1), padding_mode='replicate')
        self.conv5 = nn.Conv2d(64, 128, kernel_size=(3, 3), padding=(1, 1), padding_mode='replicate')
        self.conv6 = nn.Conv2d(128, 128, kernel_size=(3, 3), padding=(1, 1), padding_mode='replicate')
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=(2, 2))
        self.classifier1 = nn.Linear(4 * 4 * 128, 128)
        self.classifier2 = nn.Linear(128, num_classes)
        self.features = nn.Sequential(
            self.conv1, self.relu, self.conv2, self.relu, self.maxpool,
            self.conv3, self.relu, self.conv4, self.relu, self.maxpool,
            self.conv5, self.relu, self.conv6, self.relu, self.maxpool)
        self.classifier = nn.Sequential(self.classifier1, self.relu, self.classifier2)

    def forward(self, x):
        x = self.features(x)
        x = x.view(x.size(0), -1)
        return self.classifier(x)
"""
REPLICATE = ", padding=(1, 1), padding_mode='replicate'"
CONV_LINES = list(range(8, 14))
CONVS = ["conv1", "conv2", "conv3", "conv4", "conv5", "conv6"]


def cnn_v3_source() -> str:
    """No padding, the last pooling dropped, a smaller first linear layer."""
    return (
        CNN_SOURCE.replace("CNN_v2", "CNN_v3")
        .replace(REPLICATE, "")
        .replace("self.conv6, self.relu, self.maxpool)", "self.conv6, self.relu)")
        .replace("4 * 4 * 128", "128")
    )


def cnn_v4_source() -> str:
    """Zero padding."""
    return CNN_SOURCE.replace("CNN_v2", "CNN_v4").replace(REPLICATE, ", padding=(1, 1)")


@dataclass(frozen=True)
class Outcome:
    status: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.out)
        return document

    @property
    def report(self) -> dict[str, Any]:
        report: dict[str, Any] = self.document["reports"][0]
        return report


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current directory with the three CNNs in it; what was imported from it is forgotten afterwards."""
    (tmp_path / "mymodel.py").write_text(CNN_SOURCE)
    (tmp_path / "mymodel3.py").write_text(cnn_v3_source())
    (tmp_path / "mymodel4.py").write_text(cnn_v4_source())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None)
        if file and Path(file).is_relative_to(tmp_path):
            del sys.modules[name]


@pytest.fixture
def opscan(workplace: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run the command line in this process, in the workplace."""

    return lambda *words: outcome_of(words, capsys)


def outcome_of(words: Sequence[str], capsys: pytest.CaptureFixture[str]) -> Outcome:
    """Run the command line in this process, and what it looks at too."""
    here = ("--in-process",) if words[:1] in (("check",), ("fix",)) else ()
    try:
        status = main((*words[:1], *here, *words[1:]))
    except SystemExit as exit:
        status = exit.code if isinstance(exit.code, int) else 1
    captured = capsys.readouterr()
    return Outcome(status, captured.out, captured.err)


@contextmanager
def two_threads() -> Iterator[None]:
    """Where races are looked for, torch has two threads, not one."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def run_process(*words: str, cwd: Path, env: dict[str, str] | None = None) -> Outcome:
    """Run a command as a process of its own."""
    done = subprocess.run(words, cwd=cwd, env=env or dict(os.environ), capture_output=True, text=True, check=False)
    return Outcome(done.returncode, done.stdout, done.stderr)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--renew", action="store_true", help="write the golden files anew")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Folders are run by a worker for each core (None: as xdist counts), single files and tests in this process."""
    asked = [Path(word.partition("::")[0]) for word in config.args]
    return 0 if all(path.is_file() for path in asked) or config.option.renew else None
