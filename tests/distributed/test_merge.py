"""Reports of several ranks as one: what all have stands once, what some have names them."""

from __future__ import annotations

from dataclasses import replace

from opscan.distributed.ranks import Message, World, world_words
from opscan.errors import InputError, TraceError
from opscan.finding import Finding, Place, Replay
from opscan.report.report import Report
from opscan.together.merge import merged_ranks
from opscan.together.outcomes import together
from tests.report.sample import FULL as REPORT


def one(finding: Finding, count: int = 1, replay: Replay | None = None) -> Finding:
    return replace(finding, places=(Place("layer", None, None, count),), replay=replay)


def test_a_finding_of_all_ranks_has_no_ranks_and_the_most_telling_replay() -> None:
    finding = REPORT.findings[0]
    quiet, loud = Replay(10), Replay(10, differing=4, distinct=3)
    reports = [replace(REPORT, findings=(one(finding, 2, replay),)) for replay in (quiet, loud, quiet)]
    (merged,) = merged_ranks(reports).findings
    assert merged.ranks is None
    assert merged.replay == loud
    assert merged.count == 2


def test_a_finding_of_one_rank_names_it_and_the_others_keep_theirs() -> None:
    first, second = (one(each) for each in REPORT.findings[:2])
    reports = [replace(REPORT, findings=(first,)), replace(REPORT, findings=(first, second))]
    assert [(each.rule, each.ranks) for each in merged_ranks(reports).findings] == [
        (first.rule, None),
        (second.rule, (1,)),
    ]


def test_a_rank_that_saw_another_thing_is_told_apart() -> None:
    seen = [one(replace(REPORT.findings[0], observed=what)) for what in ("nothing", "raises", "nothing")]
    found = merged_ranks([replace(REPORT, findings=(each,)) for each in seen]).findings
    assert [(each.observed, each.ranks) for each in found] == [("nothing", (0, 2)), ("raises", (1,))]


def with_messages(*messages: Message) -> Report:
    return replace(REPORT, world=World(2, True, messages))


SUM = Message("c10d.allreduce_.default", "0", 4, "sum", "float32", 4096, 2, (0, 1), True)
COPY = Message("c10d.broadcast_.default", "0", 4, "", "float32", 4096, 1, (0,), False)


def test_ranks_that_call_other_collectives_are_named() -> None:
    lines = merged_ranks([with_messages(SUM), with_messages(replace(SUM, group="7")), with_messages(COPY)]).assumptions
    assert [line for line in lines if "collectives" in line] == [
        "rank 2 calls other collectives than rank 0, or in another order"
    ]


def test_sums_are_said_to_hang_on_the_number_of_ranks_and_copies_are_not() -> None:
    assert "Another number of ranks gives other bits" in world_words(World(4, False, (SUM,)))
    assert "Another number of ranks" not in world_words(World(4, False, (COPY,)))
    assert "2 x allreduce sum float32 over 4, 4 KiB" in world_words(World(4, False, (SUM,)))


def test_ranks_that_could_not_look_are_an_error_that_names_them() -> None:
    failed = InputError("no batch", "train.py:step", "Give one.")
    error = together([REPORT, failed, failed])
    assert isinstance(error, TraceError)
    assert "2 of 3 ranks could not look" in str(error)
    assert "rank 1, 2: train.py:step: no batch" in str(error)
