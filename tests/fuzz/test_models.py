"""Random models: alike on meta and on the CPU, however they are written, and as strict mode itself has it."""

from __future__ import annotations

import re
from random import Random

import hypothesis
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from opscan.errors import TraceError
from opscan.trace.driver import trace_target
from tests.fuzz.effort import effort
from tests.fuzz.models.differences import differs_on_cpu
from tests.fuzz.models.judged import alerts_of, ops_of, predicted_alerts, report_on, signature, traces_of, verdicts
from tests.fuzz.models.program import Program, drawn
from tests.fuzz.models.render import PLAIN, STYLES, Style, render

SEEDS = st.integers(0, 2**32)


def program(seed: int) -> Program:
    """The model of this number; its text is shown where something fails."""
    torch.manual_seed(seed)
    made = drawn(Random(seed))
    hypothesis.note("\n".join(render(made, PLAIN, "net").values()))
    return made


@effort(12)
@given(SEEDS, st.lists(st.sampled_from(STYLES), min_size=3, max_size=3, unique=True))
def test_how_a_model_is_written_changes_no_verdict(
    tmp_path_factory: pytest.TempPathFactory, seed: int, styles: list[Style]
) -> None:
    made, folder = program(seed), tmp_path_factory.mktemp("written")
    plain = report_on(made, PLAIN, folder)
    for style in styles:
        assert signature(report_on(made, style, folder), style) == signature(plain, style), style


@effort(15)
@given(SEEDS)
def test_meta_and_cpu_run_the_same_ops(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    made = program(seed)
    on_meta, on_cpu = (ops_of(each) for each in traces_of(made, PLAIN, tmp_path_factory.mktemp("traced")))
    aside = {f"p{step.number}" for step in made.steps if differs_on_cpu(made, step)}
    aside |= {""} if aside else set()  # gradients may then lie otherwise in memory, and are copied to where they belong
    assert [op for op in on_meta if op[2] not in aside] == [op for op in on_cpu if op[2] not in aside]


@effort(12)
@given(SEEDS)
def test_strict_mode_complains_of_what_is_predicted(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    made, folder = program(seed), tmp_path_factory.mktemp("strict")
    report = report_on(made, PLAIN, folder, device="cpu", run=True)
    assert predicted_alerts(report) == alerts_of(made, PLAIN, folder)
    assert [f for f in report.findings if (f.observed == "raises") != (f.predicted == "raises")] == []


@effort(6)
@given(SEEDS)
def test_a_larger_batch_changes_no_verdict(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    made, folder = program(seed), tmp_path_factory.mktemp("batch")
    try:
        larger = report_on(made, PLAIN, folder, batch=made.shape[0] + 2)
    except TraceError:  # a layer's size may come from the batch's
        hypothesis.reject()
    assert verdicts(larger) == verdicts(report_on(made, PLAIN, folder))


def test_the_same_number_is_the_same_model() -> None:
    one, other = (drawn(Random(7)) for _ in range(2))
    assert one == other
    assert re.search(r"# p\d+$", render(one, PLAIN, "net")["net.py"], re.MULTILINE)


@pytest.mark.parametrize("call", [
    pytest.param(lambda x: x.quantile(0.5, -1) * x.sum(), id="quantile by a number"),
    pytest.param(lambda x: torch.nanquantile(x, 0.3), id="nanquantile by a number"),
])  # fmt: skip
def test_found_once(call) -> None:
    for x in (torch.rand(2, 4), torch.rand(2, 4, device="meta")):
        assert trace_target(call, (x,), {}, input_grad=True).ops()
