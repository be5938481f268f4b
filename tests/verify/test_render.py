"""The answer in 80 columns, as JSON and as a page; what comes from outside is escaped."""

from __future__ import annotations

import json
import math
from xml.etree import ElementTree

import pytest

from opscan.verifying.cause import Cause
from opscan.verifying.growth import Growth
from opscan.verifying.outcome import Verification
from opscan.verifying.plot import plot
from tests.verify.test_compare import value

EVIL = "<script>alert('&')</script>"


def parted(name: str = "loss") -> Verification:
    growth = Growth()
    for step in range(40):
        growth.add(value(step, 1.0, name), value(step, 1.0 + 1e-6 * step**2, name))
    cause = Cause("op", 1, f"In step 1 {name} differs.", (("op", f"{name} " * 30), ("module", "layers.3")), "Do this.")
    return Verification(f"{name}.py", cause, 40, {"step": 40, "batch": 1}, growth, failures=("", "killed"))


def test_the_text_fits_in_80_columns() -> None:
    lines = parted().to_text().splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == "loss.py: the runs part in step 1: an op"
    assert "  run 2       killed" in lines
    assert len(lines) < 40


def test_the_page_is_whole_and_escaped() -> None:
    page = parted(EVIL).to_html()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert page.count("<svg") == 2
    assert "http" not in page.replace("http://www.w3.org/2000/svg", "")
    ElementTree.fromstring(page.removeprefix("<!DOCTYPE html>\n").replace('<meta charset="utf-8">', ""))


def test_the_document() -> None:
    document = json.loads(parted().to_json())
    assert document["schema"] == 1
    assert document["cause"]["details"][1] == {"label": "module", "text": "layers.3"}
    assert document["growth"]["steps"][3]["difference"] == pytest.approx(9e-6)
    assert not document["identical"]


STATUS = {
    "identical": (None, ("", ""), 0),
    "parted": (Cause("op", 0, ""), ("", "no"), 1),
    "not to the end": (None, ("", "no"), 2),
}


@pytest.mark.parametrize(("cause", "failures", "status"), STATUS.values(), ids=STATUS)
def test_exit_status(cause: Cause | None, failures: tuple[str, ...], status: int) -> None:
    found = Verification("a", cause, 1, {"step": 1}, Growth(), failures=failures)
    assert found.status == status
    assert found.identical == (status == 0)
    assert found.to_text()
    assert found._repr_html_()


@pytest.mark.parametrize("logarithmic", [False, True])
@pytest.mark.parametrize(
    "points", [[], [(0, 1.0)], [(0, 1.0), (1, 1.0)], [(0, 0.0), (1, math.nan), (2, math.inf), (3, 1e-30)]]
)
def test_any_curve_can_be_drawn(points: list[tuple[float, float]], logarithmic: bool) -> None:
    drawn = plot("a & b", "step", [("one", points)], logarithmic)
    assert "nan" not in drawn
    assert "inf" not in drawn
    assert not drawn or ElementTree.fromstring(drawn).tag.endswith("svg")
