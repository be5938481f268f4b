"""All that one command found out, for documents that machines read: reports, what was not looked at, stale waivers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from opscan.finding import Finding
from opscan.report.fingerprint import fingerprint
from opscan.report.report import Report, fails_in
from opscan.report.words import ALWAYS_SHOWN, is_listed
from opscan.waiver import Waiver

UNJUDGED = "OPU001"
"""The id that an op without a rule has in documents, where such ops fail."""


def unjudged_words(op: str) -> str:
    """What is said of it."""
    return f"{op}: unknown. No rule speaks for it: it is not known to repeat"


class Unseen(NamedTuple):
    """A target that was not looked at, and why; `wanted` is False where it was passed over and fails nothing."""

    target: str
    why: str
    wanted: bool = True


class StaleWaiver(NamedTuple):
    """A waiver that has ended, or that accepts nothing any more: a finding of the configuration."""

    waiver: Waiver
    why: Literal["expired", "unused"]

    @property
    def rule(self) -> str:
        """The id it has in documents."""
        return {"expired": "OPW001", "unused": "OPW002"}[self.why]

    @property
    def fingerprint(self) -> str:
        """What the waiver keeps while others are added and removed."""
        return fingerprint((self.why, self.waiver.words, self.waiver.reason))

    @property
    def words(self) -> str:
        """What is wrong and what to do, in one sentence each."""
        waiver = self.waiver
        if self.why == "expired":
            what, todo = f"ended on {waiver.until}", "Mend what it waives, or renew `until`"
        else:
            what, todo = "accepts nothing", "Remove it"
        return f"waiver {waiver.number} ({waiver.words}) {what}. {todo}. Its reason was: {waiver.reason}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a command: `show` and `fail_on` are its options of those names."""

    reports: tuple[Report, ...]
    unseen: tuple[Unseen, ...] = ()
    stale: tuple[StaleWaiver, ...] = ()
    show: tuple[str, ...] = ()
    fail_on: tuple[str, ...] | None = None
    has_baseline: bool = False

    @property
    def fails(self) -> bool:
        """Whether there is anything that the exit status has to tell."""
        return bool(self.stale) or any(report.fails(self.fail_on) for report in self.reports)

    @property
    def status(self) -> int:
        """The exit status: 0 nothing found, 1 findings, 2 something that was wanted could not be looked at."""
        return 2 if any(each.wanted for each in self.unseen) else int(self.fails)

    def failing(self, report: Report, finding: Finding) -> bool:
        """Whether one finding of a report fails the command."""
        return fails_in(finding, report.environment.strict, self.fail_on)

    def unjudged(self, report: Report) -> list[str]:
        """The ops that no rule speaks for, where they fail the command."""
        asked = self.fail_on is not None and "unknown" in self.fail_on
        return sorted(report.unknown.keys() - report.known_ops) if asked else []

    def in_documents(self, report: Report) -> Iterator[Finding]:
        """What `listed` has, and what is known from a baseline: for formats that can say so of a finding."""
        listed = {id(each) for each in self.listed(report)}
        return (each for each in report.findings if each.known or id(each) in listed)

    def listed(self, report: Report) -> Iterator[Finding]:
        """The findings that documents list: what a table does, what fails, and with their reasons the waived ones."""
        shown = (*ALWAYS_SHOWN, *self.show)
        for finding in report.findings:
            if finding.waived or is_listed(finding, shown) or self.failing(report, finding):
                yield finding
