"""Judge what was seen anew by the rules as they are now; nothing runs on a device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from opscan.calibrate.compare import compare
from opscan.calibrate.rows import Record, Row
from opscan.calibrate.subjects import case_trial
from opscan.cases import Case
from opscan.environment import Environment, make_environment
from opscan.errors import TraceError
from opscan.finding import Replay
from opscan.match import match
from opscan.observe.join import Seen
from opscan.rules.load import Ruleset
from opscan.trace.driver import trace_target

_PHASES = ("forward", "backward")


def judged_anew(record: Record, cases: Iterable[Case], rules: Ruleset) -> Record:
    """The record with the predictions that the rules make now, for its device and torch, from a trace on meta.

    Ops that are not in that trace (a device's own kernels, strict mode's other ways) keep what was predicted of them,
    and so do samples. Rows whose cases are no more are left out.
    """
    environment = make_environment(record.setup.kind, record.setup.torch)
    known: dict[tuple[object, ...], Case] = {
        (case.run, *sorted(case.inputs.items())): case for case in cases if not case.model
    }
    rows = {name: row for name, row in record.rows.items() if not row.is_case or row.key in known}
    judged = {
        name: _judged(row, known[row.key], rules, environment) if row.is_case and not row.failed else row
        for name, row in rows.items()
    }
    return replace(record, rows=judged)


def _judged(row: Row, case: Case, rules: Ruleset, environment: Environment) -> Row:
    trial = case_trial(case)
    watched = frozenset(rules.by_call)
    try:
        trace = trace_target(trial.call, (), trial.kwargs, input_grad=trial.input_grad, watched=watched)
    except TraceError:
        return row
    traced = {str(node.target) for node in trace.ops()} | {each.name for each in trace.composites}
    found = compare(match(trace, rules, environment).findings, list(_seen(row, True)), list(_seen(row, False)))
    kept = tuple(op for op in row.ops if op.op not in traced)
    ops = (*(op for op in found.ops if op.op in traced), *kept)
    quiet = {*found.quiet, *row.quiet} - {op.op for op in ops}
    return replace(row, ops=ops, quiet=tuple(sorted(quiet)))


def _seen(row: Row, strict: bool) -> Iterator[Seen]:
    """A row's ops as they were seen in one mode; of the quiet ones it is known only that nothing came of them."""
    for op in row.ops:
        replay = op.strict if strict else op.default
        composite = op.op if op.inside else None
        yield _one(op.inside or op.op, composite, op.phase, op.alert if strict else None, replay)
    for name in row.quiet:
        for phase in _PHASES:
            yield _one(name, None, phase, None, None)


def _one(op: str, composite: str | None, phase: str, alert: str | None, replay: Replay | None) -> Seen:
    return Seen(op, composite, phase, "", "", None, None, alert, replay)


def contradictions(records: Sequence[Record]) -> tuple[str, ...]:
    """Every op that contradicts the rules, in words."""
    return tuple(
        f"{record.setup}: {op.op}, {op.phase}, {op.outcome} ({row.name})"
        for record in records
        for row, op in record.wrong
    )
