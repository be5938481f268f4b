"""A snapshot can fail: every change of every facet is noticed, and nothing is seen where nothing changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

import tests.hygiene.python_state  # noqa: F401  # it registers its facets
from opscan.trace.process import FLAGS
from tests.hygiene.changes import CHANGES, Change
from tests.hygiene.snapshot import FACETS, Snapshot, differences
from tests.hygiene.torch_state import flag_getters


@contextmanager
def made(change: Change) -> Iterator[None]:
    steps = change.make()
    next(steps)
    try:
        yield
    finally:
        next(steps, None)


@pytest.mark.parametrize("change", CHANGES, ids=lambda each: f"{each.facet}: {each.name}")
def test_a_change_is_noticed(change: Change) -> None:
    read = FACETS[change.facet].read
    before = read()
    with made(change):
        assert list(differences(before, read()))


def test_every_facet_has_a_change() -> None:
    assert {each.facet for each in CHANGES} >= set(FACETS) - {"distributed"}


def test_nothing_is_noticed_where_nothing_changed() -> None:
    assert Snapshot().changes() == []


def test_opscan_puts_back_every_flag_that_torch_has_a_setter_and_a_getter_for() -> None:
    """A flag that a newer torch brings makes this fail. The four are named where FLAGS stands."""
    others = {"deterministic_algorithms", "thread_name", "torch_function_state", "tracing_state"}
    assert set(flag_getters()) - set(FLAGS) == others
