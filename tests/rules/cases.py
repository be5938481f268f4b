"""The cases that stand beside the rules: read, and run through the real scan."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from opscan.environment import make_environment
from opscan.finding import Finding
from opscan.match import match
from opscan.rules.load import Ruleset
from opscan.target.inputs import make_inputs, parse_input
from opscan.trace.driver import trace_target

NEWEST = "2.15"


@dataclass(frozen=True)
class Case:
    rule: str
    flag: bool
    name: str
    run: str
    inputs: dict[str, str] = field(default_factory=dict)
    torch: str = NEWEST
    device: str = "cuda"
    verdict: str | None = None


def read_cases(directory: Path) -> Iterator[Case]:
    for path in sorted(directory.glob("*.cases.toml")):
        for row in tomllib.loads(path.read_text(encoding="utf-8"))["case"]:
            yield Case(**row)


def run_case(case: Case, rules: Ruleset) -> list[Finding]:
    """The findings of the case's rule, when its expression is traced and judged."""
    code = compile(case.run, f"<{case.rule}: {case.name}>", "eval")
    specs = [parse_input(f"{name}={spec}") for name, spec in case.inputs.items()]

    def step(**tensors: torch.Tensor) -> object:
        return eval(code, {"torch": torch, "nn": nn, "F": F, **tensors})

    trace = trace_target(
        step, (), make_inputs(specs).kwargs, input_grad=True, watched=frozenset(rules.by_call), assumed_sizes=False
    )
    findings = match(trace, rules, make_environment(case.device, case.torch)).findings
    return [finding for finding in findings if finding.rule == case.rule]
