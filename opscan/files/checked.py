"""What checking a target of a file comes to, as a value that any process can hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from opscan.environment import Environment
from opscan.report.report import Report

Outcome = Literal["clean", "findings", "skipped", "missed"]
"""`skipped` is a class nobody named that could not be looked at; `missed` a target that was named, likewise."""


@dataclass(frozen=True, slots=True)
class Checked:
    """One target of a file: its report, or why it was not looked at (with the place, if it was missed).

    The report has the project's waivers in it. As it comes from the process that looked it is packed.
    """

    target: str
    outcome: Outcome
    text: str = ""
    report: Report | None = None
    file: str = ""


@dataclass(frozen=True, slots=True)
class Work:
    """One file's: targets that were named, and classes in it that may be models."""

    file: str
    named: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """How many targets there may be."""
        return len(self.named) + len(self.classes)

    def single(self) -> list[Work]:
        """The same, each target by itself."""
        return [
            *(Work(self.file, named=(each,)) for each in self.named),
            *(Work(self.file, classes=(each,)) for each in self.classes),
        ]


@dataclass(frozen=True, slots=True)
class Question:
    """What is the same for all targets: what the answer is for, the seconds that each has, and whether its step is
    `drawn`.
    """

    environment: Environment
    mode: Literal["train", "eval"] = "train"
    rules: tuple[str, ...] = ()
    timeout_s: float = 60.0
    drawn: bool = False
