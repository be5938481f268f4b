"""The environment a prediction is for: a value, never the machine the scan happens to run on."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata

from packaging.version import InvalidVersion, Version

from opscan.errors import EnvironmentSpecError
from opscan.rules.schema import DEVICES, Device

OLDEST = Version("1.7")
"""The first torch with strict mode (`torch.set_deterministic`); nothing is known about earlier ones."""

NEWEST = Version("2.15")
"""The newest torch the rules were mined from."""


@dataclass(frozen=True, slots=True)
class Environment:
    """Where the model is going to train.

    `strict` is whether strict mode will be on: True, False, or None when the answer should serve both.
    """

    device: Device
    torch: Version
    strict: bool | None = None

    @property
    def is_newer_than_the_rules(self) -> bool:
        """Whether the rules were written before this torch; the answer is then the one for NEWEST."""
        return self.torch.release[:2] > NEWEST.release[:2]


def make_environment(device: str = "auto", torch_version: str | None = None, strict: bool | None = None) -> Environment:
    """Check the three words a user gives and make an Environment of them.

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
