"""Values as data: what is sent comes back equal, and what is no such value is an error of one kind, whatever it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opscan.files.checked import Checked
from opscan.isolation.codec import DataError, from_data, to_data
from opscan.report.carried import packed, unpacked
from opscan.report.report import Report
from opscan.rules.load import load_rules
from opscan.sweeps.found import Found, Listed
from opscan.sweeps.row import Row
from tests.report.sample import FULL

PACKED = packed(FULL, drawn=True)
SENT = to_data(PACKED, Report)


class Pair(NamedTuple):
    left: int
    right: str | None


@dataclass(frozen=True)
class Box:
    pairs: tuple[Pair, ...]
    counts: Mapping[int, float]
    mode: Literal["on", "off"] | bool | None


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        pytest.param(PACKED, Report, id="a report with its graph"),
        pytest.param((Checked("a.py:Net", "clean", report=PACKED),), tuple[Checked, ...], id="checked files"),
        pytest.param(Row("a:Net", counts={"raises": 2}, in_the_way={"raises": {"put_": 2}}), Row, id="a sweep's row"),
        pytest.param(Found((Listed("a:Net", "a"),), (("b", "why"),), ("c",)), Found, id="what a search found"),
        pytest.param(Box((Pair(1, None), Pair(-2, "é\n")), {3: 0.5, 4: 1.0}, "off"), Box, id="nested"),
        pytest.param(Box((), {}, True), Box, id="True is no word and no number"),
        pytest.param(None, type(None), id="nothing"),
    ],
)
def test_what_is_sent_comes_back(value: Any, kind: Any) -> None:
    assert from_data(to_data(value, kind), kind) == value


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        pytest.param("1", bool, id="a number for a truth"),
        pytest.param("true", int, id="a truth for a number"),
        pytest.param(str(1 << 63), int, id="a number of more than 64 bits"),
        pytest.param("9" * 5000, int, id="a number that Python does not read"),
        pytest.param('"on"', Literal["off"], id="another word"),
        pytest.param("[[1]]", tuple[Pair, ...], id="a field too few"),
        pytest.param("[[1, null, 2]]", tuple[Pair, ...], id="a field too many"),
        pytest.param('{"left": 1}', Pair, id="an object"),
        pytest.param("[[1, 2, 3]]", Mapping[int, int], id="no pair"),
        pytest.param("[" * 100_000, Pair, id="nested beyond measure"),
        pytest.param("", Pair, id="nothing"),
        pytest.param("\x80abc", str, id="no UTF-8"),
    ],
)
def test_what_is_no_such_value_is_an_error(data: str, kind: Any) -> None:
    with pytest.raises(DataError):
        from_data(data.encode("latin-1"), kind)


@pytest.mark.parametrize("value", [(1, 2), "text", Pair("1", "2"), Box((), {}, "never")])  # type: ignore[arg-type]
def test_only_a_value_of_the_type_is_sent(value: Any) -> None:
    with pytest.raises(DataError):
        to_data(value, Box if isinstance(value, Box) else Pair)


def test_half_a_surrogate_pair_is_made_printable() -> None:
    assert from_data(b'"a\\ud800b"', str) == "a\\ud800b"


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_a_report_with_anything_else_in_one_place_is_a_report_or_an_error(data: st.DataObject) -> None:
    document = json.loads(SENT)
    holder, at = document, data.draw(st.integers(0, len(document) - 1))
    while isinstance(holder[at], list) and holder[at] and data.draw(st.booleans()):
        holder = holder[at]
        at = data.draw(st.integers(0, len(holder) - 1))
    holder[at] = data.draw(st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.integers(), max_size=3))
    try:
        found = from_data(json.dumps(document).encode(), Report)
    except DataError:
        return
    assert isinstance(found, Report)


def test_the_rules_behind_a_report_are_put_back_here() -> None:
    assert (PACKED.rules, packed(FULL, drawn=False).graph) == ((), None)
    assert {rule.id for rule in unpacked(PACKED, load_rules()).rules} <= {finding.rule for finding in FULL.findings}


@pytest.mark.parametrize("file", ["/dev/zero", "/"])
def test_a_report_may_not_have_opscan_read_what_is_no_source(file: str) -> None:
    finding = FULL.findings[0]
    places = tuple(replace(each, called=each.called._replace(file=file)) for each in finding.places if each.called)
    with pytest.raises(ValueError, match="no source file"):
        unpacked(replace(PACKED, findings=(replace(finding, places=places),)), load_rules())
