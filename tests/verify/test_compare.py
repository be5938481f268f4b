"""Streams of records compared: aligned by kind, in bounded memory, whatever is missing at the end of one."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opscan.errors import VerifyError
from opscan.verifying.cause import explain
from opscan.verifying.compare import Comparison
from opscan.verifying.growth import Growth
from opscan.verifying.stream import Writer, read_header, read_records
from opscan.verifying.watch.digests import read_samples, samples_of


def value(step: int, number: float, name: str = "loss") -> dict[str, Any]:
    return {"e": "value", "k": step, "name": name, "v": number, "source": "log", "at": ["a.py:1", ""]}


def draw(step: int, number: int, generator: str = "numpy") -> dict[str, Any]:
    return {"e": "draw", "k": step, "g": generator, "op": "rand", "n": 1, "d": number, "at": ["a.py:2", ""]}


def seed(number: int, generator: str = "numpy") -> dict[str, Any]:
    return {"e": "seed", "k": 0, "g": generator, "v": str(number), "at": ["a.py:3", ""]}


END = {"e": "end", "k": 0, "status": "ok", "what": ""}
CRASH = {"e": "end", "k": 0, "status": "error", "what": "no"}

SAME = {
    "equal": ([value(0, 1.0), END], [value(0, 1.0), END]),
    "not a number": ([value(0, math.nan), END], [value(0, math.nan), END]),
    "one crashed earlier": ([value(0, 1.0), value(1, 2.0), END], [value(0, 1.0), CRASH]),
    "one was killed": ([value(0, 1.0), value(1, 2.0), END], [value(0, 1.0)]),
    "other draws from which nothing follows": ([draw(0, 1), value(0, 1.0), END], [draw(0, 2), value(0, 1.0), END]),
    "kinds in another order": ([draw(0, 1), value(0, 1.0), END], [value(0, 1.0), draw(0, 1), END]),
}
PARTED = {
    "another value": ([value(0, 1.0), END], [value(0, 1.5), END], "value", 0),
    "a minus zero": ([value(0, 0.0), END], [value(0, -0.0), END], "value", 0),
    "a value more": ([value(0, 1.0), value(1, 2.0), END], [value(0, 1.0), END], "value", 1),
    "draws alone": ([draw(0, 1), END], [draw(0, 2), END], "random", 0),
    "a draw before a value": ([draw(3, 1), value(3, 1.0), END], [draw(3, 2), value(3, 2.0), END], "random", 3),
    "a draw of another step": ([draw(0, 1), value(3, 1.0), END], [draw(0, 2), value(3, 2.0), END], "value", 3),
}


@pytest.mark.parametrize(("one", "other"), SAME.values(), ids=SAME)
def test_what_does_not_part(one: list[Any], other: list[Any]) -> None:
    assert Comparison().run(one, other).first is None
    assert Comparison().run(other, one).first is None


@pytest.mark.parametrize(("one", "other", "kind", "step"), PARTED.values(), ids=PARTED)
def test_what_parts(one: list[Any], other: list[Any], kind: str, step: int) -> None:
    for pair in ((one, other), (other, one)):
        cause = explain(Comparison().run(*pair))
        assert cause is not None
        assert (cause.kind, cause.step) == (kind, step)


SEEDED = {
    "never": ([draw(0, 1)], [draw(0, 2)], "never"),
    "too late": ([draw(0, 1), seed(5)], [draw(0, 2), seed(5)], "only after that, at a.py:3"),
    "another generator": ([seed(5, "torch"), draw(0, 1)], [seed(5, "torch"), draw(0, 2)], "never"),
    "in both alike": ([seed(5), draw(0, 1)], [seed(5), draw(0, 2)], "at a.py:3 with 5, in both runs alike"),
}


@pytest.mark.parametrize(("one", "other", "words"), SEEDED.values(), ids=SEEDED)
def test_when_a_generator_was_seeded(one: list[Any], other: list[Any], words: str) -> None:
    cause = explain(Comparison().run([*one, value(0, 1.0), END], [*other, value(0, 2.0), END]))
    assert cause is not None
    assert dict(cause.lines)["seeded"] == words


def test_a_record_more_in_one_run_leaves_the_others_aligned() -> None:
    one = [record for k in range(100) for record in (draw(k, k), value(k, float(k)))]
    other = [draw(0, 77, "random"), *one[:50], draw(25, 78, "random"), *one[50:]]
    assert Comparison().run([*one, END], [*other, END]).first is None


def test_memory_is_that_of_how_far_the_runs_are_apart() -> None:
    comparison = Comparison()
    records = lambda: (record for k in range(20_000) for record in (draw(k, k), value(k, float(k))))  # noqa: E731
    found = comparison.run(records(), records())
    assert found.first is None
    assert sum(len(queue) for queues in comparison._queues for queue in queues.values()) == 0
    assert len(found.growth.rows) <= 2001


@given(st.lists(st.floats(0, 1), min_size=1, max_size=300), st.integers(1, 60))
def test_thinned_rows_keep_the_largest_difference(differences: list[float], most: int) -> None:
    growth = Growth()
    for step, difference in enumerate(differences):
        growth.add(value(step, 0.0), value(step, difference))
    full = [row.difference for row in growth.rows]
    assert full == differences
    while len(growth.rows) > most:
        growth._thin()
    assert max(row.difference or 0 for row in growth.rows) == max(differences)
    assert growth.rows[-1].step == len(differences) - 1


def test_a_file_that_was_cut_off_is_read_to_its_last_whole_line(tmp_path: Path) -> None:
    path = tmp_path / "run.opslog"
    writer = Writer(str(path), {"words": []})
    for step in range(3):
        writer.put(value(step, math.inf))
    writer.close()
    whole = path.read_bytes()
    assert read_header(path)["words"] == []
    assert len(list(read_records(path))) == 3
    path.write_bytes(whole[:-5])
    assert [each["k"] for each in read_records(path)] == [0, 1]


@pytest.mark.parametrize("text", ["", "no JSON", "[]", "{}", json.dumps({"opslog": 99})])
def test_what_is_no_record_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a").write_text(text)
    with pytest.raises(VerifyError):
        read_header(tmp_path / "a")


def test_samples_come_back() -> None:
    torch = pytest.importorskip("torch")
    back = read_samples(samples_of([torch.arange(16.0), torch.tensor([1.5]), None]))
    assert back[:8] == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0]
    assert back[8] == 1.5
    assert all(math.isnan(each) for each in back[9:])
