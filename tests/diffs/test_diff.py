"""`opscan diff` and --baseline: what counts as the same finding, what as a new one, and what cannot be read."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from opscan.accepted.baseline import with_known
from opscan.diffs.compare import compare
from opscan.diffs.groups import groups_of
from opscan.diffs.read import ReadReport, read_document
from opscan.diffs.render import render_json, render_markdown, render_text
from opscan.distributed.ranks import World
from opscan.finding import Finding, Line, Place, Waived
from opscan.report.document import render_json as render_report
from opscan.report.report import Report
from tests.conftest import CNN_SOURCE, Outcome, run_process
from tests.report.sample import CLEAN, CONV, CUMSUM, FULL, PAD
from tests.report.test_report import GOLDEN, VERSION

Run = Callable[..., Outcome]
SOURCE = """\
def forward(self, x):
    x = torch.cumsum(x, 0)
    x = torch.cumsum(x, 0)
    return torch.cumsum(x, dim=1)
"""


def read(tmp_path: Path, *reports: Report) -> list[ReadReport]:
    path = tmp_path / "document.json"
    path.write_text(render_report(reports))
    return read_document(str(path))


def with_findings(*findings: Finding, target: str = "net.model:Net") -> Report:
    return replace(FULL, target=target, findings=findings, unknown={})


def kinds(old: list[ReadReport], new: list[ReadReport]) -> list[tuple[str, str, bool]]:
    return [(each.kind, each.place.module, each.adds) for diff in compare(old, new) for each in diff.changes]


def called(*lines: tuple[str, int]) -> Finding:
    return replace(CUMSUM, places=tuple(Place("", None, Line(*line), 1) for line in lines))


def test_lines_that_move_and_files_that_are_renamed_change_nothing(tmp_path: Path) -> None:
    """Three calls in one module, two of them alike, in a temporary file that has another name in the next run."""
    old, new = (tmp_path / name / "net.py" for name in ("tmp1", "tmp2"))
    for path, head in ((old, ""), (new, "import torch\n\n\n")):
        path.parent.mkdir()
        path.write_text(head + SOURCE)
    before = with_findings(called(*((str(old), line) for line in (2, 3, 4))), target=f"{old}:Net")
    after = with_findings(called(*((str(new), line) for line in (5, 6, 7))), target=f"{new}:Net")
    assert kinds(read(tmp_path, before), read(tmp_path, after)) == []
    one_less = with_findings(called((str(new), 5), (str(new), 7)), target=f"{new}:Net")
    assert [each[0] for each in kinds(read(tmp_path, before), read(tmp_path, one_less))] == ["removed"]
    assert [each[::2] for each in kinds(read(tmp_path, one_less), read(tmp_path, before))] == [("added", True)]


def test_a_line_that_is_rewritten_is_the_same_finding_and_one_beside_it_is_new(tmp_path: Path) -> None:
    path = tmp_path / "net.py"
    path.write_text(SOURCE)
    before = read(tmp_path, with_findings(called((str(path), 4))))
    written = tmp_path / "written.py"
    written.write_text(SOURCE.replace("dim=1", "dim=-1"))
    assert kinds(before, read(tmp_path, with_findings(called((str(written), 4))))) == []
    both = read(tmp_path, with_findings(called((str(written), 2), (str(written), 4))))
    assert [each[0] for each in kinds(before, both)] == ["added"]


def test_what_is_added_removed_and_judged_otherwise(tmp_path: Path) -> None:
    moved = replace(PAD, places=(*PAD.places[1:], Place("tail", None, None, 1)))
    old, new = (
        with_findings(PAD, CONV),
        with_findings(moved, replace(CONV, verdict="silent", default="nondeterministic")),
    )
    found = kinds(read(tmp_path, old), read(tmp_path, new))
    assert found == [("added", "tail", True), ("changed", "stem", True), ("removed", "layers.0.pad", False)]


@pytest.mark.parametrize(
    ("before", "after", "adds"),
    [
        pytest.param(None, CONV, False, id="a setting decides: nothing to add"),
        pytest.param(None, replace(CUMSUM, waived=Waived("x", None, 1)), False, id="waived"),
        pytest.param(replace(CUMSUM, waived=Waived("x", None, 1)), CUMSUM, True, id="no longer waived"),
        pytest.param(CUMSUM, replace(CUMSUM, verdict="raises"), False, id="it varied before"),
        pytest.param(replace(CUMSUM, bits="cannot vary"), CUMSUM, True, id="it could not vary before"),
        pytest.param(CUMSUM, None, False, id="gone"),
    ],
)
def test_what_adds(tmp_path: Path, before: Finding | None, after: Finding | None, adds: bool) -> None:
    old, new = (read(tmp_path, with_findings(*([each] if each else []))) for each in (before, after))
    assert [each[2] for each in kinds(old, new)] == [adds]
    known = with_known(with_findings(*([after] if after else [])), old)
    assert known.fails(("raises", "silent", "config")) is (adds or (before is None and after is CONV))


def of_world(size: int | None, *ranks: int) -> Report:
    world = None if size is None else World(size, True, ())
    return replace(with_findings(replace(CUMSUM, ranks=ranks or None)), world=world)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        pytest.param(of_world(4, 2), of_world(4, 2), [], id="the same"),
        pytest.param(of_world(4, 2), of_world(4), ["ranks: 2, now all"], id="on all ranks now"),
        pytest.param(of_world(4, 2), of_world(4, 1, 2), ["ranks: 2, now 1, 2"], id="on one more"),
        pytest.param(of_world(4, 2), of_world(8, 2), [], id="ranks of another world are others"),
        pytest.param(of_world(None), of_world(4, 2), [], id="a single process has no ranks"),
    ],
)
def test_other_ranks_are_a_change_that_adds_nothing(
    tmp_path: Path, before: Report, after: Report, said: list[str]
) -> None:
    (diff,) = compare(read(tmp_path, before), read(tmp_path, after))
    assert [group.says for group in groups_of(diff.changes)] == said
    assert not any(change.adds for change in diff.changes)
    assert ("now for" in render_text([diff])) is (before.world != after.world)


def test_targets_are_paired_by_name_then_by_class_then_what_is_left(tmp_path: Path) -> None:
    old = read(tmp_path, *(with_findings(target=each) for each in ("a:Net", "b:Old", "c:Gone", "d:Left")))
    new = read(tmp_path, *(with_findings(target=each) for each in ("d:Left", "x:Old", "a:Net", "e:Fresh")))
    pairs = [(each.old and each.old.target, each.new and each.new.target) for each in compare(old, new)]
    assert pairs == [("d:Left", "d:Left"), ("b:Old", "x:Old"), ("a:Net", "a:Net"), ("c:Gone", "e:Fresh")]


def test_a_change_with_nothing_in_common_is_two_targets(tmp_path: Path) -> None:
    old = read(tmp_path, *(with_findings(CUMSUM, target=each) for each in ("a:One", "b:Two")))
    diffs = compare(old, read(tmp_path, with_findings(CUMSUM, target="c:Three")))
    assert [(each.target, len(each.changes)) for each in diffs] == [("c:Three", 1), ("a:One", 1), ("b:Two", 1)]


OLD = (with_findings(PAD, CONV), CLEAN)
NEW = (
    replace(
        with_findings(
            replace(PAD, verdict="switches", strict="deterministic"),
            replace(CUMSUM, places=(Place("a|b\x1b[31m`c`\n<i>@all</i>", None, Line("/home/me/net/model.py", 19), 1),)),
        ),
        environment=CLEAN.environment,
        unknown={"lib.<b>|op.default": 1},
    ),
    with_findings(CUMSUM, target="net.model:Fresh"),
)


@pytest.mark.parametrize("format", ["txt", "json", "md"])
def test_rendering_is_as_agreed(format: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    diffs = compare(read(tmp_path, *OLD), read(tmp_path, *NEW))
    text = {"txt": render_text, "json": render_json, "md": render_markdown}[format](diffs)
    text = VERSION.sub('"opscan": "VERSION"', text) + "\n"
    golden = GOLDEN / f"diff.{format}"
    if request.config.getoption("--renew"):
        golden.write_text(text, encoding="utf-8")
    assert text == golden.read_text(encoding="utf-8")


def test_places_of_one_kind_are_one_group(tmp_path: Path) -> None:
    (diff,) = compare([], read(tmp_path, with_findings(PAD)))
    (group,) = groups_of(diff.changes)
    assert group.modules == "layers.{0-11}.pad and 2 more"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(None, "cannot be read: No such file", id="no file"),
        pytest.param("{", "cannot be read: Expecting", id="no JSON"),
        pytest.param("[]", "no list `reports`", id="another document"),
        pytest.param('{"schema": 1, "targets": []}', "no list `reports`", id="a diff"),
        pytest.param('{"schema": "x", "reports": []}', "its schema is 'x'", id="no schema"),
        pytest.param('{"schema": 9, "opscan": "7.0", "reports": []}', "schema 9, written by opscan 7.0", id="newer"),
        pytest.param('{"schema": 1, "reports": [{}]}', "reports[0]: `target` is missing", id="no target"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_place(
    opscan: Run, tmp_path: Path, content: str | None, said: str
) -> None:
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(render_report([CLEAN]))
    if content is not None:
        bad.write_text(content)
    for words in (("diff", str(good), str(bad)), ("check", "mymodel:CNN_v2", "--baseline", str(bad))):
        outcome = opscan(*words)
        assert (outcome.status, outcome.out) == (2, "")
        assert said in outcome.err
        assert str(bad) in outcome.err
        assert "opscan check ... --format json" in outcome.err


def test_a_place_that_is_broken_is_named(tmp_path: Path, opscan: Run) -> None:
    document = json.loads(render_report([FULL]))
    del document["reports"][0]["findings"][2]["places"][0]["fingerprint"]
    (tmp_path / "bad.json").write_text(json.dumps(document))
    outcome = opscan("diff", str(tmp_path / "bad.json"), str(tmp_path / "bad.json"))
    assert outcome.status == 2
    assert "bad.json reports[0].findings[2].places[0]: `fingerprint` is missing or no str" in outcome.err


def test_a_baseline_hides_what_is_known_and_fails_on_the_rest(opscan: Run, workplace: Path) -> None:
    wrote = opscan("check", "mymodel.py:CNN_v2", "--write-baseline", "known.json")
    assert (wrote.status, wrote.out) == (0, "")
    assert str(workplace) not in (workplace / "known.json").read_text()
    (workplace / "mymodel.py").write_text("# A line more.\n" + CNN_SOURCE)
    outcome = opscan("check", "mymodel.py:CNN_v2", "--baseline", "known.json")
    assert outcome.status == 0
    assert "known: 6 ops" in outcome.out
    assert "Of them 6 known from the baseline." in " ".join(outcome.out.split())
    assert opscan("check-files", "mymodel.py", "--baseline", "known.json").status == 0
    (workplace / "mymodel.py").write_text(edged())
    words = ("check", "mymodel.py:CNN_v2", "--baseline", "known.json", "--format", "json")
    outcome = run_process(sys.executable, "-m", "opscan", *words, cwd=workplace)  # this one has imported the file
    pads = [each for each in outcome.report["findings"] if each["rule"] == "OPS102"]
    assert outcome.status == 1
    assert [each["modules"] for each in pads if not each["known"]] == [["edge"]]


def edged() -> str:
    """The CNN with one padding more, above the others: every line moves."""
    head = "        super(CNN_v2, self).__init__()\n"
    source = CNN_SOURCE.replace(head, f"{head}        self.edge = nn.ReplicationPad2d(1)\n")
    return source.replace("self.features(x)", "self.features(self.edge(x))")


def test_diff_from_end_to_end(opscan: Run, workplace: Path) -> None:
    """A change adds one padding above the others, and the file has another name."""
    (workplace / "old.json").write_text(opscan("check", "mymodel.py:CNN_v2", "--format", "json").out)
    assert opscan("diff", "old.json", "old.json").out.endswith("0 added, 0 removed, 0 judged otherwise.\n")
    (workplace / "new.py").write_text(edged())
    (workplace / "new.json").write_text(opscan("check", "new.py:CNN_v2", "--format", "json").out)
    outcome = opscan("diff", "old.json", "new.json")
    assert outcome.status == 1
    assert "where  edge" in outcome.out
    assert "1 added, 0 removed, 0 judged otherwise." in outcome.out
    assert opscan("diff", "new.json", "old.json").status == 0
