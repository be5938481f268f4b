"""What is in the way of what opscan prints or writes: said in a sentence, with status 2, and nothing is lost by it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import CNN_SOURCE, Outcome, cnn_v3_source
from tests.faults.warm import Warm
from tests.sweep.sample import SWEEP

pytestmark = pytest.mark.skipif(not Path("/dev/full").exists(), reason="the faults are those of Linux")
OLD = "what was there before\n"
BENCHMARK = "import torch\n\ntorch.backends.cudnn.benchmark = True\n"
COMMANDS = {
    "a table": ("check", "mymodel.py:CNN_v2"),
    "fix": ("fix", "mymodel.py:CNN_v2"),
    "lint": ("lint", "."),
    "lint as SARIF": ("lint", ".", "--format", "sarif"),
    "lint --diff": ("lint", "mend.py", "--diff"),
    "rules": ("rules", "list"),
    "a sweep": ("sweep", "table.csv", "--format", "html"),
    "help": ("check", "--help"),
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a model, a file to lint and the table of a sweep."""
    (tmp_path / "mymodel.py").write_text(CNN_SOURCE)
    (tmp_path / "mymodel3.py").write_text(cnn_v3_source())
    (tmp_path / "mend.py").write_text(BENCHMARK)
    (tmp_path / "table.csv").write_text(SWEEP.to_csv())
    return tmp_path


@pytest.mark.parametrize("name", COMMANDS)
def test_a_stdout_that_is_full_is_told_and_one_that_nobody_reads_is_not(warm: Warm, place: Path, name: str) -> None:
    full = warm.run(*COMMANDS[name], folder=place, stdout="full")
    assert (full.status, full.left) == (2, 0)
    told = "opscan: standard output: cannot be written: No space left on device\n  What was found is not shown"
    assert told in full.err
    assert "internal error" not in full.err
    left = warm.run(*COMMANDS[name], folder=place, stdout="left early")
    assert left.status == 141
    assert "Traceback" not in left.err
    assert "opscan: standard output" not in left.err


@pytest.mark.parametrize("name", ["lint", "help"])
def test_closed_streams(warm: Warm, place: Path, name: str) -> None:
    closed = warm.run(*COMMANDS[name], folder=place, stdout="closed")
    assert closed.status == 2
    assert "opscan: standard output: cannot be written: it is closed" in closed.err
    plain = warm.run(*COMMANDS[name], folder=place)
    for stderr in ("closed", "full", "left early"):
        deaf = warm.run(*COMMANDS[name], folder=place, stderr=stderr)
        assert (deaf.status, deaf.out) == (plain.status, plain.out)
    assert warm.run(*COMMANDS[name], folder=place, stdout="closed", stderr="closed").status == 2


def test_a_file_is_not_written_into_by_what_is_printed_to_a_closed_stream(warm: Warm, place: Path) -> None:
    ended = warm.run("check", "mymodel.py:CNN_v2", "-o", "out.json", folder=place, stdout="closed", stderr="closed")
    assert ended.status == 2
    assert json.loads((place / "out.json").read_text())["reports"]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_text_is_shown_in_any_encoding_and_documents_are_utf8(warm: Warm, place: Path, encoding: str) -> None:
    source = CNN_SOURCE.replace("CNN_v2", "Réseau_層").replace("conv1", "conv_層")
    (place / "net.py").write_text(source, encoding="utf-8")
    text = warm.run("check", "net.py:Réseau_層", folder=place, encoding=encoding)
    assert text.status == 1
    assert "conv_\\u5c64" in text.out.decode(encoding)
    document = warm.run("check", "net.py:Réseau_層", "--format", "json", folder=place, encoding=encoding)
    assert json.loads(document.out.decode("utf-8"))["reports"][0]["target"] == "net.py:Réseau_層"


def test_a_files_name_may_be_any_bytes(warm: Warm, place: Path) -> None:
    name = os.fsdecode(b"n\xff\x1b[31m\n.py")
    (place / name).write_text(BENCHMARK)
    for format in ("text", "json", "sarif", "github"):
        ended = warm.run("lint", name, "--format", format, folder=place)
        assert ended.status == 1, ended.err
        shown = ended.out.decode("utf-8") + ended.err
        assert "\x1b" not in shown
        assert ended.out.count(b"\n::") == 0
    (place / name).write_text(CNN_SOURCE)
    for format in ("table", "json", "sarif", "html"):
        ended = warm.run("check", f"{name}:CNN_v2", "--format", format, folder=place)
        assert ended.status == 1, ended.err
        assert "\x1b" not in ended.out.decode("utf-8") + ended.err


@pytest.mark.parametrize("words", [("check", "no.such:Target"), ("verify", "none.py"), ("sweep", "no_such_package")])
@pytest.mark.parametrize(("file", "said"), [("no/a.json", "make it first"), ("there.json", "A folder has that name")])
def test_what_cannot_be_written_is_said_before_anything_is_looked_at(
    opscan: Callable[..., Outcome], workplace: Path, words: tuple[str, ...], file: str, said: str
) -> None:
    (workplace / "there.json").mkdir()
    outcome = opscan(*words, "-o", file)
    assert (outcome.status, outcome.out) == (2, "")
    assert said in outcome.err
    assert words[1] not in outcome.err


def test_a_disk_that_is_full_at_the_end_costs_the_file_alone(warm: Warm, place: Path) -> None:
    (place / "out.json").write_text(OLD)
    for option in ("-o", "--write-baseline"):
        ended = warm.run("check", "mymodel.py:CNN_v2", option, "out.json", folder=place, largest=2000)
        assert ended.status == 2
        assert "out.json: cannot be written: File too large\n  Make room there" in ended.err
        assert "What was there before is unchanged" in ended.err
        assert (place / "out.json").read_text() == OLD
        assert ended.out.startswith(b"mymodel.py:CNN_v2: 6 of 97 ops" if option == "-o" else b"")
    assert not list(place.glob(".opscan-*"))


def test_a_disk_that_is_full_at_the_second_file_leaves_that_one(warm: Warm, place: Path) -> None:
    tail = "".join(f"# {number:070}\n" for number in range(100))
    (place / "large.py").write_text(CNN_SOURCE.replace("CNN_v2", "Large") + tail)
    ended = warm.run("fix", "mymodel.py", "large.py", "--write", folder=place, largest=5000)
    assert ended.status == 2
    assert b"mymodel.py: written" in ended.out
    assert "large.py: cannot be written: File too large" in ended.err
    assert "replacements.Conv2d" in (place / "mymodel.py").read_text()
    assert (place / "large.py").read_text() == CNN_SOURCE.replace("CNN_v2", "Large") + tail
    (place / "b.html").write_text(OLD)
    ended = warm.run("sweep", "table.csv", "-o", "a.txt", "-o", "b.html", folder=place, largest=1200)
    assert (ended.status, (place / "b.html").read_text()) == (2, OLD)
    assert "strict mode raises" in (place / "a.txt").read_text()
    assert not list(place.glob(".opscan-*"))
