"""Which device this machine has to calibrate on, and what the file has to say of it."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path

import torch

from opscan.calibrate.rows import Setup
from opscan.environment import installed_torch
from opscan.errors import EnvironmentSpecError

_PATIENCE_S = 10


def device_of(word: str) -> torch.device:
    """The device for `auto`, `cuda` or `cpu`. Raises EnvironmentSpecError where there is no CUDA device."""
    if word == "cuda" and not torch.cuda.is_available():
        raise EnvironmentSpecError("there is no CUDA device here", "--device", "Use --device cpu.")
    if word == "cuda" or (word == "auto" and torch.cuda.is_available()):
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")


def setup_of(device: torch.device) -> Setup:
    """Name and versions, as the file's head and name say them; of a CPU its model and torch's threads."""
    version = str(installed_torch())
    if device.type == "cpu":
        return Setup(_cpu_model(), "cpu", version, threads=torch.get_num_threads())
    cudnn = torch.backends.cudnn.version()
    return Setup(
        torch.cuda.get_device_name(device),
        "cuda",
        version,
        cuda=torch.version.cuda,
        cudnn=None if cudnn is None else str(cudnn),
        driver=_driver(),
    )


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, "") or platform.processor() or platform.machine()


def _driver() -> str | None:
    """The driver's version, from its own tool; None where it cannot be asked."""
    command = ("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return next((line.strip() for line in done.stdout.splitlines() if line.strip()), None)
