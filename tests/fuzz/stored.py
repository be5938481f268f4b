"""Every kind of file that opscan reads back: a sound one, how it is damaged, and what reads it and works on it."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import torch

import opscan
from opscan.accepted.baseline import with_known
from opscan.accepted.waive import stale_waivers, waive
from opscan.audit.claims import read_claims
from opscan.calibrate.rows import read_record, seen_of_rule
from opscan.cases import read_cases
from opscan.config import find_config
from opscan.diffs.compare import compare
from opscan.diffs.read import read_document
from opscan.diffs.render import render_json, render_markdown, render_text
from opscan.environment import make_environment
from opscan.lint.settings import find_lint_config
from opscan.match import match
from opscan.report.paint import Paint
from opscan.report.report import Report
from opscan.rules.dropins import read_dropins
from opscan.rules.load import builtin_rules_dir, make_ruleset, read_rules
from opscan.settings.load import read_settings
from opscan.sweeps.columns import read_csv, render_csv
from opscan.sweeps.columns import render_json as render_json_of_sweep
from opscan.sweeps.journal import Journal
from opscan.sweeps.row import Row, most_frequent
from opscan.sweeps.table import Setting, Sweep
from opscan.verifying.verify import compare_files
from tests.fuzz.corruption import damaged, damaged_json, damaged_json_line, damaged_toml

RULES = builtin_rules_dir()
CONFIG = b"""\
[project]
name = "mine"

[tool.opscan]
rules = []

[tool.opscan.inputs]
"mymodel:Net" = ["2x3x32x32"]
"src/*.py:*" = "mymodel:make_batch"

[tool.opscan.targets]
"src/net.py" = ["Net(num_classes=10)"]
"tests/*" = []

[[tool.opscan.waive]]
rule = "OPS10*"
target = "*"
reason = "The pad is frozen."
until = 2027-03-31

[[tool.opscan.waive]]
op = "aten.cumsum*"
file = "src/net.py:12"
module = "encoder.*"
reason = "Known."

[tool.opscan.lint]
select = ["OPL1"]
ignore = ["OPL406"]
level = "warning"
torch = "2.10"
exclude = ["third_party"]
per-file-ignores = { "tests/*" = ["OPL2"] }

