"""A snapshot can fail: every change of every facet is noticed, and nothing is seen where nothing changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.hygiene.changes import CHANGES, Change
from tests.hygiene.snapshot import FACETS, Snapshot, differences


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
