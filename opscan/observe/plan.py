"""Whether a step is to run on a real device, on which, and how often each op."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from opscan.environment import Environment, installed_torch
from opscan.errors import EnvironmentSpecError, OpscanError, TraceError
from opscan.judge import OWN_NAMESPACES
from opscan.observe.step import WANTED
from opscan.rules.load import Ruleset
from opscan.target.build import Target
from opscan.trace.hygiene import unchanged_process


@dataclass(frozen=True, slots=True)
class Plan:
    """A run to be made. `rebuild` makes the target once more with real weights, where opscan built it without any."""

    device: torch.device
    memory: int
    replays: int = 1
    replay_ops: str = "all"
    rebuild: Callable[[], Target] | None = None

    def rebuilt(self, target: Target) -> Target:
        """The target with real weights; where it cannot be built again, the one there is, whose weights are made up."""
        return rebuilt(target, self.rebuild)

    def wanted(self, rules: Ruleset) -> Callable[[Any], bool]:
        """Which ops are to be replayed."""
        if self.replay_ops == "all":
            return lambda op: True
        if self.replay_ops == "rules":
            return lambda op: bool(rules.for_op(str(op)))
        return lambda op: op.namespace not in OWN_NAMESPACES and not rules.for_op(str(op))


def rebuilt(target: Target, rebuild: Callable[[], Target] | None) -> Target:
    """The target with real weights, as `rebuild` makes it; the one there is where it cannot be built again."""
    if rebuild is None:
        return target
    try:
        with unchanged_process(strict=False):
            return rebuild()
    except OpscanError:
        return target


def check_memory(needed: int, target: str) -> None:
    """Raises TraceError where a model that takes `needed` bytes by itself is to be traced on a CPU that has fewer."""
    free = free_memory(torch.device("cpu"))
    if needed > free:
        what = f"not traced on the CPU: the model alone takes {needed >> 20} MiB of {free >> 20} free"
        raise TraceError(what, target, "Leave out --trace-device cpu: on meta a trace takes no memory for tensors.")


def plan_run(environment: Environment, run: bool | None, replays: int = 1, replay_ops: str = "all") -> Plan | None:
    """The run to make for an environment, None for no run.

    `run` None is a run where the device is here and the torch is the installed one: CUDA if this machine has it, the
    CPU. Raises EnvironmentSpecError where a run is asked for, by `run` or by `replays`, that cannot be made here, and
    ValueError for arguments that make no sense.
    """
    if replays < 1 or replay_ops not in WANTED:
        raise ValueError(f"replays are at least 1 and replay_ops one of {', '.join(WANTED)}: {replays}, {replay_ops!r}")
    asked = bool(run) or replays > 1
    if run is False and replays > 1:
        raise EnvironmentSpecError("a replay is a run", "--replay", "Leave out --no-run.")
    obstacle = _obstacle(environment)
    if obstacle is not None and asked:
        raise EnvironmentSpecError(obstacle, "--run", "Leave it out for the prediction alone.")
    if run is False or obstacle is not None:
        return None
    device = torch.device(environment.device)
    return Plan(device, free_memory(device), replays, replay_ops)


def _obstacle(environment: Environment) -> str | None:
    installed = installed_torch()
    if environment.torch != installed:
        return f"torch {installed} is installed here, not {environment.torch}"
    if environment.device == "mps":
        return "steps are run on cuda and cpu only"
    if environment.device == "cuda" and not torch.cuda.is_available():
        return "there is no CUDA device here"
    return None


def free_memory(device: torch.device) -> int:
    """Bytes that are free on the device."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