[[tool.opscan.rule]]
id = "MINE001"
title = "a row"
phase = "forward"
ops = ["aten.erf.default"]
when = ["ndim(self) == 2"]
mechanism = "Threads add in any order."
[[tool.opscan.rule.history]]
device = ["cuda"]
torch = ">=2.2,<2.8"
default = "nondeterministic"
strict = "raises"
alert = "erf_cuda"
why = "It adds."
[[tool.opscan.rule.evidence]]
kind = "test"
ref = "this"
"""


@dataclass(frozen=True)
class Stored:
    """One kind of file. `use` reads it as opscan does, and does with it what opscan does.

    `is_discovered` is whether opscan finds it by its name in a folder, and `may_be_missing` whether it goes on without.
    """

    name: str
    sound: Callable[[], bytes]
    damage: Callable[[bytes, Random], bytes]
    use: Callable[[Path], Any]
    is_discovered: bool = False
    may_be_missing: bool = False


RULE = CONFIG[CONFIG.index(b"[[tool.opscan.rule]]") :].decode().replace("tool.opscan.", "")


def stored(name: str) -> Stored:
    """The kind of this name."""
    return next(kind for kind in KINDS if kind.name == name)


@functools.cache
def report() -> Report:
    """A small report with findings, judged once."""
    return opscan.check("opscan.examples.cnn:CNN_v2", (torch.rand(2, 3, 32, 32, device="meta"),), torch_version="1.8.1")


@functools.cache
def _document() -> bytes:
    return opscan.report.document.render_json([report()]).encode()


def _shipped(name: str) -> Callable[[], bytes]:
    return functools.cache((RULES / name).read_bytes)


@functools.cache
def _trace() -> Any:
    from opscan.trace.driver import trace_target

    return trace_target(lambda x: torch.nn.functional.nll_loss(x.erf(), torch.tensor([0, 1])), (torch.rand(2, 3),), {})


def _use_rules(path: Path) -> None:
    match(_trace(), make_ruleset(read_rules(path)), make_environment("cuda", "2.7"))


def _use_config(path: Path) -> None:
    config = find_config(path.parent)
    config.ruleset()
    for each in config.inputs:
        each.fits("mymodel:Net")
    for each in config.targets:
        each.fits(Path("src/net.py"))
        each.targets_for("src/net.py")
    list(stale_waivers(config.waivers, [waive(report(), config.waivers, date(2027, 1, 1))], date(2027, 1, 1), True))


def _use_document(path: Path) -> None:
    sound = path.with_name("sound.json")
    sound.write_bytes(_document())
    old, new = read_document(str(sound)), read_document(str(path))
    for diffs in (compare(old, new), compare(new, old)):
        render_text(diffs, 80, (), Paint(False)).encode()
        render_json(diffs).encode()
        render_markdown(diffs).encode()
    with_known(report(), new)


def _use_journal(path: Path) -> None:
    journal = Journal(path, lambda target: {"code": target})
    most_frequent(journal.done.values())
    [row.ways for row in journal.done.values()]
    assert all(isinstance(row.target, str) for row in journal.done.values())


ROWS = (
    Row("m:A", "m", "traced", "repeats", False, 10, 3, 4, {"raises": 2}, {"raises": {"put_": 2}}, True, "", 0.1, 5),
    Row("m:B", reason="it could not be imported"),
)


def _journal() -> bytes:
    return b"".join(json.dumps({"key": {"code": r.target}, "row": r.document()}).encode() + b"\n" for r in ROWS)


def _table() -> bytes:
    return render_csv(Sweep(Setting("m", "cuda", "train", "0.1"), ROWS, ())).encode()


def _use_observed(path: Path) -> None:
    record = read_record(path)
    assert str(record.setup)
    assert record.setup.file_name
    assert record.wrong is not None
    seen_of_rule("OPS102", [record])
    for row in record.rows.values():
        assert row.key is not None
        assert row.rules is not None


@functools.cache
def _observed() -> bytes:
    content = json.loads(next((RULES / "observed").glob("*.json")).read_bytes())
    kept = [row for row in content["rows"] if any(op.get("alert") for op in row["ops"])][:2]
    return json.dumps({**content, "rows": kept + content["rows"][:2] + content["rows"][-2:]}).encode()


@functools.cache
def logs() -> tuple[bytes, bytes]:
    """The records of two runs that part: with draws, weights, batches, ops, values and steps in them."""
    import tempfile

    from opscan.verifying.options import Options
    from opscan.verifying.runs import Function

    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder, f"{name}.opslog") for name in "ab"]
        for seed, path in enumerate(paths):
            Function(functools.partial(_training, seed)).record(path, Options(every=1))
        return paths[0].read_bytes(), paths[1].read_bytes()


def _training(seed: int) -> float:
    torch.manual_seed(seed)
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    data = torch.utils.data.TensorDataset(torch.rand(4, 3))
    for (batch,) in torch.utils.data.DataLoader(data, batch_size=2, shuffle=True):
        optimizer.zero_grad()
        loss = model(batch).sum()
        loss.backward()
        optimizer.step()
        opscan.log("loss", loss.item())
    return loss.item()


def _use_log(path: Path) -> None:
    from opscan.verifying.text import render_text as render_verification

    for at, other in enumerate(logs()):
        sound = path.with_name(f"sound{at}.opslog")
        sound.write_bytes(other)
        for pair in ((sound, path), (path, sound)):
            render_verification(compare_files(*pair)).encode()


def _use_cases(path: Path) -> None:
    list(read_cases(path.parent))


def _use_settings(path: Path) -> None:
    list(read_settings(path))


KINDS = [
    Stored("rules.toml", _shipped("losses.toml"), damaged_toml, _use_rules, True),
    Stored(
        "x.cases.toml", _shipped("embedding.cases.toml"), damaged_toml, lambda path: [*read_cases(path.parent)], True
    ),
    Stored("x.dropins.toml", _shipped("losses.dropins.toml"), damaged_toml, read_dropins, True),
    Stored(
        "x.settings.toml", _shipped("precision.settings.toml"), damaged_toml, lambda path: [*read_settings(path)], True
    ),
    Stored("x.signs.toml", _shipped("alerts.signs.toml"), damaged_toml, lambda path: [*read_claims(path)], True),
    Stored("pyproject.toml", lambda: CONFIG, damaged_toml, _use_config, True),
    Stored("lint/pyproject.toml", lambda: CONFIG, damaged_toml, lambda path: find_lint_config(str(path.parent)), True),
    Stored("report.json", _document, damaged_json, _use_document),
    Stored("observed.json", _observed, damaged_json, _use_observed, True),
    Stored("sweep.rows", _journal, damaged_json_line, _use_journal, may_be_missing=True),
    Stored("sweep.csv", _table, damaged, lambda path: render_json_of_sweep(read_csv(path)).encode()),
    Stored("run.opslog", lambda: logs()[0], damaged_json_line, _use_log),
]
