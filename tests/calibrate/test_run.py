"""Calibrating on the CPU with ops whose behaviour is known: what is kept, what is run again, what is never lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch._prims_common import alert_not_deterministic

from opscan.calibrate import run as run_module
from opscan.calibrate.judge import contradictions, judged_anew
from opscan.calibrate.measure import Bench, measured
from opscan.calibrate.rows import Record, Row, Setup, read_record
from opscan.calibrate.run import Calibration, CalibrationError, calibrate, narrowed, wanted
from opscan.calibrate.subjects import Subject, Trial, case_subjects
from opscan.calibrate.summary import summary
from opscan.cases import Case
from opscan.environment import make_environment
from opscan.rules.load import Ruleset, make_ruleset, rules_of

CPU = torch.device("cpu")
SETUP = Setup("made up", "cpu", "2.13.0", threads=1)


class Ops:
    """Three ops of `calibrated`: in default mode one is a unit in the last place off every third time; one alerts."""

    def __init__(self, library: torch.library.Library) -> None:
        self.calls = 0
        for name, run in (("moody", self.moody), ("alerting", self.alerting), ("calm", torch.clone)):
            library.define(f"{name}(Tensor x) -> Tensor")
            library.impl(name, run, "CPU")
            library.impl(name, torch.empty_like, "Meta")

    def moody(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        odd = self.calls % 3 == 0 and not torch.are_deterministic_algorithms_enabled()
        return torch.nextafter(x, torch.tensor(torch.inf)) if odd else x.clone()

    def alerting(self, x: torch.Tensor) -> torch.Tensor:
        alert_not_deterministic("alerting_cpu")
        return x.clone()


@pytest.fixture(autouse=True)
def ops() -> Iterator[Ops]:
    with torch.library._scoped_library("calibrated", "FRAGMENT") as library:
        yield Ops(library)


def rule(number: int, op: str, strict: str, bits: str | None = None, **history: str) -> dict[str, object]:
    entry = {"device": ["cpu"], "torch": ">=2", "default": "nondeterministic", "strict": strict, "why": "x", **history}
    row: dict[str, object] = {
        "id": f"MINE{number:03}",
        "title": op,
        "ops": [f"calibrated.{op}"],
        "phase": "forward",
        "mechanism": "made up",
        "history": [entry],
        "evidence": [{"kind": "test", "ref": "this"}],
    }
    return row | ({"bits": [{"bits": bits, "why": "it is said"}]} if bits else {})


def rules_with(*rows: dict[str, object]) -> Ruleset:
    return make_ruleset(rules_of({"rule": list(rows)}, "made up"))


RIGHT = rules_with(rule(1, "moody", "deterministic"), rule(2, "alerting", "raises", alert="alerting_cpu"))


def case_of(op: str, rule_id: str = "MINE001", name: str = "") -> Case:
    return Case(rule_id, True, name or op, f"torch.ops.calibrated.{op}(x.detach()) * x", {"x": "4x5"}, device="cpu")


CASES = [case_of("moody"), case_of("alerting", "MINE002"), case_of("calm", "MINE003")]


def bench(rules: Ruleset = RIGHT, replays: int = 7) -> Bench:
    return Bench(CPU, rules, make_environment("cpu", "2.13"), replays)


Go = Callable[..., Calibration]


@pytest.fixture
def go(tmp_path: Path) -> Go:
    def run(cases: list[Case] = CASES, rules: Ruleset = RIGHT, **options: object) -> Calibration:
        return calibrate(case_subjects(cases)[0], bench(rules), SETUP, tmp_path, **options)

    return run


def outcomes(record: Record) -> dict[str, str]:
    return {op.op.split(".")[1]: op.outcome for row in record.rows.values() for op in row.ops}


def test_what_rules_say_and_ops_do_agrees(go: Go) -> None:
    done = go()
    assert (done.run, done.left) == (3, 0)
    assert outcomes(done.record) == {"moody": "agrees", "alerting": "not shown"}
    (moody,) = done.record.rows["MINE001: moody"].ops
    assert moody.strict is not None
    assert moody.default is not None
    assert (moody.strict.differing, moody.default.distinct, moody.default.max_ulps) == (0, 2, 1)
    (alerting,) = done.record.rows["MINE002: alerting"].ops
    assert (alerting.alert, alerting.predicted[0].rule) == ("alerting_cpu", "MINE002")
    calm = done.record.rows["MINE003: calm"]
    assert (calm.ops, "calibrated.calm.default" in calm.quiet) == ((), True)
    assert read_record(done.path) == done.record


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param(
            [rule(1, "moody", "deterministic", "cannot vary")], "varied though it cannot", id="a proof that is none"
        ),
        pytest.param([], "varied, not predicted", id="no row"),
        pytest.param([rule(1, "moody", "raises", alert="x_cpu")], "did not raise", id="a row that says too much"),
    ],
)
def test_a_wrong_row_is_found(go: Go, rows: list[dict[str, object]], expected: str) -> None:
    done = go([CASES[0]], rules_with(*rows, rule(9, "calm", "deterministic")))
    assert outcomes(done.record) == {"moody": expected}
    text = summary(done.record)
    assert f"{expected}: calibrated.moody.default, forward" in text
    assert "default mode: 2 of 7 runs differ, 2 results, up to 1 ULP" in text
    assert len(contradictions([done.record])) == 1


def test_a_missing_alert_row_is_found(go: Go) -> None:
    done = go([CASES[1]], rules_with(rule(1, "alerting", "raises", alert="another_cpu")))
    assert outcomes(done.record) == {"alerting": "raised another alert"}
    done = go([CASES[1]], rules_with(rule(9, "calm", "deterministic")), again=True)
    assert outcomes(done.record) == {"alerting": "raised, not predicted"}


def test_what_the_file_has_is_not_run_again(go: Go, ops: Ops) -> None:
    go()
    calls = ops.calls
    assert (go().run, ops.calls) == (0, calls)
    changed = replace(CASES[0], inputs={"x": "3x3"})
    assert go([changed, *CASES[1:]]).run == 1
    assert go(again=True).run == 3


def test_a_renamed_case_keeps_its_row(go: Go) -> None:
    go()
    done = go([replace(CASES[0], name="renamed"), case_of("moody", "MINE002", "shared"), *CASES[1:]])
    assert done.run == 0
    assert set(done.record.rows) == {"MINE001: renamed", "MINE002: alerting", "MINE003: calm"}
    assert done.record.rows["MINE001: renamed"].rules == ("MINE001", "MINE002")
    assert read_record(done.path) == done.record


def test_the_budget_ends_it_and_the_next_run_goes_on(go: Go, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(1000))
    monkeypatch.setattr(run_module.time, "monotonic", lambda: float(next(clock)))
    done = go(budget_s=5)
    assert 0 < done.run < 3
    assert done.left == 3 - done.run
    assert go().run == done.left


def interrupting(*names: str, error: type[BaseException]) -> Callable[[Subject, Bench], Row]:
    def stand_in(subject: Subject, at: Bench) -> Row:
        if subject.name in names:
            raise error
        return measured(subject, at)

    return stand_in


def test_an_interrupt_loses_nothing(go: Go, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "measured", interrupting("MINE003: calm", error=KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        go()
    assert list(read_record(tmp_path / SETUP.file_name).rows) == ["MINE001: moody", "MINE002: alerting"]
    monkeypatch.undo()
    assert go().run == 1


def test_a_lost_device_ends_it_with_all_that_was_seen(go: Go, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "is_alive", lambda device: False)
    broken = replace(CASES[1], run="torch.ops.calibrated.gone(x)")
    with pytest.raises(CalibrationError, match="MINE002: alerting ended CUDA for this process") as caught:
        go([CASES[0], broken, CASES[2]])
    assert "Run the command again" in caught.value.hint
    kept = read_record(tmp_path / SETUP.file_name)
    assert list(kept.rows) == ["MINE001: moody", "MINE002: alerting"]
    monkeypatch.undo()
    assert go([CASES[0], broken, CASES[2]]).run == 1  # what ended CUDA once is not run again


class Crash(BaseException):
    """Stands for the end of the process: what is done on the way out is left undone."""


def test_what_crashes_the_process_twice_is_given_up(go: Go, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(run_module, "measured", interrupting("MINE002: alerting", error=Crash))
        patched.setattr(run_module._Mark, "remove", lambda self: None)
        for _ in range(2):
            with pytest.raises(Crash):
                go()
    assert (tmp_path / f"{SETUP.file_name}.running").read_text() == "2 MINE002: alerting"
    done = go()
    assert done.run == 2
    assert done.record.rows["MINE002: alerting"].failed == {"run": "the process crashed, 2 times"}
    assert [path.name for path in tmp_path.iterdir()] == [SETUP.file_name]


def test_one_crash_may_have_been_somebodys_kill(go: Go, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(run_module, "measured", interrupting("MINE002: alerting", error=Crash))
        patched.setattr(run_module._Mark, "remove", lambda self: None)
        with pytest.raises(Crash):
            go()
    assert go().record.rows["MINE002: alerting"].failed == {}


def test_what_cannot_be_run_is_a_row_and_not_the_end(go: Go) -> None:
    done = go([replace(CASES[0], run="x.no_such_method()"), *CASES[1:]])
    assert done.run == 3
    assert "AttributeError" in done.record.rows["MINE001: moody"].failed["run"]
    assert "not run                      1  AttributeError" in summary(done.record)


def test_a_sample_that_fails_leaves_the_others() -> None:
    def trials(device: torch.device) -> Iterator[Trial]:
        for dtype in ("float32", "float16", "float64"):
            call = torch.ops.calibrated.calm if dtype != "float16" else torch.linalg.inv
            yield Trial(call, (torch.ones(2, 3),), dtype=dtype)
        raise RuntimeError("no more samples")

    row = measured(Subject("calm", "OpInfo calm", trials), bench())
    assert row.ran == {"float32": 1, "float64": 1}
    assert set(row.failed) == {"float16", "run"}
    assert row.quiet == ("calibrated.calm.default",)


def test_another_machines_file_is_not_written_into(go: Go, tmp_path: Path) -> None:
    go()
    other = replace(SETUP, driver="9")
    assert other.file_name == SETUP.file_name
    with pytest.raises(CalibrationError, match="--out DIR"):
        calibrate((), bench(), other, tmp_path)


def test_ops_that_are_only_declared_are_left_out() -> None:
    subjects, left_out = case_subjects([*CASES, replace(CASES[0], needs=("tests.declared",), name="b")])
    assert (len(subjects), left_out) == (3, {"tests.declared": 1})


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        (None, 3),
        ("mine00", 3),
        ("MINE002", 1),
        ("MINE001: *", 1),
        ("moody", 1),
        ("*moody", 1),
        ("mood?", 0),
    ],
)
def test_what_is_run_can_be_narrowed(pattern: str | None, names: int) -> None:
    assert len(wanted(case_subjects(CASES)[0], pattern)) == names
    assert (
        len(narrowed(Record(SETUP, {f"{each.rule}: {each.name}": _row(each) for each in CASES}), pattern).rows) == names
    )


def _row(case: Case) -> Row:
    name = f"{case.rule}: {case.name}"
    return Row(name, case.run, case.inputs, (name,))


def test_nothing_of_the_process_is_changed(go: Go) -> None:
    torch.manual_seed(3)
    state = torch.get_rng_state()
    go()
    assert torch.equal(torch.get_rng_state(), state)
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.ones(1).device == CPU


def test_what_was_seen_is_judged_by_the_rules_as_they_are_now(go: Go, ops: Ops) -> None:
    wrong = go(rules=rules_with(rule(1, "moody", "deterministic", "cannot vary"))).record
    assert outcomes(wrong) == {"moody": "varied though it cannot", "alerting": "raised, not predicted"}
    calls = ops.calls
    assert outcomes(judged_anew(wrong, CASES, RIGHT)) == {"moody": "agrees", "alerting": "not shown"}
    more = rules_with(*(rule(at, op, "raises", alert="x_cpu") for at, op in enumerate(("moody", "alerting", "calm"))))
    assert outcomes(judged_anew(wrong, CASES, more)) == {
        "moody": "did not raise",
        "alerting": "raised another alert",
        "calm": "did not raise",
    }
    assert list(judged_anew(wrong, CASES[1:], RIGHT).rows) == ["MINE002: alerting", "MINE003: calm"]
    assert ops.calls == calls
