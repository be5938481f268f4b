"""Which construction of a target goes with which inputs, and what is said where none does."""

from __future__ import annotations

import pytest

from opscan.errors import InputError
from opscan.solving.solve import EarlyError
from opscan.steps import fit as fitting
from opscan.steps.fit import fit
from opscan.steps.settle import Settled
from opscan.target.build import Target


def made(label, **kinds):
    return Target(label, print, None, **kinds)


def settling(target):
    return Settled(target)


def failing(kind=InputError, tried=None):
    """No inputs for anything; `tried` gets each label, and whether in haste."""

    def finding(settled, *, hasty):
        if tried is not None:
            tried.append((settled.target.label, hasty))
        error = kind(f"nothing for {settled.target.label}")
        raise error from ValueError(settled.target.label)

    return finding


def test_a_construction_that_took_all_the_time_is_tried_all_the_same(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(fitting.time, "monotonic", lambda: now[0])

    def others():
        now[0] += 100
        yield made("second")

    tried = []
    with pytest.raises(InputError, match="nothing for first"):
        fit(made("first", others=others), settling, failing(tried=tried))
    assert tried == [("first", True), ("second", True)]


def test_a_search_that_ended_early_for_nothing_is_made_in_full():
    tried = []
    with pytest.raises(InputError, match="nothing for first"):
        fit(made("first", mended=lambda error: None), settling, failing(EarlyError, tried))
    assert tried == [("first", True), ("first", False)]


def test_the_error_of_what_was_mended_is_the_one_that_is_said():
    mended = made("mended")
    with pytest.raises(InputError, match="nothing for mended"):
        fit(made("first", mended=lambda error: mended), settling, failing(EarlyError))
