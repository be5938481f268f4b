"""The shape of the house: which room may import which, what loads lazily, and what stands in one place only."""

from __future__ import annotations

import ast
import gc
import re
import sys
from pathlib import Path

import pytest

import opscan
from opscan.cli.words import AMP_WORDS, TRACE_DEVICE_WORDS, VERDICT_WORDS
from opscan.cold import uncollected
from opscan.environment import AMPS
from opscan.report.report import ALL_VERDICTS
from opscan.rules.schema import DEVICES
from opscan.scan import TRACE_DEVICES
from tests.conftest import run_process

ROOT = Path(opscan.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
ROOMS = [
    {"errors", "blame", "cold", "progress", "formats", "writing"},
    {"rules", "isolation", "traced_for"},
    {"replacements"},
    {"patterns", "environment", "finding", "waiver", "config"},
    {"audit", "settings", "lint"},
    {"target", "trace", "distributed"},
    {"solving"},
    {"steps"},
    {"distinct", "cost"},
    {"arguments"},
    {"judge"},
    {"match", "observe"},
    {"remedies"},
    {"report"},
    {"spread"},
    {"accepted", "diffs"},
    {"reporting"},
    {"scan", "cases", "together"},
    {"calibrate", "sweeps", "verifying"},
    {"files", "surgery"},
    {"fixing"},
    {"cli"},
    {"examples"},
]
"""Lower rooms first: a file imports from its own room's level or below."""


def room_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


def imports_of(path: Path) -> set[str]:
    """opscan modules imported when the file is imported; what functions and type checkers import is not counted."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("opscan"):
            named = {f"{node.module}.{alias.name}" for alias in node.names} & MODULES
            found |= named or ({node.module} if node.module != "opscan" else set())
    return found


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path) for path in FILES}


@pytest.mark.parametrize("path", FILES, ids=module_name)
def test_imports_point_one_way(path: Path) -> None:
    level = {room: height for height, rooms in enumerate(ROOMS) for room in rooms}
    own = level.get(room_of(module_name(path)), len(ROOMS))
    for imported in imports_of(path):
        assert level[room_of(imported)] <= own, f"{module_name(path)} imports {imported}"


def test_no_import_cycles() -> None:
    graph = {module_name(path): imports_of(path) for path in FILES}
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail, name))
        if name not in done:
            for each in graph.get(name, ()):
                visit(each, (*trail, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize(
    ("imported", "unwanted"),
    [
        ("opscan", {"torch", "pandas", "tabulate", "numpy"}),
        ("opscan.cli", {"torch", "pandas", "tabulate", "numpy"}),
        ("opscan.cli.check, opscan.cli.lint, opscan.cold", {"torch", "pandas", "tabulate", "numpy"}),
        ("opscan.isolation.client, opscan.isolation.server", {"torch", "numpy", "multiprocessing"}),
        (
            "opscan.cli.check, opscan.cli.fix, opscan.report.carried, opscan.report.formats, opscan.fixing.plan",
            {"torch"},
        ),
        ("opscan.sweeps.run", {"torch", "pandas", "joblib"}),
        ("opscan.rules.load", {"torch", "pandas", "numpy"}),
        ("opscan.scan", {"pandas", "torch._dynamo"}),
    ],
)
def test_what_is_not_needed_is_not_loaded(imported: str, unwanted: set[str], tmp_path: Path) -> None:
    code = f"import sys, {imported}; print(sorted({unwanted!r} & set(sys.modules)))"
    assert run_process(sys.executable, "-c", code, cwd=tmp_path).out.strip() == "[]"


def test_the_collector_rests_while_torch_is_loaded_and_not_after() -> None:
    with uncollected():
        assert not gc.isenabled()
    try:
        assert gc.isenabled()
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()


def test_a_scan_of_a_small_model_loads_neither_pandas_nor_dynamo(tmp_path: Path) -> None:
    code = (
        "import sys, opscan; opscan.check('opscan.examples.cnn:CNN_v2').to_text();"
        "print(sorted({'pandas', 'torch._dynamo', 'torch._inductor'} & set(sys.modules)))"
    )
    assert run_process(sys.executable, "-c", code, cwd=tmp_path).out.strip() == "[]"


def test_the_words_the_command_line_repeats_are_the_ones_of_the_schema() -> None:
    assert VERDICT_WORDS == ALL_VERDICTS
    assert AMP_WORDS == AMPS
    assert TRACE_DEVICE_WORDS == TRACE_DEVICES
    source = (ROOT / "cli" / "words.py").read_text()
    assert re.search(r'DEVICE_WORDS = \("auto", ([^)]*)\)', source)[1] == ", ".join(f'"{each}"' for each in DEVICES)


def test_only_rules_name_nondeterministic_ops() -> None:
    named = re.compile(r"aten[.:]+(replication|reflection|index_add|scatter|grid_sampler|upsample|nll_loss|put_)")
    elsewhere = [path for path in FILES if "replacements" not in path.parts]  # which call the ops they stand for
    assert [str(path) for path in elsewhere if named.search(path.read_text(encoding="utf-8"))] == []
