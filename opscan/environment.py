"""The environment a prediction is for: a value, never the machine the scan happens to run on."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from typing import Literal

from packaging.version import InvalidVersion, Version

from opscan.errors import EnvironmentSpecError
from opscan.rules.schema import DEVICES, Device

RELEASES = tuple(Version(f"1.{minor}") for minor in range(7, 14)) + tuple(Version(f"2.{minor}") for minor in range(16))
"""Every release of torch that the rules know, oldest first: strict mode came with 1.7 (`torch.set_deterministic`)."""

OLDEST, NEWEST = RELEASES[0], RELEASES[-1]

Strictness = bool | Literal["warn_only"] | None
"""Strict mode on, off, on with warn_only=True, or None when the answer should serve them all."""


@dataclass(frozen=True, slots=True)
class Environment:
    """Where the model is going to train."""

    device: Device
    torch: Version
    strict: Strictness = None

    @property
    def is_newer_than_the_rules(self) -> bool:
        """Whether the rules were written before this torch; the answer is then the one for NEWEST."""
        return self.torch.release[:2] > NEWEST.release[:2]


def make_environment(device: str = "auto", torch_version: str | None = None, strict: Strictness = None) -> Environment:
    """Check the words a user gives and make an Environment of them.

    `device` "auto" is CUDA, whether or not it is here; `torch_version` None is the installed one.
    Raises EnvironmentSpecError on an unknown device or a version that cannot be read or is not covered.
    """
    chosen = "cuda" if device == "auto" else device
    if chosen not in DEVICES:
        raise EnvironmentSpecError(f"unknown device {device!r}", "--device", f"Use one of: {', '.join(DEVICES)}.")
    text = torch_version if torch_version is not None else metadata.version("torch")
    try:
        version = Version(Version(text).base_version)
    except InvalidVersion as error:
        raise EnvironmentSpecError(
            f"cannot read the torch version {text!r}", "--torch", "Write it as in --torch 2.13.0."
        ) from error
    if version < OLDEST:
        raise EnvironmentSpecError(
            f"torch {version} has no strict mode, and the rules do not reach back to it",
            "--torch",
            f"Use {OLDEST} or newer.",
        )
    return Environment(device=chosen, torch=version, strict=strict)
