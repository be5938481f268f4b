"""What was seen of a case's ops beside what the rules predict of them. Pure: nothing runs here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import itemgetter

from opscan.calibrate.rows import OpRow, Outcome, Predicted
from opscan.finding import Finding, Replay
from opscan.observe.join import Seen


@dataclass(frozen=True, slots=True)
class Compared:
    """The ops worth a row, and the names of the others that ran."""

    ops: tuple[OpRow, ...]
    quiet: tuple[str, ...]


def compare(findings: Iterable[Finding], strict: Sequence[Seen], default: Sequence[Seen]) -> Compared:
    """Put findings and observations of one subject together, op by op and phase by phase.

    A finding on a public composite call stands beside everything that ran inside it.
    """
    predicted: dict[tuple[str, str], list[Predicted]] = {}
    for finding in findings:
        said = Predicted(finding.rule, finding.verdict, finding.bits, finding.warn_only, finding.alert)
        predicted.setdefault((finding.op, finding.phase), []).append(said)
    composites = {each.composite for each in (*strict, *default)} & {name for name, _ in predicted}
    in_strict, in_default = (_by_op(seen, composites, predicted) for seen in (strict, default))
    rows, quiet = [], set()
    for key in dict.fromkeys((*predicted, *in_strict, *in_default)):
        row = _op_row(
            key, tuple(dict.fromkeys(predicted.get(key, ()))), in_strict.get(key, []), in_default.get(key, [])
        )
        if row.predicted or row.is_wrong:
            rows.append(row)
        else:
            quiet.add(key[0])
    return Compared(tuple(rows), tuple(sorted(quiet - {row.op for row in rows})))


def _by_op(
    seen: Iterable[Seen], composites: set[str | None], predicted: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], list[Seen]]:
    """What was seen by op and phase; what runs inside a composite that a rule speaks of stands under its findings."""
    phases: dict[str, list[str]] = {}
    for name, phase in predicted:
        phases.setdefault(name, []).append(phase)
    found: dict[tuple[str, str], list[Seen]] = {}
    for each in seen:
        if each.composite in composites and each.composite is not None:
            for phase in phases[each.composite]:
                found.setdefault((each.composite, phase), []).append(each)
        else:
            found.setdefault((each.op, each.phase), []).append(each)
    return found


def _op_row(
    key: tuple[str, str], predicted: tuple[Predicted, ...], strict: Sequence[Seen], default: Sequence[Seen]
) -> OpRow:
    op, phase = key
    alert = next((each.alert for each in strict if each.alert), None)
    most_strict, most_default = _most(strict), _most(default)
    outcome = judge(predicted, alert, _replay(most_strict), _replay(most_default), ran=bool(strict or default))
    telling = next((each for each in strict if each.alert), None) or most_default or most_strict
    inside = telling.op if telling is not None and telling.op != op else None
    return OpRow(op, phase, alert, _replay(most_strict), _replay(most_default), predicted, outcome, inside)


def _most(seen: Sequence[Seen]) -> Seen | None:
    """The call whose replays differed most."""
    replayed = [(each.replay.differing, each.replay.distinct, each) for each in seen if each.replay is not None]
    return max(replayed, key=itemgetter(0, 1))[2] if replayed else None


def _replay(seen: Seen | None) -> Replay | None:
    return None if seen is None else seen.replay


def judge(
    predicted: Sequence[Predicted],
    alert: str | None,
    strict: Replay | None,
    default: Replay | None,
    ran: bool = True,
) -> Outcome:
    """Whether what was seen of an op agrees with what the rules say of it, or the worst way in which it does not.

    A setting explains both an alert and a difference. Random numbers explain neither: replays draw the same ones.
    `ran` is whether the op ran at all; nothing is held against what did not.
    """
    varied_strict = strict is not None and strict.differing > 0
    varied = varied_strict or (default is not None and default.differing > 0)
    settings = any(each.verdict == "config" for each in predicted)
    alerts = {each.alert for each in predicted if each.alert}
    explaining = [each for each in predicted if each.bits != "cannot vary" and each.verdict != "random"]
    if varied and predicted and all(each.bits == "cannot vary" for each in predicted):
        return "varied though it cannot"
    if alert is not None and alert not in alerts and not settings:
        return "raised another alert" if alerts else "raised, not predicted"
    if varied and not explaining:
        return "varied, not predicted"
    if varied_strict and all(each.warn_only == "deterministic" for each in explaining):
        return "varied in strict mode"
    if not ran:
        return "not shown"
    if alert is None and alerts:
        return "did not raise"
    if default is not None and not varied and any(each.bits == "vary" for each in explaining):
        return "not shown"
    return "agrees"
