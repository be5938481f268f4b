"""The cases that stand beside the rules: read, and run through the real scan."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import get_args

import torch
import torch.nn.functional as F
from torch import nn

from opscan.distributed.world import world
from opscan.environment import NEWEST, make_environment
from opscan.errors import OpscanError, RulesError
from opscan.finding import Finding
from opscan.match import match
from opscan.rules.load import Ruleset, Table, only_rows, read_toml
from opscan.rules.schema import DEVICES, VERDICTS, Bits, Device, Rule, Verdict
from opscan.target.inputs import make_inputs, parse_input
from opscan.trace.driver import constructing, trace_target


@dataclass(frozen=True, slots=True)
class Case:
    """An expression for which a rule must fire (`flag`), with this verdict and these bits, or stay silent.

    `needs` names modules to import first, such as the package that registers the op; `model` is an expression for a
    module, built as that of a target and known to `run` under that name. With `world` it runs as rank 0 of so many.
    """

    rule: str
    flag: bool
    name: str
    run: str
    inputs: dict[str, str] = field(default_factory=dict)
    torch: str = str(NEWEST)
    device: Device = "cuda"
    verdict: Verdict | None = None
    bits: Bits | None = None
    needs: tuple[str, ...] = ()
    model: str = ""
    world: int | None = None
    source: str = ""


def read_cases(folder: Path) -> Iterator[Case]:
    """The cases of every `*.cases.toml` in a folder. Raises RulesError when one is not well-formed."""
    for path in sorted(folder.glob("*.cases.toml")):
        for row in only_rows(read_toml(path), path.name, "case"):
            yield _read_case(row, path.name)


def _read_case(row: Table, source: str) -> Case:
    row.place = f"{source} {row.content.get('rule', '(case without rule)')} {row.content.get('name', '')}"
    flag = row.take("flag", bool, required=True)
    case = Case(
        rule=row.text("rule"),
        flag=flag,
        name=row.text("name"),
        run=row.text("run"),
        inputs=row.take("inputs", dict, required=False),
        torch=row.text("torch", required=False) or str(NEWEST),
        device=row.choice("device", DEVICES) if "device" in row else "cuda",
        verdict=row.choice("verdict", VERDICTS) if flag else None,
        bits=row.choice("bits", get_args(Bits)) if "bits" in row else None,
        needs=row.texts("needs"),
        model=row.text("model", required=False),
        world=row.take("world", int, required=False) or None,
        source=source,
    )
    row.done()
    return case


def lacking(case: Case) -> tuple[str, ...]:
    """The modules the case needs that are not installed here."""
    return tuple(name for name in case.needs if find_spec(name.partition(".")[0]) is None)


def run_case(case: Case, rules: Ruleset) -> list[Finding]:
    """The findings of the case's rule, when its expression is traced and judged."""
    for name in case.needs:
        import_module(name)
    code, making = (compile(text, f"<{case.rule}: {case.name}>", "eval") for text in (case.run, case.model or "None"))
    specs = [parse_input(f"{name}={spec}") for name, spec in case.inputs.items()]

    with constructing():
        model = eval(making, {"torch": torch, "nn": nn})

    def step(**tensors: torch.Tensor) -> object:
        return eval(code, {"torch": torch, "nn": nn, "F": F, "model": model, **tensors})

    with world(case.world):
        trace = trace_target(
            step, (), make_inputs(specs).kwargs, input_grad=True, watched=frozenset(rules.by_call), assumed_sizes=False
        )
    findings = match(trace, rules, make_environment(case.device, case.torch)).findings
    return [finding for finding in findings if finding.rule == case.rule]


def failure_of(case: Case, rules: Ruleset) -> str | None:
    """What is wrong when the case is run: None when the rule does what the case says."""
    try:
        findings = run_case(case, rules)
    except (OpscanError, SyntaxError) as error:
        return f"it does not run: {error}"
    verdicts = {finding.verdict for finding in findings}
    bits = {finding.bits for finding in findings}
    if verdicts != ({case.verdict} if case.flag else set()):
        return f"expected {case.verdict or 'silence'}, got {', '.join(sorted(verdicts)) or 'silence'}"
    if case.bits is not None and bits != {case.bits}:
        return f"expected bits that are {case.bits!r}, got {', '.join(map(repr, sorted(bits)))}"
    return None


def unproven(rules: Sequence[Rule], cases: Sequence[Case]) -> tuple[str, ...]:
    """The ids of rules for which no case fires; a rule that says nothing but that an op repeats needs a silent case.

    Raises RulesError for a case of a rule that is not there.
    """
    known = {rule.id for rule in rules}
    for case in cases:
        if case.rule not in known:
            raise RulesError(f"no rule has the id {case.rule}", f"{case.source} {case.name}", "Name one of the rows.")
    shown = {(case.rule, case.flag) for case in cases}
    return tuple(rule.id for rule in rules if (rule.id, any(each.verdict for each in rule.history)) not in shown)
