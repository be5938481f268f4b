"""docs/replacements.md is what the table and the drop-ins say, and leaves no drop-in and no rule out."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

from opscan.rules.dropins import load_dropins
from tests.audit.stored import stored_builds

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "replacements.py"


def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("benchmark_of_replacements", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_written_from_the_table() -> None:
    made = benchmark()
    rows = made.read_rows()
    assert [row["name"] for row in rows] == list(load_dropins().by_name)
    assert made.PAGE.read_text(encoding="utf-8") == made.page(rows)


def test_every_rule_has_a_drop_in_or_a_reason() -> None:
    dropins = load_dropins()
    lacking = [rule.id for rule in benchmark().concerned() if not dropins.answering(rule.id)]
    assert lacking == [rule for rule in lacking if dropins.without.get(rule)]


def test_every_alert_that_pytorch_has_is_on_the_page() -> None:
    page = benchmark().PAGE.read_text(encoding="utf-8")
    alerts = {alert for build in stored_builds() for alert in build.names("alert")}
    assert len(alerts) > 40
    assert {alert for alert in alerts if alert not in page} == set()


def test_what_costs_more_than_three_times_the_original_says_so() -> None:
    slow = {row["name"]: float(row["cpu_ratio"]) for row in benchmark().read_rows() if float(row["cpu_ratio"]) > 3}
    assert {name for name in slow if "times" not in load_dropins().by_name[name].cost} == set()
