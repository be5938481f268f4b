"""The outcome of scanning one target, and the ways to look at it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opscan.distributed.ranks import World
from opscan.environment import Environment, Strictness
from opscan.finding import Finding, Run, ScanCost
from opscan.rules.schema import VERDICTS

if TYPE_CHECKING:
    import pandas

ALL_VERDICTS = (*VERDICTS, "unknown")
"""The closed set of verdicts, most severe first."""


@dataclass(frozen=True, slots=True, repr=False)
class Report:
    """Findings on one target in one environment, and all that was counted, assumed or not known.

    `unknown` counts the ops that no rule speaks for; `run` is what came of running the step on a device, None where it
    was not; `cost` is what scanning took; `world` are the ranks
    it belongs to, None for a single process. In a notebook a report shows itself as HTML.
    """

    target: str
    environment: Environment
    assumptions: tuple[str, ...]
    forward_ops: int
    backward_ops: int
    unknown: Mapping[str, int]
    findings: tuple[Finding, ...]
    run: Run | None = None
    cost: ScanCost | None = None
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

        What cannot vary fails only where strict mode would stop at it.
        """
        strict = self.environment.strict
        if on is None:
            return any(fails_in(finding, strict) for finding in self.findings)
        wanted = set(on)
        return any(finding.verdict in wanted and not finding.harmless for finding in self.findings) or (
            "unknown" in wanted and bool(self.unknown)
        )

    def to_json(self) -> str:
        """The documented JSON document (schema 1), with this one report in it."""
        from opscan.report.document import render_json

        return render_json([self])

    def to_pandas(self) -> pandas.DataFrame:
        """One row per finding; the columns are the keys of a finding in the JSON document."""
        import pandas

        from opscan.report.document import finding_rows

        return pandas.DataFrame(finding_rows(self))

    def to_text(self, width: int = 80, show: Iterable[str] = ()) -> str:
        """The table a terminal shows, at most `width` columns wide; `show` as --show."""
        from opscan.report.table import render_table

        return render_table(self, width=width, show=show)

    def _repr_html_(self) -> str:
        from opscan.report.html import render_html

        return render_html(self)

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        found = ", ".join(f"{count} {verdict}" for verdict, count in self.counts().items()) or "nothing found"
        return f"<opscan report on {self.target} ({self.environment.device}, torch {self.environment.torch}): {found}>"


def fails_in(finding: Finding, strict: Strictness) -> bool:
    """Whether a finding varies from run to run, or raises, in the mode the user trains in; None is any mode."""
    if finding.verdict not in ("raises", "switches", "silent", "uninitialized"):
        return False
    if finding.strict == "raises" and strict in (True, None):
        return True
    does = {True: finding.strict, "warn_only": finding.warn_only}.get(strict, finding.default)
    return does in ("nondeterministic", "uninitialized") and finding.bits != "cannot vary"
