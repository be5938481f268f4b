"""What the machine and the installed torch are. CUDA is not initialised to find out."""

from __future__ import annotations

import platform
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

_PATIENCE_S = 10


@dataclass(frozen=True, slots=True)
class Machine:
    """Versions as text, None where this torch was built without; `gpus` are names, one per device seen."""

    python: str
    system: str
    torch: str
    cuda: str | None
    hip: str | None
    cudnn: str | None
    nccl: str | None
    gpus: tuple[str, ...]
    cuda_initialised: bool


def look_at_machine() -> Machine:
    """Ask torch for versions, and torch or `nvidia-smi` for devices."""
    import torch

    return Machine(
        python=platform.python_version(),
        system=platform.platform(),
        torch=torch.__version__,
        cuda=torch.version.cuda,
        hip=torch.version.hip,
        cudnn=_cudnn(torch._C),
        nccl=_nccl(torch._C),
        gpus=_gpus(torch),
        cuda_initialised=torch.cuda.is_initialized(),
    )


def _cudnn(binding: Any) -> str | None:
    """cuDNN's version; torch.backends.cudnn.version() would initialise the driver (torch 2.13, its _init)."""
    library = getattr(binding, "_cudnn", None)
    if library is None:
        return None
    number = library.getVersionInt()
    major, rest = divmod(number, 10000 if number >= 90000 else 1000)
    return f"{major}.{rest // 100}.{rest % 100}"


def _nccl(binding: Any) -> str | None:
    if not hasattr(binding, "_nccl_version"):
        return None
    return ".".join(str(part) for part in sys.modules["torch.cuda.nccl"].version())


def _gpus(torch: Any) -> tuple[str, ...]:
    if torch.cuda.is_initialized():
        return tuple(torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count()))
    if torch.backends.mps.is_available():
        return ("Apple GPU",)
    return _nvidia_gpus()


def _nvidia_gpus() -> tuple[str, ...]:
    """Names from the driver's own tool, in a process of its own; it knows nothing of CUDA_VISIBLE_DEVICES."""
    command = ("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return ()
    return tuple(line.strip() for line in done.stdout.splitlines() if line.strip())
