"""The answer: whether runs are identical, where they part first, and how the difference grows."""

from __future__ import annotations

from dataclasses import dataclass, field

from opscan.verifying.cause import Cause
from opscan.verifying.growth import Growth


@dataclass(frozen=True, slots=True)
class Verification:
    """What came of comparing runs.

    `steps` is how far both were compared, `counts` what was compared, by kind; `failures` are how runs failed that did
    not come to their end, "" for those that did; `notes` are further sentences. `drifts` are where ranks of the first
    run differ in what is to be equal on them, `replicas` says what of that was compared.
    """

    target: str
    cause: Cause | None
    steps: int
    counts: dict[str, int]
    growth: Growth
    labels: tuple[str, ...] = ("run 1", "run 2")
    failures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    drifts: tuple[Cause, ...] = ()
    replicas: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def identical(self) -> bool:
        """Whether all runs came to their ends and agreed in everything that was compared from run to run."""
        return self.cause is None and not any(self.failures)

    @property
    def status(self) -> int:
        """As the command line exits: 0 identical, 1 parted or replicas drifted, 2 could not look to the end."""
        return 1 if self.cause is not None or self.drifts else 2 if any(self.failures) else 0

    def to_text(self, width: int = 80) -> str:
        """As a terminal shows it."""
        from opscan.verifying.text import render_text

        return render_text(self, width)

    def to_html(self) -> str:
        """A page of its own, with the plots in it."""
        from opscan.verifying.html import render_page

        return render_page(self)

    def _repr_html_(self) -> str:
        from opscan.verifying.html import render_body

        return render_body(self)

    def to_json(self) -> str:
        """One versioned document."""
        from opscan.verifying.document import render_json

        return render_json(self)

    def __str__(self) -> str:
        return self.to_text()
