"""Run one subject on a device in strict and in default mode, replay its ops, and make its row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import isfinite

import torch

from opscan.blame import one_line
from opscan.calibrate.compare import Compared, compare
from opscan.calibrate.rows import OpRow, Row
from opscan.calibrate.subjects import Subject, Trial
from opscan.environment import Environment
from opscan.errors import TraceError
from opscan.match import match, merged
from opscan.observe.join import seen_in
from opscan.observe.run import DeviceRegime
from opscan.rules.load import Ruleset
from opscan.trace.driver import trace_under
from opscan.trace.graph import Trace
from opscan.trace.hygiene import unchanged_process


@dataclass(frozen=True, slots=True)
class Bench:
    """Where subjects are run, how often each op, and by what they are judged."""

    device: torch.device
    rules: Ruleset
    environment: Environment
    replays: int


class CalibrationRegime(DeviceRegime):
    """A step on a device whose made-up floats lie between 0 and 1.

    Ops that take probabilities accept them; out of range, such an op ends CUDA for the process (device-side assert).
    """

    def stand_in(self, tensor: torch.Tensor) -> torch.Tensor:
        """A copy on the device; of a tensor on meta, uniform random values."""
        made = super().stand_in(tensor)
        return made.uniform_(generator=self._values.random) if tensor.is_meta and made.is_floating_point() else made


def measured(subject: Subject, bench: Bench) -> Row:
    """The subject's row. What fails is named in it; nothing but an interrupt is raised."""
    ran: Counter[str] = Counter()
    failed: dict[str, str] = {}
    seen: dict[tuple[object, ...], OpRow] = {}
    quiet: set[str] = set()
    try:
        for trial in _prepared(subject, bench.device):
            try:
                found = run_trial(trial, bench)
            except Exception as error:
                failed.setdefault(trial.dtype or "run", _reason(error))
                if not is_alive(bench.device):
                    break
                continue
            if trial.dtype:
                ran[trial.dtype] += 1
            quiet.update(found.quiet)
            for op in found.ops:
                labelled = replace(op, dtype=trial.dtype)
                key = (op.op, op.phase, trial.dtype, op.predicted)
                seen[key] = _more_telling(labelled, seen.get(key))
    except Exception as error:  # no sample could be made
        failed["run"] = _reason(error)
    names = tuple(sorted(quiet - {op.op for op in seen.values()}))
    return Row(subject.name, subject.run, subject.inputs, subject.cases, dict(ran), failed, tuple(seen.values()), names)


def run_trial(trial: Trial, bench: Bench) -> Compared:
    """What one call was seen to do in both modes beside what is predicted. Raises TraceError, or what CUDA raises."""
    traces: list[Trace] = []
    for strict in (True, False):
        regime = CalibrationRegime(bench.device, frozenset(bench.rules.by_call), strict, bench.replays)
        with bench.device:  # what the expression makes itself lies on the device as well
            traces.append(trace_under(regime, trial.call, trial.args, trial.kwargs, input_grad=trial.input_grad))
    if bench.device.type == "cuda":
        torch.cuda.synchronize(bench.device)
    findings = merged([match(trace, bench.rules, bench.environment) for trace in traces]).findings
    return compare(findings, seen_in(traces[0]), seen_in(traces[1]))


def is_alive(device: torch.device) -> bool:
    """Whether the device still computes; after a device-side assert CUDA answers every call with an error."""
    if device.type != "cuda":
        return True
    try:
        torch.cuda.synchronize(device)
        return isfinite(float(torch.ones(1, device=device).sum()))
    except RuntimeError:
        return False


def _prepared(subject: Subject, device: torch.device) -> Iterator[Trial]:
    """The subject's trials; making them draws random numbers and warns, which nobody is to notice."""
    trials = iter(subject.trials(device))
    while True:
        with unchanged_process(strict=False):
            trial = next(trials, None)
        if trial is None:
            return
        yield trial


def _more_telling(one: OpRow, other: OpRow | None) -> OpRow:
    """Of two samples of one op the one that contradicts more, or else the one that differed more."""
    return one if other is None or _weight(one) > _weight(other) else other


def _weight(op: OpRow) -> tuple[bool, bool, int, int]:
    counts = [(each.differing, each.distinct) for each in (op.default, op.strict) if each is not None]
    return op.is_wrong, op.alert is not None, *max(counts, default=(0, 0))


def _reason(error: BaseException) -> str:
    """The first line of what a run failed with, without the hints for models."""
    return error.what if isinstance(error, TraceError) else one_line(error)
