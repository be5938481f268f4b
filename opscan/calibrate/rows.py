"""What calibration keeps: one row per case or sample, one file per device and torch, read and written without torch."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from opscan.errors import RulesError
from opscan.finding import Replay
from opscan.formats.stored import read_stored
from opscan.formats.typed import typed
from opscan.writing import make_folder, write_text

SCHEMA = 1

Wrong = Literal[
    "varied though it cannot",
    "raised, not predicted",
    "raised another alert",
    "varied, not predicted",
    "varied in strict mode",
    "did not raise",
]
"""How a device can contradict the rules, the worst first."""

Outcome = Wrong | Literal["agrees", "not shown"]
"""`not shown`: it is predicted to vary, and this many runs on inputs this small gave one result. No contradiction."""

WRONG: tuple[Wrong, ...] = get_args(Wrong)


@dataclass(frozen=True, slots=True)
class Predicted:
    """What one rule says of an op; `warn_only` is what strict mode does once its alert is silenced."""

    rule: str
    verdict: str
    bits: str
    warn_only: str
    alert: str | None = None


@dataclass(frozen=True, slots=True)
class OpRow:
    """One op of a case or sample, all its calls together, in one phase; for samples in one dtype.

    `inside` is, for a public composite call, the op of it that raised or differed most. `alert` is the literal of
    strict mode's error; `strict` and `default` are the replays of the call that differed most, None without replays.
    """

    op: str
    phase: str
    alert: str | None
    strict: Replay | None
    default: Replay | None
    predicted: tuple[Predicted, ...]
    outcome: Outcome
    inside: str | None = None
    dtype: str | None = None

    @property
    def is_wrong(self) -> bool:
        return self.outcome in WRONG


@dataclass(frozen=True, slots=True)
class Row:
    """A subject as it was run: `name` is `OPS102: a case's name`, or an op of PyTorch's OpInfo database.

    `cases` are the cases that share the expression, the first of them the name. `ops` are those that rules speak of, or
    that raised or differed; `quiet` names the others that ran. `ran` counts samples by dtype; `failed` says why one of
    that dtype, or the case's own "run", did not get through.
    """

    name: str
    run: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    cases: tuple[str, ...] = ()
    ran: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    ops: tuple[OpRow, ...] = ()
    quiet: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[object, ...]:
        """What was run: a case may be renamed, and its row still stand."""
        return self.run, *sorted(self.inputs.items())

    @property
    def is_case(self) -> bool:
        return bool(self.cases)

    @property
    def rules(self) -> tuple[str, ...]:
        """The ids of the rules whose cases these are."""
        return tuple(dict.fromkeys(each.partition(":")[0] for each in self.cases))


@dataclass(frozen=True, slots=True)
class Setup:
    """What the rows were measured on. `threads` is set for the CPU, the versions of CUDA's parts for CUDA."""

    device: str
    kind: str
    torch: str
    threads: int | None = None
    cuda: str | None = None
    cudnn: str | None = None
    driver: str | None = None

    @property
    def file_name(self) -> str:
        """`nvidia-h200-torch-2.11.0.json`; a CPU's with its threads."""
        words = [self.kind if self.kind != "cuda" else "", self.device]
        words += [f"{self.threads} threads"] if self.threads else []
        slug = re.sub(r"[^a-z0-9]+", "-", " ".join(words).lower()).strip("-")
        return f"{slug}-torch-{self.torch}.json"

    def __str__(self) -> str:
        threads = f" ({self.threads} threads)" if self.threads else ""
        return f"{self.device}{threads}, torch {self.torch}"


@dataclass(frozen=True, slots=True)
class Record:
    """One file: all that was seen on one device with one torch."""

    setup: Setup
    rows: Mapping[str, Row] = field(default_factory=dict)

    def with_row(self, row: Row) -> Record:
        """The record with this row in the place of any that ran the same."""
        others = {name: each for name, each in self.rows.items() if each.key != row.key}
        return replace(self, rows={**others, row.name: row})

    @property
    def wrong(self) -> tuple[tuple[Row, OpRow], ...]:
        """Every op that contradicts the rules, the worst first."""
        found = [(row, op) for row in self.rows.values() for op in row.ops if op.is_wrong]
        return tuple(sorted(found, key=lambda each: WRONG.index(each[1].outcome)))


