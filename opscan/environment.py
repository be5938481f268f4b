"""The environment a prediction is for: a value, never the machine the scan happens to run on."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from typing import Literal, get_args

from packaging.version import InvalidVersion, Version

from opscan.errors import EnvironmentSpecError
from opscan.rules.schema import DEVICES, Device

RELEASES = tuple(Version(f"1.{minor}") for minor in range(7, 14)) + tuple(Version(f"2.{minor}") for minor in range(16))
"""Every release of torch that the rules know, oldest first: strict mode came with 1.7 (`torch.set_deterministic`)."""

OLDEST, NEWEST = RELEASES[0], RELEASES[-1]

Strictness = bool | Literal["warn_only"] | None
"""Strict mode on, off, on with warn_only=True, or None when the answer should serve them all."""


Amp = Literal["bf16", "fp16"]
"""The lower precision of autocast."""

AMPS: tuple[Amp, ...] = get_args(Amp)


@dataclass(frozen=True, slots=True)
class Environment:
    """Where the model is going to train, and the autocast that its forward and loss will be put in, if any."""

    device: Device
    torch: Version
    strict: Strictness = None
    amp: Amp | None = None

    @property
    def is_newer_than_the_rules(self) -> bool:
        """Whether the rules were written before this torch; the answer is then the one for NEWEST."""
        return self.torch.release[:2] > NEWEST.release[:2]


def installed_torch() -> Version:
    """The release of torch that is here, without what a build adds (2.13.0 of 2.13.0+cu130); torch is not loaded."""
    return Version(Version(metadata.version("torch")).base_version)


def make_environment(
    device: str = "auto", torch_version: str | None = None, strict: Strictness = None, amp: str | None = None
) -> Environment:
    """Check the words a user gives and make an Environment of them.

    `device` "auto" is CUDA, whether or not it is here; `torch_version` None is the installed one.
    `amp` is "bf16", "fp16" or None. Raises EnvironmentSpecError on an unknown device or precision, or a version that
    cannot be read or is not covered.
    """
    chosen = "cuda" if device == "auto" else device
    if chosen not in DEVICES:
        raise EnvironmentSpecError(f"unknown device {device!r}", "--device", f"Use one of: {', '.join(DEVICES)}.")
    precision = next((each for each in AMPS if each == amp), None)
    if precision is None and amp is not None:
        raise EnvironmentSpecError(f"unknown precision {amp!r}", "--amp", f"Use one of: {', '.join(AMPS)}.")
    try:
        version = installed_torch() if torch_version is None else Version(Version(torch_version).base_version)
    except InvalidVersion as error:
        raise EnvironmentSpecError(
            f"cannot read the torch version {torch_version!r}", "--torch", "Write it as in --torch 2.13.0."
        ) from error
    if version < OLDEST:
        raise EnvironmentSpecError(
            f"torch {version} has no strict mode, and the rules do not reach back to it",
            "--torch",
            f"Use {OLDEST} or newer.",
        )
    return Environment(device=chosen, torch=version, strict=strict, amp=precision)
