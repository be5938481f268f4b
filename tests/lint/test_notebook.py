"""Notebooks: cells as one module, magics left alone, and nothing else changed by a fix."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from opscan.lint.engine import Options, lint_source
from opscan.lint.finding import Finding
from opscan.lint.fix import Mended, mend
from tests.lint.run import SHOWN


def notebook(*cells: str | list[str], indent: int | None = 1, kind: str = "code") -> bytes:
    rows = [
        {"cell_type": kind, "metadata": {}, "execution_count": None, "outputs": [], "source": cell} for cell in cells
    ]
    document = {"cells": rows, "metadata": {"kernelspec": {"name": "python3"}}, "nbformat": 4, "nbformat_minor": 5}
    return (json.dumps(document, indent=indent, ensure_ascii=False) + "\n").encode()


def findings(data: bytes) -> list[Finding]:
    result = lint_source(data, "look.ipynb", Options(SHOWN))
    assert result.problem is None, result.problem
    return list(result.findings)


def test_places_are_cells_and_lines_and_names_go_from_cell_to_cell() -> None:
    data = notebook(["import torch as t\n", "x = 1"], "# text", ["\n", "t.use_deterministic_algorithms()\n"])
    (found,) = findings(data)
    assert found.place == "look.ipynb:cell 3:2:1"
    assert "use_deterministic" in data.decode().splitlines()[found.line - 1]


@pytest.mark.parametrize("cell", [
    "!pip install torch\n%matplotlib inline\n", "x = !ls\ny = %timeit -o f()\n", "torch?\n?torch\n",
    "%%bash\nfor i in 1 2; do echo $i; done\n", "%%time\nx = 1\n", "if True:\n    !ls\n", "await f()\n",
])  # fmt: skip
def test_lines_for_ipython_are_tolerated(cell: str) -> None:
    data = notebook(cell, "import torch\ntorch.use_deterministic_algorithms()\n")
    assert [each.code for each in findings(data)] == ["OPL103"]


def test_a_variable_set_by_a_magic_counts() -> None:
    assert [each.code for each in findings(notebook("%env CUBLAS_WORKSPACE_CONFIG=4096\n"))] == ["OPL113"]


def test_markdown_is_not_code() -> None:
    assert findings(notebook("import torch\ntorch.use_deterministic_algorithms()\n", kind="markdown")) == []


def test_a_cell_that_is_no_python_is_said_and_the_others_are_linted() -> None:
    data = notebook("def torch(\n", "import torch\ntorch.use_deterministic_algorithms()\n")
    result = lint_source(data, "look.ipynb", Options(SHOWN))
    assert str(result.problem).startswith("look.ipynb:cell 1:1:")
    assert [each.place for each in result.findings] == ["look.ipynb:cell 2:2:1"]


@pytest.mark.parametrize("indent", [None, 1, 4])
@pytest.mark.parametrize("lines", [True, False])
def test_a_fix_changes_only_the_strings_it_mends(indent: int | None, lines: bool) -> None:
    first = ['# é \\ "\n', "import torch\n"] if lines else '# é \\ "\nimport torch\n'
    second = ["torch.use_deterministic_algorithms()  # here\n", "x = 1"]
    data = notebook(first, second if lines else "".join(second), indent=indent)
    mended = mend("look.ipynb", data, findings(data))
    assert isinstance(mended, Mended)
    assert mended.data == data.replace(b"algorithms()", b"algorithms(True)")


def test_escaped_words_are_found() -> None:
    data = notebook("import torch\ntorch.use_deterministic_algorithms()\n").replace(
        b"deterministic", b"determ\\u0069nistic"
    )
    assert [each.code for each in findings(data)] == ["OPL103"]


@pytest.mark.parametrize("data", [b"seed", b'{"cells": [seed]}', b'{"cells": 3, "seed": 0}', b"[" * 100_000])
def test_what_is_no_notebook_is_said(data: bytes, tmp_path: Path) -> None:
    result = lint_source(data + b' "torch random hash \\u0041"', "look.ipynb", Options(SHOWN))
    assert "not a notebook" in str(result.problem)
