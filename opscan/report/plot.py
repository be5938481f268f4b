"""What reaches what, as a picture: findings across, gradients in the order of backward down."""

from __future__ import annotations

from io import BytesIO
from typing import Any

try:
    from matplotlib.figure import Figure
except ImportError as error:
    raise ImportError("report.plot() needs matplotlib: pip install matplotlib") from error

from opscan.finding import Finding
from opscan.report.paths import short_paths
from opscan.report.printable import printable_report
from opscan.report.report import Report
from opscan.report.words import ALWAYS_SHOWN, is_listed

_COLOURS = {"raises": "#c8403a", "switches": "#c98a2b", "silent": "#9b4fa5", "uninitialized": "#b8622e"}
_MOST_FINDINGS = 30
_MOST_ROWS = 48
_LONGEST = 60


class Picture(Figure):
    """A figure that a notebook shows without pyplot, which would keep it, and show it once more."""

    def _repr_png_(self) -> bytes:
        buffer = BytesIO()
        self.savefig(buffer, format="png", dpi=110)
        return buffer.getvalue()


def plot(report: Report, axes: Any = None) -> Figure:
    """Draw which gradients, and whether output and loss, each listed finding reaches; into `axes` if given.

    Gradients are together by module, and where there are more than fit, by the modules that hold those.
    """
    report = printable_report(report)
    findings = [each for each in report.findings if is_listed(each, ALWAYS_SHOWN) and each.spread][:_MOST_FINDINGS]
    rows = _rows(report, findings)
    if axes is None:
        figure = Picture(
            figsize=(3.2 + 0.5 * max(4, len(findings)), 1.6 + 0.24 * max(3, len(rows))), layout="constrained"
        )
        axes = figure.add_subplot()
    names = list(rows)
    for at, finding in enumerate(findings):
        colour = _COLOURS[finding.verdict]
        shares = (_share(finding, members) for members in rows.values())
        for row, share in enumerate(shares):
            axes.barh(row, 0.86, left=at - 0.43, height=0.82, color=colour, alpha=0.1 + 0.9 * share if share else 0.06)
    axes.set(xlim=(-0.6, max(3, len(findings)) - 0.4), ylim=(max(1, len(names)) - 0.4, -0.6))
    axes.set_yticks(range(len(names)), map(_cut, names), fontsize=8, parse_math=False)
    labels = [_cut(f"{each.rule} {_short(each.op)}") for each in findings]
    axes.set_xticks(range(len(findings)), labels, rotation=35, ha="right", fontsize=8, parse_math=False)
    title = f"{_cut(report.target)}: what differs from run to run"
    axes.set_title(title, fontsize=10, loc="left", parse_math=False)
    for side in ("top", "right", "bottom", "left"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0)
    if not findings:
        axes.text(0.5, 0.5, "nothing listed reaches anything", transform=axes.transAxes, ha="center", va="center")
    drawn: Figure = axes.figure
    return drawn


def _rows(report: Report, findings: list[Finding]) -> dict[str, tuple[str, ...]]:
    """What is drawn a row for, with the gradients in it; output and loss stand for themselves."""
    names = dict.fromkeys(name for each in findings if each.spread for name in each.spread.gradients)
    if report.graph is not None:
        names = dict.fromkeys(name for _, name in sorted(report.graph.gradients.items()) if name) | names
    ends = {"output": ("output",), "loss": ("loss",)}
    wanted = {
        name: end for name, end in ends.items() if any(each.spread and getattr(each.spread, name) for each in findings)
    }
    deepest = max((name.count(".") for name in names), default=0)
    groups: dict[str, list[str]] = {}
    for depth in range(deepest, -1, -1):
        groups = {}
        for name in names:
            groups.setdefault(".".join(name.rpartition(".")[0].split(".")[:depth]) or name, []).append(name)
        if len(groups) <= _MOST_ROWS:
            break
    shown = list(groups.items())
    if len(shown) > _MOST_ROWS:
        rest = shown[_MOST_ROWS - 1 :]
        shown[_MOST_ROWS - 1 :] = [(f"and {len(rest)} more", [name for _, members in rest for name in members])]
    return wanted | {short_paths([path])[0]: tuple(members) for path, members in shown}


def _share(finding: Finding, members: tuple[str, ...]) -> float:
    """How much of a row a finding reaches, 0 to 1."""
    spread = finding.spread
    if spread is None:
        return 0.0
    if members in (("output",), ("loss",)):
        return float(getattr(spread, members[0]))
    reached = set(spread.gradients)
    return sum(name in reached for name in members) / len(members)


def _cut(name: str) -> str:
    """A name that leaves room for the picture."""
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 3]}..."


def _short(op: str) -> str:
    return op.split(".")[1] if op.startswith("aten.") else op.rpartition(".")[2]
