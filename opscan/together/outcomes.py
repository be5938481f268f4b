"""One check by all ranks: each looks at every target, rank 0 tells what they found together."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from opscan.distributed.launched import Ranks
from opscan.errors import OpscanError, TraceError
from opscan.report.report import Report
from opscan.together.merge import merged_ranks

Outcome = Report | OpscanError


def check_together(
    ranks: Ranks, look: Callable[[], Sequence[Outcome]], tell: Callable[[Sequence[Outcome]], int]
) -> int:
    """Look in every rank, tell in rank 0 what all found; the exit status, the same in every rank.

    What goes wrong before there is a target to look at, such as an unknown torch version, is raised in every rank.
    """
    outcomes = ranks.gathered(look())
    return ranks.agreed(None if outcomes is None else tell([together(each) for each in zip(*outcomes, strict=True)]))


def together(outcomes: Sequence[Outcome]) -> Outcome:
    """The outcome of one target over all ranks: a report if all have one, else what went wrong and where."""
    reports = [each for each in outcomes if not isinstance(each, OpscanError)]
    if len(reports) == len(outcomes):
        return merged_ranks(reports)
    failed = {rank: each for rank, each in enumerate(outcomes) if isinstance(each, OpscanError)}
    groups: dict[str, list[int]] = {}
    for rank, error in failed.items():
        groups.setdefault(str(error), []).append(rank)
    said = "\n".join(f"rank {', '.join(map(str, same))}: {text}" for text, same in groups.items())
    return TraceError(f"{len(failed)} of {len(outcomes)} ranks could not look\n{said}")
