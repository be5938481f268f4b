"""The plot of a run: CPU time by the number of ops, and every ratio beside its target."""

from __future__ import annotations

import re
from collections.abc import Sequence

from matplotlib.figure import Figure
from measure import ROOT, Row

PICTURE = ROOT / "docs" / "benchmarks.png"
_OWN, _OTHER, _TARGET = "#2563a8", "#9aa3ad", "#c0392b"


def draw(rows: Sequence[Row]) -> None:
    """Write docs/benchmarks.png; without a date in it, so that equal data give equal bytes."""
    figure = Figure(figsize=(11, 5.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.35))
    _by_ops(left, [row for row in rows if row.section == "cost by ops"])
    _ratios(right, [row for row in rows if row.target is not None and row.unit == "s" and row.section != "cost by ops"])
    figure.savefig(PICTURE, dpi=130, metadata={"Software": None})


def ops_of(row: Row) -> int:
    """The number of ops that the name of a row says."""
    found = re.search(r"\(([\d,]+) ops\)", row.what)
    assert found is not None
    return int(found[1].replace(",", ""))


def _by_ops(axes: object, rows: Sequence[Row]) -> None:
    ops = [ops_of(row) for row in rows]
    axes.loglog(ops, [row.cost for row in rows], "o-", color=_OWN, label="opscan.check")
    axes.loglog(ops, [row.floor_cost for row in rows], "s--", color=_OTHER, label="bare forward + backward on meta")
    axes.set(xlabel="ops of the step", ylabel="CPU time [s]", title="A transformer, by its number of ops")
    axes.grid(True, which="major", alpha=0.3)
    axes.legend(frameon=False)


def _ratios(axes: object, rows: Sequence[Row]) -> None:
    """One bar per row, against its target; a ratio that has to be large is drawn as target divided by ratio."""
    shares = [(row.target / row.ratio if row.above else row.ratio / row.target) for row in rows]
    places = range(len(rows))
    axes.barh(places, shares, color=[_OWN if row.met else _TARGET for row in rows], height=0.6)
    axes.axvline(1, color=_TARGET, linewidth=1)
    axes.set_yticks(places, [_label(row) for row in rows], fontsize=7.5)
    axes.invert_yaxis()
    axes.set(xlabel="share of the cost that the target allows", title="Against the targets")
    for place, (row, share) in enumerate(zip(rows, shares, strict=True)):
        axes.text(share + 0.02, place, f"{row.ratio:.3g}x", va="center", fontsize=7.5)
    axes.set_xlim(0, max([*shares, 1]) * 1.18)
    axes.grid(True, axis="x", alpha=0.3)


def _label(row: Row) -> str:
    floor = row.floor.replace('python -c "import torch"', "import torch")
    what = re.sub(r"step recorded by (.*?):.*?(\w[\w-]*).*", r"\1, \2", row.what)
    return f"{what}\nbeside {floor}"
