"""What was observed on real devices, shipped as data, does not contradict the rules as they are now."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from opscan.calibrate.judge import contradictions, judged_anew
from opscan.calibrate.rows import Record, read_record, write_record
from opscan.cases import read_cases
from opscan.rules.load import builtin_rules_dir, load_rules

FILES = sorted((builtin_rules_dir() / "observed").glob("*.json"))


def test_something_was_observed() -> None:
    assert FILES


def _telling(record: Record) -> Record:
    """Every row in which something was seen or predicted, and one in five of the others."""
    quiet = [name for name, row in record.rows.items() if not row.ops]
    left_out = {name for at, name in enumerate(quiet) if at % 5}
    return replace(record, rows={name: row for name, row in record.rows.items() if name not in left_out})


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_nothing_that_was_observed_contradicts_the_rules(path: Path) -> None:
    record = judged_anew(_telling(read_record(path)), read_cases(builtin_rules_dir()), load_rules())
    assert contradictions([record]) == ()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_is_as_it_would_be_written(path: Path, tmp_path: Path) -> None:
    record = read_record(path)
    assert path.name == record.setup.file_name
    write_record(record, tmp_path / path.name)
    assert (tmp_path / path.name).read_bytes() == path.read_bytes()
    assert "/home/" not in path.read_text(encoding="utf-8")
