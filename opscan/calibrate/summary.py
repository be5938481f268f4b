"""What came of a calibration, as text: counts, every contradiction, and what could not be run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from opscan.calibrate.rows import OpRow, Record, Row, shown_replay

_MEANING = {
    "agrees": "as the rules say",
    "not shown": "predicted to vary; every run gave one result",
}


def summary(record: Record) -> str:
    """A short table of outcomes; then each contradiction with what was seen and what was predicted."""
    rows = list(record.rows.values())
    cases = sum(row.is_case for row in rows)
    quiet = sum(len(row.quiet) for row in rows)
    lines = [f"{record.setup}: {cases} cases, {len(rows) - cases} ops of OpInfo"]
    lines += [f"  {'quiet':<24} {quiet:>5}  no rule speaks of it here, and nothing was seen"]
    for outcome, count in _counted(rows):
        lines.append(f"  {outcome:<24} {count:>5}  {_MEANING.get(outcome, 'CONTRADICTS the rules')}")
    failed = Counter(_kind(reason) for row in rows for reason in row.failed.values())
    lines += [f"  {'not run':<24} {count:>5}  {kind}" for kind, count in failed.most_common()]
    for row, op in record.wrong:
        lines += ["", *_contradiction(row, op)]
    return "\n".join(lines)


def _counted(rows: list[Row]) -> list[tuple[str, int]]:
    return Counter(str(op.outcome) for row in rows for op in row.ops).most_common()


def _kind(reason: str) -> str:
    """`NotImplementedError` of `NotImplementedError: Could not run ...`."""
    return reason.partition(":")[0]


def _contradiction(row: Row, op: OpRow) -> Iterator[str]:
    inside = f", inside it {op.inside}" if op.inside else ""
    yield f"{op.outcome}: {op.op}, {op.phase}{f', {op.dtype}' if op.dtype else ''}{inside}"
    yield f"  {row.name}: {row.run}"
    if op.alert:
        yield f"  raised: {op.alert}"
    for mode, replay in (("default", op.default), ("strict", op.strict)):
        if replay is not None:
            yield f"  {mode} mode: {shown_replay(replay)}"
    for each in op.predicted:
        alert = f", alert {each.alert}" if each.alert else ""
        yield f"  predicted by {each.rule}: {each.verdict}{alert}, bits: {each.bits}"
    if not op.predicted:
        yield "  predicted: nothing"
