"""Files that cannot be linted get a line each, and the rest is linted all the same."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opscan.lint.discover import find_files
from opscan.lint.engine import Options, lint_source
from opscan.lint.finding import Problem
from opscan.lint.run import lint_file
from opscan.lint.source import characters, split_lines
from tests.lint.run import SHOWN, findings_of

OPTIONS = Options(SHOWN)
BAD = "import torch\ntorch.use_deterministic_algorithms()\n"
BODY = b"\nimport torch\ntorch.use_deterministic_algorithms()\n"


def problem_of(data: bytes, file: str = "x.py") -> str:
    result = lint_source(data, file, OPTIONS)
    assert result.problem is not None
    assert result.findings == ()
    return str(result.problem)


@pytest.mark.parametrize(("data", "said"), [
    pytest.param(BODY + b"def (\n", "x.py:4:5: not linted: syntax error", id="syntax error"),
    pytest.param(BODY + b"\0\0", "null bytes", id="null bytes"),
    pytest.param(BODY + b"\xff\xfe\x81" * 9, "not text", id="not UTF-8"),
    pytest.param(b"# coding: klingon\n" + BODY, "klingon", id="unknown encoding"),
    pytest.param(BODY + b"x = " + b"(" * 5000 + b")" * 5000, "not linted", id="deep brackets"),
    pytest.param(BODY + b"x = " + b"-" * 200_000 + b"1\n", "not linted", id="deep operators"),
    pytest.param(BODY + b"x = [" + b"1," * 5_000_000 + b"]\n", "10.0 MB", id="10 MB"),
])  # fmt: skip
def test_what_cannot_be_read_is_said(data: bytes, said: str) -> None:
    assert said in problem_of(data)


def test_a_large_file_without_a_word_of_the_rules_is_clean() -> None:
    assert lint_source(b"x = [" + b"1," * 5_000_000 + b"]\n", "x.py", OPTIONS) == ((), None)


def test_long_chains_are_walked() -> None:
    long = BAD + "x = " + " + ".join(["1"] * 900) + "\nif x == 0:\n    pass\n"
    long += "".join(f"elif x == {number}:\n    torch.use_deterministic_algorithms()\n" for number in range(900))
    result = lint_source(long.encode(), "x.py", Options(tuple(each for each in SHOWN if each.code == "OPL103")))
    assert result.problem is None or "nested" in result.problem.what
    assert len(result.findings) == 901 or result.problem


def test_missing_unreadable_and_looping_files(tmp_path: Path) -> None:
    (tmp_path / "good.py").write_text(BAD)
    (tmp_path / "loop.py").symlink_to(tmp_path / "loop.py")
    (tmp_path / "gone.py").symlink_to(tmp_path / "nowhere.py")
    (tmp_path / "again").symlink_to(tmp_path)
    problems: list[Problem] = []
    files = find_files([str(tmp_path), str(tmp_path / "missing.py")], (), str(tmp_path), problems)
    assert [os.path.basename(file) for file in files] == ["gone.py", "good.py", "loop.py"]
    assert [each.what for each in problems] == ["no such file or folder"]
    results = {os.path.basename(file): lint_file(file, OPTIONS) for file in files}
    assert "No such file" in str(results["gone.py"].problem)
    assert "symbolic links" in str(results["loop.py"].problem)
    assert len(results["good.py"].findings) >= 1


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root reads everything")
def test_an_unreadable_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "secret.py").write_text(BAD)
    (tmp_path / "secret.py").chmod(0)
    assert "Permission denied" in str(lint_file(str(tmp_path / "secret.py"), OPTIONS).problem)


@pytest.mark.parametrize("folder", [".git", ".venv", "node_modules", "__pycache__", "build"])
def test_folders_of_others_are_left_out_unless_named(tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir()
    (tmp_path / folder / "x.py").write_text(BAD)
    assert find_files([str(tmp_path)], (), str(tmp_path), []) == []
    assert len(find_files([str(tmp_path / folder)], (), str(tmp_path), [])) == 1


@pytest.mark.parametrize(("data", "place"), [
    pytest.param(b"\xef\xbb\xbf" + BODY, (3, 1), id="byte order mark"),
    pytest.param(b"# coding: latin-1\n# \xe9" + BODY, (4, 1), id="latin-1"),
    pytest.param(BODY.replace(b"\n", b"\r\n"), (3, 1), id="CRLF"),
    pytest.param(BODY.replace(b"\n", b"\r"), (3, 1), id="CR"),
    pytest.param("import torch\ns = 'äöü'; torch.use_deterministic_algorithms()\n".encode(), (2, 12), id="characters"),
    pytest.param(b"\nimport torch\n\x0c\ntorch.use_deterministic_algorithms()\n", (4, 1), id="form feed"),
    pytest.param("import torch\ntorch.use_\uff44eterministic_algorithms()\n".encode(), (2, 1), id="full width"),
    pytest.param(b"# coding: utf-7\nimport torch\ntorch.use+AF8-deterministic_algorithms()\n", (3, 1), id="UTF-7"),
])  # fmt: skip
def test_lines_and_columns_in_odd_encodings(data: bytes, place: tuple[int, int]) -> None:
    result = lint_source(data, "x.py", OPTIONS)
    assert [(each.line, each.column) for each in result.findings if each.code == "OPL103"] == [place]


@given(st.binary(max_size=300))
def test_no_bytes_raise(data: bytes) -> None:
    lint_source(b"seed random torch" + data, "x.py", OPTIONS)
    lint_source(data, "x.ipynb", OPTIONS)


@given(st.text(alphabet="ab\n\r\x0c\u2028é", max_size=40))
def test_lines_are_those_that_python_counts(text: str) -> None:
    lines = split_lines(text)
    assert "".join(lines) == text
    assert characters(text, len(text.encode("utf-8"))) == len(text)


@pytest.mark.parametrize("alias", ["t", "np", "_", "nn"])
@pytest.mark.parametrize("form", [
    "import torch as {a}\n{a}.use_deterministic_algorithms()\n",
    "from torch import use_deterministic_algorithms as {a}\n{a}()\n",
    "import torch\n{a} = torch\n{a}.use_deterministic_algorithms()\n",
    "import torch\n{a} = torch.use_deterministic_algorithms\n{a}()\n",
    "def f():\n    import torch as {a}\n    {a}.use_deterministic_algorithms()\n",
    "try:\n    import torch as {a}\nexcept ImportError:\n    {a} = None\n{a}.use_deterministic_algorithms()\n",
])  # fmt: skip
def test_names_are_followed(form: str, alias: str) -> None:
    assert [each.code for each in findings_of(form.format(a=alias), "OPL103")] == ["OPL103"]


@pytest.mark.parametrize("code", [
    "def f(torch):\n    torch.use_deterministic_algorithms()\n",
    "import torch\nfor torch in []:\n    torch.use_deterministic_algorithms()\n",
    "from . import torch\ntorch.use_deterministic_algorithms()\n",
    "import mytorch as torch\ntorch.use_deterministic_algorithms()\n",
    "import torch\nclass A:\n    def use_deterministic_algorithms(self): ...\nA().use_deterministic_algorithms()\n",
    "import torch\n'torch.use_deterministic_algorithms()'\n",
])  # fmt: skip
def test_other_things_of_the_same_name_are_left_alone(code: str) -> None:
    assert findings_of(code, "OPL103") == []
