"""One target of a sweep: what came of it, as plain values that any format can hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from opscan.finding import Finding
from opscan.formats.typed import typed
from opscan.report.report import ALL_VERDICTS, Report

Training = Literal[
    "repeats", "repeats in strict mode", "repeats in default mode", "strict mode raises", "never repeats", "not known"
]
"""What a model's training does, given seeds and the settings `opscan env` names. "strict mode raises": it varies by
default, and strict mode stops it. "repeats in default mode": strict mode would stop it for nothing. "not known": all
ops with a rule repeat, in strict mode at least, and there are ops without one."""

Outcome = Literal["traced", "not traced"]


@dataclass(frozen=True, slots=True)
class Row:
    """What a sweep says of one target.

    `in_the_way` counts, per verdict, the ops that vary or stop a run: {"raises": {"put_": 2}}. `loss` is whether
    backward began at a loss of the model's own. `reason` says why it was not traced. `fails` is whether `opscan check`
    would fail it. `seconds` and `peak_bytes` are of the process it was scanned in, and differ from run to run.
    """

    target: str
    family: str = ""
    outcome: Outcome = "not traced"
    training: Training | None = None
    fails: bool = False
    parameters: int | None = None
    forward_ops: int | None = None
    backward_ops: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    in_the_way: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    loss: bool | None = None
    reason: str = ""
    seconds: float | None = None
    peak_bytes: int | None = None

    def document(self) -> dict[str, Any]:
        """As plain values, in a stable order."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    @property
    def ways(self) -> str:
        """`raises: put_ 2; switches: index_put 1`."""
        return "; ".join(
            f"{verdict}: {', '.join(f'{op} {count}' for op, count in ops.items())}"
            for verdict, ops in self.in_the_way.items()
        )


def row_of(report: Report, family: str = "") -> Row:
    """The row of a target that was scanned."""
    ways: dict[str, dict[str, int]] = {}
    for finding in report.findings:
        if finding.verdict in ("raises", "switches", "silent") and not finding.harmless:
            ops = ways.setdefault(finding.verdict, {})
            ops[short_op(finding.op)] = ops.get(short_op(finding.op), 0) + finding.count
    return Row(
        target=report.target,
        family=family,
        outcome="traced",
        training=training_of(report.findings, bool(report.unknown)),
        fails=report.fails(),
        parameters=report.cost.parameters if report.cost else None,
        forward_ops=report.forward_ops,
        backward_ops=report.backward_ops,
        counts=report.counts(),
        in_the_way={verdict: dict(sorted(ways[verdict].items())) for verdict in ALL_VERDICTS if verdict in ways},
        loss=report.backward_ops > 0 and not any(line.startswith("backward: ") for line in report.assumptions),
    )


def training_of(findings: Iterable[Finding], has_unknown: bool) -> Training:
    """What training does, in both modes, whichever the report is for."""
    findings = tuple(findings)
    varying = [finding for finding in findings if finding.bits != "cannot vary"]
    by_default = any(finding.default == "nondeterministic" for finding in varying)
    in_strict = any(finding.strict == "nondeterministic" for finding in varying)
    raises = any(finding.strict == "raises" for finding in findings)
    if raises:
        return "strict mode raises" if by_default else "repeats in default mode"
    if in_strict:
        return "never repeats"
    if has_unknown:
        return "not known"
    return "repeats in strict mode" if by_default else "repeats"


def short_op(op: str) -> str:
    """An op without namespace and overload: `index_put` of `aten.index_put.default`."""
    return op.split(".")[1] if op.startswith("aten.") else op.rpartition(".")[2]


def row_from(document: Mapping[str, Any]) -> Row:
    """The row that `Row.document` was made of. Raises ValueError if it is not one."""
    row: Row = typed(Row, document)
    return row


def most_frequent(rows: Iterable[Row]) -> list[tuple[str, str, int]]:
    """The ops in the way as (verdict, op, models), those in the most models first."""
    models = Counter((verdict, op) for row in rows for verdict, ops in row.in_the_way.items() for op in ops)
    return [(verdict, op, count) for (verdict, op), count in sorted(models.items(), key=lambda each: (-each[1], each))]
