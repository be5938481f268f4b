"""Whatever happens to a file that opscan reads back: an OpscanError that helps, or a value; never anything else."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opscan.errors import OpscanError
from tests.fuzz.bounded import value_or_error
from tests.fuzz.effort import effort
from tests.fuzz.stored import KINDS, RULE, Stored, stored

DISCOVERED = [kind for kind in KINDS if kind.is_discovered]
PUT_IN_PLACE: dict[str, Callable[[Path], object]] = {
    "a folder": lambda path: path.mkdir(),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a link to nothing": lambda path: path.symlink_to("nowhere"),
}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_damaged(kind: Stored, tmp_path: Path) -> None:
    path = tmp_path / kind.name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(kind.sound())
    assert not isinstance(value_or_error(lambda: kind.use(path)), OpscanError)

    @effort(30)
    @given(st.integers(0, 2**64))
    def holds(seed: int) -> None:
        path.write_bytes(kind.damage(kind.sound(), Random(seed)))
        value_or_error(lambda: kind.use(path))

    holds()


@pytest.mark.parametrize("what", PUT_IN_PLACE)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_something_else_in_its_place(kind: Stored, what: str, tmp_path: Path) -> None:
    path = tmp_path / kind.name
    path.parent.mkdir(exist_ok=True)
    PUT_IN_PLACE[what](path)
    outcome = value_or_error(lambda: kind.use(path))
    assert isinstance(outcome, OpscanError) or kind.may_be_missing


@pytest.mark.skipif(os.name != "posix", reason="named pipes are POSIX")
@pytest.mark.parametrize("kind", DISCOVERED, ids=lambda kind: kind.name)
def test_nobody_waits_for_a_pipe_that_was_not_named(kind: Stored, tmp_path: Path) -> None:
    path = tmp_path / kind.name
    path.parent.mkdir(exist_ok=True)
    os.mkfifo(path)
    assert isinstance(value_or_error(lambda: kind.use(path)), OpscanError)


CONFIG_HEAD = '[[tool.opscan.waive]]\nrule = "OPS101"\nreason = "x"\n'


@pytest.mark.parametrize(("name", "text", "says"), [
    pytest.param("pyproject.toml", "[tool]\nopscan = 3", "no table", id="a table that is none"),
    pytest.param("pyproject.toml", f'{CONFIG_HEAD}file = "a.py:²"', None, id="a line number that int() does not read"),
    pytest.param("pyproject.toml", f"{CONFIG_HEAD}target = {'[' * 3000}{']' * 3000}", "deep", id="nested lists"),
    pytest.param("pyproject.toml", f"[tool.opscan]\nx = {'1' * 5000}", "4300 digits", id="a number of 5,000 digits"),
    pytest.param("lint/pyproject.toml", f'[tool.opscan.lint]\ntorch = "{"1" * 5000}.1"', "torch", id="a long version"),
    pytest.param("rules.toml", RULE.replace("ndim(self) == 2", "9**9**9**9 == 1"), "up to 64", id="a power for hours"),
    pytest.param("rules.toml", RULE.replace("ndim(self) == 2", "numel('a' * 10 ** 9)"), "numbers", id="a text of 1 GB"),
    pytest.param("rules.toml", RULE.replace("ndim(self) == 2", "-" * 900 + "1"), None, id="many signs"),
    pytest.param("rules.toml", RULE.replace("ndim(self) == 2", "-" * 9000 + "1"), "9001 characters", id="more signs"),
    pytest.param("rules.toml", RULE.replace("ndim(self) == 2", "\\u0000"), "null", id="a null byte in a condition"),
    pytest.param("report.json", '{"schema": true, "reports": []}', "True", id="true is no schema"),
    pytest.param("report.json", f'{{"schema": {"1" * 5000}, "reports": []}}', "4300", id="a schema of 5,000 digits"),
    pytest.param("report.json", '"reports', "cannot be read", id="no JSON"),
    pytest.param("observed.json", '{"schema": 1, "device": "a", "kind": "cpu", "torch": "2", "rows": 1}', "rows is 1"),
    pytest.param("run.opslog", '{"opslog": 1}\n{"e": "ops", "k": 0, "ops": [[0, 1, 2]]}\n', "lacks", id="a lost site"),
    pytest.param("run.opslog", '{"opslog": 1}\n{"e": "value", "k": 0}\n', "lacks", id="a value without a name"),
    pytest.param("run.opslog", '{"opslog": 1}\n{"e": "step", "k": 0, "ep": "1"}\n', "epoch", id="an epoch in words"),
])  # fmt: skip
def test_found_once(name: str, text: str, says: str | None, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    outcome = value_or_error(lambda: stored(name).use(path))
    assert isinstance(outcome, OpscanError) or says is None
    assert says is None or says in str(outcome)


def test_a_verdict_that_is_none_is_not_taken_for_one_that_does_not_count(tmp_path: Path) -> None:
    kind = stored("report.json")
    path = tmp_path / "report.json"
    path.write_bytes(kind.sound().replace(b'"verdict": "raises"', b'"verdict": "rises"', 1))
    assert "'rises', which means nothing" in str(value_or_error(lambda: kind.use(path)))
