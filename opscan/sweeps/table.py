"""The rows of a sweep in the order of its targets, and the ways to look at them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from opscan.sweeps.row import Row

if TYPE_CHECKING:
    import pandas


@dataclass(frozen=True, slots=True)
class Setting:
    """What a sweep's answers are for, in words: the same for all its rows.

    `source` is what was swept, with its version where it has one ("transformers 5.23.0"), `environment` as a report
    says it ("cuda, torch 2.13.0"), `mode` train or eval, `opscan` the version that looked.
    """

    source: str
    environment: str
    mode: str
    opscan: str


@dataclass(frozen=True, slots=True, repr=False)
class Sweep:
    """All rows, with what was not looked at: modules that could not be imported, each with the reason."""

    setting: Setting
    rows: tuple[Row, ...]
    skipped: tuple[tuple[str, str], ...] = ()

    @property
    def traced(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.outcome == "traced")

    @property
    def missed(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.outcome != "traced")

    def to_pandas(self, cost: bool = False) -> pandas.DataFrame:
        """One row per target; the columns are those of the CSV. `cost` adds seconds and memory."""
        import pandas

        from opscan.sweeps.columns import columns_of, records

        return pandas.DataFrame(records(self, cost), columns=list(columns_of(cost)))

    def to_csv(self, cost: bool = False) -> str:
        """The table as CSV, one row per target."""
        from opscan.sweeps.columns import render_csv

        return render_csv(self, cost)

    def to_json(self, cost: bool = False) -> str:
        """The table as one JSON document."""
        from opscan.sweeps.columns import render_json

        return render_json(self, cost)

    def to_html(self, cost: bool = False) -> str:
        """The table as a page of HTML."""
        from opscan.sweeps.html import render_html

        return render_html(self, cost)

    def to_markdown(self) -> str:
        """A document: totals, a row per family of models, and each target that was not traced with its reason."""
        from opscan.sweeps.document import render_markdown

        return render_markdown(self)

    def to_text(self, width: int = 80) -> str:
        """The summary a terminal shows."""
        from opscan.sweeps.summary import render_summary

        return render_summary(self, width)

    def _repr_html_(self) -> str:
        return self.to_html()

    def __str__(self) -> str:
        return self.to_text()

    def __repr__(self) -> str:
        return f"<opscan sweep of {self.setting.source}: {len(self.traced)} of {len(self.rows)} traced>"


def families(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """The rows by family, in the order the families come in."""
    grouped: dict[str, list[Row]] = {}
    for row in rows:
        grouped.setdefault(row.family or row.target, []).append(row)
    return grouped