def write_record(record: Record, path: Path) -> None:
    """Write the file, one row per line, in an order that does not depend on when rows came. Raises OutputError."""
    rows = sorted(record.rows.values(), key=lambda row: (not row.is_case, row.name))
    head = {"schema": SCHEMA, **{key: value for key, value in asdict(record.setup).items() if value is not None}}
    lines = ",\n".join(json.dumps(_row_document(row), ensure_ascii=False) for row in rows)
    text = f'{json.dumps(head, ensure_ascii=False)[:-1]}, "rows": [\n{lines}\n]}}\n'
    make_folder(path.parent)
    write_text(path, text)


def read_record(path: Path) -> Record:
    """Read one file. Raises RulesError where it is none of ours."""
    record: Record = read_stored(
        path,
        _parse,
        lambda why: RulesError(
            f"not a file of observed rows: {why}",
            path.name,
            "It was not written by `opscan rules calibrate`; remove it, or name another folder.",
        ),
    )
    return record


def _parse(text: str) -> Record:
    content = json.loads(text)
    if not isinstance(content, dict) or content.pop("schema", None) != SCHEMA:
        raise ValueError(f"its schema is not {SCHEMA}")
    rows = typed(tuple[Row, ...], content.pop("rows", None), "rows")
    by_name = {row.name: row for row in rows}
    if len(by_name) < len(rows):
        raise ValueError("two rows have one name")
    return Record(typed(Setup, content), by_name)


def read_records(folder: Path) -> tuple[Record, ...]:
    """The files of `folder`/observed, in the order of their names; none where there is no such folder."""
    return tuple(read_record(path) for path in sorted((folder / "observed").glob("*.json")))


def _row_document(row: Row) -> dict[str, Any]:
    document = {key: value for key, value in asdict(row).items() if key != "ops" and value}
    return document | {"ops": [_op_document(op) for op in row.ops]}


def _op_document(op: OpRow) -> dict[str, Any]:
    document = {key: value for key, value in asdict(op).items() if value is not None}
    document |= {mode: _replay_document(seen) for mode in ("strict", "default") if (seen := getattr(op, mode))}
    document["predicted"] = [
        {key: value for key, value in asdict(each).items() if value is not None} for each in op.predicted
    ]
    return document


def _replay_document(replay: Replay) -> dict[str, Any]:
    """All of it where anything differed, else the number of runs."""
    return replay._asdict() if replay.differing else {"runs": replay.runs}


def shown_replay(replay: Replay) -> str:
    """`19 of 20 runs differ, 20 results, up to 3 ULP`."""
    if not replay.differing:
        return f"{replay.runs} runs, one result"
    ulps = "" if replay.max_ulps is None else f", up to {replay.max_ulps} ULP"
    return f"{replay.differing} of {replay.runs} runs differ, {replay.distinct} results{ulps}"


def seen_of_rule(rule: str, records: Iterable[Record]) -> tuple[str, ...]:
    """What was observed of a rule, one text per device and torch where anything was."""
    texts = []
    for record in records:
        ops = [op for row in record.rows.values() for op in row.ops if rule in {each.rule for each in op.predicted}]
        if ops:
            texts.append(f"{record.setup}: {_summed(ops)}")
    return tuple(texts)


def _summed(ops: list[OpRow]) -> str:
    words = [f"ran in {len(ops)} {'case or sample' if len(ops) == 1 else 'cases and samples'}"]
    alerts = [op.alert for op in ops if op.alert]
    if alerts:
        words.append(f"raised in {len(alerts)} ({', '.join(sorted(set(alerts)))})")
    for mode in ("default", "strict"):
        replays = [replay for op in ops if (replay := getattr(op, mode)) is not None]
        if not replays:
            continue
        most = max(replays, key=lambda each: (each.differing, each.distinct))
        where = f", in {sum(each.differing > 0 for each in replays)} of {len(replays)}" if most.differing else ""
        words.append(f"{mode} mode: {shown_replay(most)}{where}")
    wrong = [op for op in ops if op.is_wrong]
    words += [f"CONTRADICTED in {len(wrong)}: {', '.join(sorted({op.outcome for op in wrong}))}"] if wrong else []
    return "; ".join(words)
