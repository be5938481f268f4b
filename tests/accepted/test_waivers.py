"""Waivers: what they are about, what they accept, and when one is a finding itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from opscan.accepted.waive import stale_waivers, waive
from opscan.config import find_config
from opscan.errors import ConfigError
from opscan.finding import Line, Place
from opscan.waiver import Waiver, read_waivers
from tests.conftest import CONVS, Outcome
from tests.report.sample import CLEAN, CUMSUM, FULL, PAD

Run = Callable[..., Outcome]
PYPROJECT = Path("/home/me/pyproject.toml")
TODAY = date(2026, 6, 1)
GOOD = {"rule": "OPS102", "target": "net.model:Net", "reason": "Frozen."}


def waiver(**given: object) -> Waiver:
    (read,) = read_waivers([{"rule": "*", "target": "*", "reason": "Frozen."} | given], PYPROJECT)
    return read


def bare(report=FULL):
    """The sample without what is accepted in it already."""
    return replace(report, findings=tuple(each for each in report.findings if not each.accepted))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        pytest.param({"rule": "OPS102", "target": "x"}, "`reason` is missing", id="a reason has to be given"),
        pytest.param(GOOD | {"reason": " "}, "`reason` is empty", id="and has to say something"),
        pytest.param(GOOD | {"resaon": "x"}, "unknown key `resaon`", id="a key that means nothing"),
        pytest.param({"rule": "OPS102", "reason": "x"}, "names no place", id="everywhere has to be written"),
        pytest.param({"target": "x", "reason": "x"}, "names no rule and no op", id="of everything"),
        pytest.param(GOOD | {"until": "soon"}, "`until` is soon", id="no day"),
        pytest.param(GOOD | {"until": True}, "`until` is True", id="no day at all"),
        pytest.param(GOOD | {"rule": 102}, "`rule` is a int", id="no text"),
        pytest.param("OPS102", "`waive` holds 'OPS102'", id="no table"),
    ],
)
def test_an_entry_that_is_not_valid_says_what_and_where_and_what_to_do(row: object, said: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read_waivers([GOOD, row], PYPROJECT)
    assert said in raised.value.what
    assert raised.value.where == f"{PYPROJECT} [[tool.opscan.waive]] 2"
    assert raised.value.hint


def test_a_misspelt_key_is_told_the_likely_one() -> None:
    with pytest.raises(ConfigError, match="Did you mean `reason`"):
        read_waivers([{"rule": "OPS102", "target": "x", "reason": "y", "reasons": "x"}], PYPROJECT)


def test_a_day_may_be_a_date_or_its_text(tmp_path: Path) -> None:
    rows = ["until = 2027-03-31", 'until = "2027-03-31"', ""]
    head = '[[tool.opscan.waive]]\nrule = "OPS102"\nmodule = "a.*"\nreason = "x"\n'
    (tmp_path / "pyproject.toml").write_text("".join(f"{head}{row}\n" for row in rows))
    assert [each.until for each in find_config(tmp_path).waivers] == [date(2027, 3, 31), date(2027, 3, 31), None]
    assert [each.number for each in find_config(tmp_path).waivers] == [1, 2, 3]


PLACE = Place("encoder.0.pad", Line("/home/me/src/net.py", 8), Line("/home/me/src/net.py", 30), 1)


@pytest.mark.parametrize(
    ("given", "fits"),
    [
        ({"rule": "OPS102"}, True),
        ({"rule": "OPS1*"}, True),
        ({"rule": "OPS103"}, False),
        ({"op": "aten.replication_pad2d*"}, True),
        ({"op": "aten.cumsum*"}, False),
        ({"module": "encoder.*"}, True),
        ({"module": "encoder"}, False),
        ({"file": "src/net.py"}, True),
        ({"file": "src/*.py"}, True),
        ({"file": "net.py"}, False),
        ({"file": "src/net.py:8"}, True),
        ({"file": "src/net.py:30"}, True),
        ({"file": "src/net.py:9"}, False),
        ({"target": "mod:*"}, True),
        ({"target": "mod:Other"}, False),
        ({"module": "encoder.*", "file": "src/net.py:9"}, False),
    ],
)  # fmt: skip
def test_all_that_is_given_has_to_fit(given: dict[str, str], fits: bool) -> None:
    assert waiver(**given).covers("mod:Net(10)", "OPS102", "aten.replication_pad2d_backward.default", PLACE) is fits


def test_a_part_of_a_finding_may_be_waived() -> None:
    waived = waive(bare(), [waiver(rule="OPS102", module="layers.*", until=date(2027, 1, 1))], TODAY)
    layers, others = waived.findings[:2]
    assert [len(layers.places), len(others.places)] == [12, 2]
    assert layers.waived == ("Frozen.", "2027-01-01", 1)
    assert others.waived is None
    assert sum(each.count for each in waived.findings) == sum(each.count for each in bare().findings)


def test_what_is_waived_fails_nothing_and_what_has_ended_waives_nothing() -> None:
    report = replace(bare(), findings=(PAD,))
    assert report.fails()
    assert not waive(report, [waiver(until=TODAY)], TODAY).fails()
    assert not waive(report, [waiver()], TODAY).fails(("raises",))
    assert waive(report, [waiver(until=date(2026, 5, 31))], TODAY) == report


@pytest.mark.parametrize(
    ("given", "all_were_scanned", "why"),
    [
        pytest.param({"rule": "OPS102", "target": "net.model:*"}, True, None, id="it is used"),
        pytest.param({"rule": "OPS999", "target": "net.model:*"}, True, "unused", id="nothing of that rule"),
        pytest.param({"rule": "OPS999", "target": "net.model:*"}, False, None, id="another target may need it"),
        pytest.param({"rule": "OPS999", "target": "net.model:Clean"}, False, "unused", id="no other target is meant"),
        pytest.param({"rule": "OPS999", "target": "other:Net"}, True, None, id="its target was not scanned"),
        pytest.param({"rule": "OPS999", "file": "net/model.py:8"}, False, "unused", id="its file was"),
        pytest.param({"rule": "OPS999", "file": "net/other.py"}, True, None, id="its file was not"),
        pytest.param({"until": date(2026, 5, 31)}, True, "expired", id="it has ended, though there is use for it"),
        pytest.param({"until": date(2026, 5, 31), "target": "other:Net"}, True, None, id="it has ended elsewhere"),
    ],
)
def test_a_waiver_is_stale_where_what_it_is_about_was_scanned(
    given: dict[str, object], all_were_scanned: bool, why: str | None
) -> None:
    waivers = [waiver(**given)]
    reports = [waive(each, waivers, TODAY) for each in (bare(), CLEAN)]
    assert [each.why for each in stale_waivers(waivers, reports, TODAY, all_were_scanned)] == ([why] if why else [])


def test_a_cumsum_waived_by_its_line_is_not_when_the_line_moves() -> None:
    report = replace(bare(), findings=(CUMSUM,))
    assert not waive(report, [waiver(file="net/model.py:21")], TODAY).fails()
    moved = replace(CUMSUM, places=(replace(CUMSUM.places[0], called=Line("/home/me/net/model.py", 22)),))
    assert waive(replace(report, findings=(moved,)), [waiver(file="net/model.py:21")], TODAY).fails()


WAIVE = """
[[tool.opscan.waive]]
rule = "OPS102"
module = "conv[1-5]"
target = "mymodel:CNN_v2"
reason = "The early layers are frozen."
"""
SIXTH = WAIVE.replace("conv[1-5]", "conv6").replace("The early layers are frozen", "The last is tiny")


def test_waived_findings_do_not_fail_and_every_format_gives_the_reason(opscan: Run, workplace: Path) -> None:
    (workplace / "pyproject.toml").write_text(WAIVE)
    outcome = opscan("check", "mymodel:CNN_v2", "--format", "json")
    pads = [each for each in outcome.report["findings"] if each["rule"] == "OPS102"]
    assert outcome.status == 1
    assert [(each["modules"], each["waived"] is None) for each in pads] == [(CONVS[:5], False), (CONVS[5:], True)]
    (workplace / "pyproject.toml").write_text(WAIVE + SIXTH)
    for format in ("table", "json", "sarif", "github", "junit", "markdown", "csv"):
        outcome = opscan("check", "mymodel:CNN_v2", "--format", format)
        assert outcome.status == 0, format
        assert "The early layers are frozen." in " ".join(outcome.out.split())
    assert "Of them 6 waived." in " ".join(opscan("check", "mymodel:CNN_v2").out.split())


def test_an_unused_and_an_expired_waiver_fail_the_check(opscan: Run, workplace: Path) -> None:
    ended = WAIVE.replace("conv[1-5]", "*") + "until = 2020-01-01\n"
    unused = WAIVE.replace("OPS102", "OPS301").replace("mymodel:CNN_v2", "mymodel4:CNN_v4")
    (workplace / "pyproject.toml").write_text(ended + unused)
    assert opscan("check", "mymodel3:CNN_v3").status == 0  # neither is about it
    outcome = opscan("check", "mymodel4:CNN_v4")
    assert outcome.status == 1
    assert "waiver 2 (OPS301, target mymodel4:CNN_v4, module conv[1-5]) accepts nothing" in " ".join(
        outcome.out.split()
    )
    outcome = opscan("check", "mymodel:CNN_v2", "--format", "json")
    assert outcome.status == 1
    assert [(each["number"], each["why"]) for each in outcome.document["stale_waivers"]] == [(1, "expired")]


def test_check_files_waives_too_and_judges_what_names_its_files(opscan: Run, workplace: Path) -> None:
    by_file = WAIVE.replace("conv[1-5]", "*").replace('target = "mymodel:CNN_v2"', 'file = "mymodel.py"')
    elsewhere = WAIVE.replace("mymodel:CNN_v2", "*")
    (workplace / "pyproject.toml").write_text(by_file + elsewhere)
    outcome = opscan("check-files", "mymodel.py", "mymodel4.py")
    assert (outcome.status, outcome.out) == (
        0,
        "waived    mymodel.py:CNN_v2: aten.replication_pad2d_backward.default switches in conv1 and 5 more (OPS102):"
        " The early layers are frozen.\n2 models checked, 0 with findings; 6 ops waived\n",
    )
    (workplace / "pyproject.toml").write_text(by_file.replace("OPS102", "OPS103"))
    outcome = opscan("check-files", "mymodel.py", "--quiet")
    assert outcome.status == 1
    assert "(OPS103, module *, file mymodel.py) accepts nothing" in " ".join(outcome.out.split())
