"""The outcome of scanning one target, and the ways to look at it."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from opscan.distributed.ranks import World
from opscan.environment import Environment, Strictness
from opscan.finding import Finding, Run, ScanCost
from opscan.report.stepgraph import StepGraph
from opscan.rules.schema import VERDICTS, Rule

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

ALL_VERDICTS = (*VERDICTS, "unknown")
"""The closed set of verdicts, most severe first."""


@dataclass(frozen=True, slots=True, repr=False)
class Report:
    """Findings on one target in one environment, and all that was counted, assumed or not known.

    `known_ops` are ops that no rule speaks for and that a baseline has.

    `unknown` counts the ops that no rule speaks for; `run` is what came of running the step on a device, None where it
    was not; `cost` is what scanning took. `graph` is the step as it is drawn, `rules` are the rows behind the findings,
    `world` the ranks it belongs to, None for a single process. In a notebook a report shows itself as HTML.
    """

    target: str
    environment: Environment
    assumptions: tuple[str, ...]
    forward_ops: int
    backward_ops: int
    unknown: Mapping[str, int]
    findings: tuple[Finding, ...]
    known_ops: frozenset[str] = frozenset()
    run: Run | None = None
    cost: ScanCost | None = None
    graph: StepGraph | None = None
    rules: tuple[Rule, ...] = ()
    world: World | None = None

    def counts(self) -> dict[str, int]:
        """Ops per verdict, `unknown` included; verdicts that do not occur are left out."""
        counted = Counter[str]()
        for finding in self.findings:
            counted[finding.verdict] += finding.count
        counted["unknown"] = sum(self.unknown.values())
        return {verdict: counted[verdict] for verdict in ALL_VERDICTS if counted[verdict]}

    def fails(self, on: Iterable[str] | None = None) -> bool:
        """Whether anything with one of these verdicts was found; by default what varies or stops in the mode asked for.

        What cannot vary fails only where strict mode would stop at it; what is waived or known does not.
        """
        wanted = None if on is None else set(on)
        if any(fails_in(finding, self.environment.strict, wanted) for finding in self.findings):
            return True
        return wanted is not None and "unknown" in wanted and bool(self.unknown.keys() - self.known_ops)

    def without_cost(self) -> Report:
        """The same without what scanning and running it took, which no two runs have in common."""
        return dataclasses.replace(
            self, cost=None, run=self.run and dataclasses.replace(self.run, cost=None, plain=None)
        )

    def to_json(self, cost: bool = False) -> str:
        """The documented JSON document (schema 1), with this one report in it; `cost` as --cost."""
        from opscan.report.document import render_json

        return render_json([self if cost else self.without_cost()])

    def to_pandas(self) -> pandas.DataFrame:
        """One row per finding; the columns are the keys of a finding in the JSON document."""
        import pandas

        from opscan.report.document import finding_rows

        return pandas.DataFrame(finding_rows(self))

    def to_text(self, width: int = 80, show: Iterable[str] = (), cost: bool = False) -> str:
        """The table a terminal shows, at most `width` columns wide; `show` as --show, `cost` as --cost."""
        from opscan.report.table import render_table

        return render_table(self if cost else self.without_cost(), width=width, show=show)

    def to_html(self, cost: bool = False) -> str:
        """One self-contained page: findings in their source, the model as a tree, the graph; `cost` as --cost."""
        from opscan.report.html_page import render_page

        return render_page([self if cost else self.without_cost()])

    def plot(self, axes: Any = None) -> Figure:
        """Draw which gradients each finding reaches, into matplotlib's `axes` if given.

        Raises ImportError without matplotlib.
        """
        from opscan.report.plot import plot

        return plot(self, axes)

    def _repr_html_(self) -> str:
        from opscan.report.html import render_html

        return render_html(self.without_cost())

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        found = ", ".join(f"{count} {verdict}" for verdict, count in self.counts().items()) or "nothing found"
        return f"<opscan report on {self.target} ({self.environment.device}, torch {self.environment.torch}): {found}>"


def fails_in(finding: Finding, strict: Strictness, on: Iterable[str] | None = None) -> bool:
    """Whether a finding fails a check in the mode the user trains in: by its verdict if `on` names verdicts.

    What is waived or known does not.
    """
    if finding.accepted:
        return False
    return varies_in(finding, strict) if on is None else finding.verdict in on and not finding.harmless


def varies_in(finding: Finding, strict: Strictness) -> bool:
    """Whether a finding varies from run to run, or raises, in the mode the user trains in; None is any mode."""
    if finding.verdict not in ("raises", "switches", "silent", "uninitialized"):
        return False
    if finding.strict == "raises" and strict in (True, None):
        return True
    does = {True: finding.strict, "warn_only": finding.warn_only}.get(strict, finding.default)
    return does in ("nondeterministic", "uninitialized") and finding.bits != "cannot vary"
