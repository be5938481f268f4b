"""A report in a notebook: a real one, executed in a kernel of its own; and the plot."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from opscan.finding import Spread
from opscan.report.report import Report
from tests.report.sample import CLEAN, FULL, PAD

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

CELLS = (
    "import opscan, torch\nfrom opscan.examples.cnn import CNN_v2\n"
    "report = opscan.check(CNN_v2(10), (torch.empty(2, 3, 32, 32),), torch_version='1.8.1', run=False)\nreport",
    "report.to_pandas()[['op', 'verdict', 'count']].head(1)",
    "report.plot()",
    "print(len(report.to_html()) > 10_000)",
)


def test_a_notebook_shows_report_frame_and_plot() -> None:
    pytest.importorskip("matplotlib")
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in CELLS])
    manager = nbclient.NotebookClient(book, timeout=300).create_kernel_manager()
    manager.kernel_cmd = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    nbclient.NotebookClient(book, km=manager, timeout=300).execute()
    shown, frame, plot, page = (cell.outputs[-1] for cell in book.cells)
    assert "replication_pad2d_backward" in shown.data["text/html"].replace("<wbr>", "")
    assert "10 of 16 gradients, conv5.weight the first in backward" in shown.data["text/html"]
    assert "CNN_v2 (cuda, torch 1.8.1): 6 raises" in shown.data["text/plain"]
    assert "aten.replication_pad2d_backward.default" in frame.data["text/html"]
    assert plot.data["image/png"]
    assert page.text == "True\n"


def test_the_plot_has_a_row_for_each_module_and_a_column_for_each_finding() -> None:
    pytest.importorskip("matplotlib")
    other = replace(PAD, rule="OPS1", spread=Spread(True, True, False, ("stem.weight",), 9))
    axes = replace(FULL, findings=(PAD, other)).plot().axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["output", "loss", "layers.1", "layers.0", "stem"]
    assert [label.get_text() for label in axes.get_xticklabels()] == [
        "OPS102 replication_pad2d_backward", "OPS1 replication_pad2d_backward"
    ]  # fmt: skip


@pytest.mark.parametrize("report", [CLEAN, FULL], ids=["nothing found", "no graph"])
def test_any_report_can_be_plotted(report: Report) -> None:
    pytest.importorskip("matplotlib")
    assert report.plot().axes


def test_many_gradients_are_together_by_module() -> None:
    pytest.importorskip("matplotlib")
    names = tuple(f"blocks.{block}.{part}.weight" for block in range(24) for part in ("up", "down", "norm"))
    axes = replace(FULL, findings=(replace(PAD, spread=Spread(False, False, False, names, 72)),)).plot().axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == [f"blocks.{block}" for block in range(24)]


def test_without_matplotlib_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "opscan.report.plot", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match="pip install matplotlib"):
        FULL.plot()
