"""What is recorded of a run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Options:
    """`ops` are the first and last step of which every op is recorded, None for no op; `every` is how often parameters.

    `modules` are patterns of module paths, and narrow which ops are recorded. A run ends after `stop` steps.
    """

    ops: tuple[int, int] | None = (0, 0)
    every: int = 1
    modules: tuple[str, ...] = ()
    stop: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def read_options(content: dict[str, Any]) -> Options:
    """From JSON."""
    ops = content["ops"]
    return Options(tuple(ops) if ops else None, content["every"], tuple(content["modules"]), content["stop"])
