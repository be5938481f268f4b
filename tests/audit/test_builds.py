"""The rules against 17 releases as they were built, from signs read once (see stored.py), and against this torch."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest
from packaging.version import Version

from opscan.audit import Audit, Claim, Signs, audit, load_claims, read_signs
from opscan.rules.load import Ruleset, load_rules, make_ruleset
from opscan.rules.schema import Rule
from tests.audit.stored import FILE, FOUND, in_order, pack, stored_builds

BUILDS = stored_builds()


@cache
def claims() -> tuple[Claim, ...]:
    return load_claims()


def told(outcome: Audit) -> str:
    """What is wrong, for the message of a failing test."""
    return outcome.to_text(120)


def without(rule: Rule) -> Ruleset:
    return make_ruleset(each for each in load_rules().rules if each.id != rule.id)


def missing_claim(rule: Rule) -> str:
    """What to add so that a row rests on something a build shows."""
    names = ", ".join((*rule.ops, *rule.calls))
    return (
        f"{rule.id} ({rule.source}) can be removed and no audit notices: nothing in the builds is tied to it. Find "
        f"what a build shows of {names} (a kernel, a flag read, a vendor call, a kernel for MPS) and add to "
        f'rules/*.signs.toml:\n\n[[sign]]\nkind = "kernel"\nname = "..."\nrules = ["{rule.id}"]\n'
    )


ALERTS = {
    "1.13.1": 43,
    "2.0.1": 43,
    "2.1.2": 48,
    "2.2.2": 48,
    "2.3.1": 48,
    "2.4.1": 48,
    "2.5.1": 48,
    "2.6.0": 47,
    "2.7.1": 45,
    "2.8.0": 45,
    "2.9.1": 45,
    "2.10.0": 43,
    "2.11.0": 40,
    "2.12.1": 40,
    "2.13.0+cpu": 4,
    "2.13.0": 41,
    "2.14.1": 41,
    "2.15.0": 41,
}
"""Build -> how many alerts it has, from a second reading of the same machine code by other means.

That one leaves out the alert of cuBLAS, which goes another way: one of those before 2.10.
"""


def version_of(build: Signs) -> str:
    return build.packages["torch"]


def test_the_stored_builds_are_one_of_every_minor_release() -> None:
    assert {version_of(build): len(build.names("alert")) for build in BUILDS} == ALERTS
    assert [version_of(build) for build in BUILDS if not build.has_cuda] == ["2.13.0+cpu"]
    releases = [each for each in ALERTS if "+" not in each]
    assert [Version(each).release[:2] for each in releases] == [(1, 13), *((2, minor) for minor in range(16))]
    assert pack(list(BUILDS)) == FILE.read_text(encoding="utf-8")
    assert in_order(reversed(BUILDS)) == list(BUILDS)


def test_every_alert_of_the_stored_builds_is_decoded() -> None:
    found = [(version_of(build), name) for build in BUILDS for kind in FOUND for name in build.names(kind)]
    assert [each for each in found if each[1].startswith("(")] == []


@pytest.mark.parametrize("build", BUILDS, ids=version_of)
def test_every_sign_has_a_row_and_every_row_its_op(build: Signs) -> None:
    outcome = audit(build, load_rules(), claims())
    assert outcome.clean, told(outcome)


@pytest.mark.parametrize("rule", load_rules().rules, ids=lambda rule: rule.id)
def test_removing_a_row_is_noticed(rule: Rule) -> None:
    rest = without(rule)
    newest_first = reversed(range(len(BUILDS)))
    assert any(open_in(BUILDS[at], rest) - open_now(at) for at in newest_first), missing_claim(rule)


def open_in(build: Signs, ruleset: Ruleset) -> set[str]:
    outcome = audit(build, ruleset, claims())
    return {gap.subject for gap in (*outcome.uncovered, *outcome.dangling)}


@cache
def open_now(at: int) -> frozenset[str]:
    return frozenset(open_in(BUILDS[at], load_rules()))


@pytest.mark.parametrize("build", BUILDS, ids=version_of)
def test_removing_a_claim_is_noticed(build: Signs) -> None:
    """Kernels and ops for MPS are signs because a claim knows them; every other sign is found without one."""
    expected = {
        (claim.kind, name)
        for claim in claims()
        if claim.kind not in ("kernel", "mps") and claim.covers(build.torch)
        for name in claim.names
        if name in build.names(claim.kind)
    }
    found = {tuple(gap.subject.replace("'", "").split(" ", 1)) for gap in audit(build, load_rules(), ()).uncovered}
    rows_say = {("alert", entry.alert) for rule in load_rules().rules for entry in rule.history}
    assert {each for each in expected - found - rows_say if each[0] != "tag"} == set()


def test_a_new_row_that_rests_on_nothing_is_named_with_the_claim_it_needs() -> None:
    row = load_rules().rules[0]
    message = missing_claim(row)
    assert f'rules = ["{row.id}"]' in message
    assert row.source in message


@pytest.mark.slow
def test_this_torch_is_clean() -> None:
    folder = find_spec("torch").submodule_search_locations[0]
    signs = read_signs(Path(folder))
    assert signs.names("alert") >= {"put_", "max_unpooling2d_forward_out", "max_unpooling3d_forward_out"}
    assert "at::native::index_put_kernel" in signs.names("branch")
    assert "torch/nn/functional.py:interpolate" in signs.names("python")
    assert "aten.bernoulli.default" in signs.names("tag")
    outcome = audit(signs, load_rules(), claims())
    assert outcome.clean, told(outcome)
    stored = {str(build.torch): build for build in BUILDS if build.has_cuda == signs.has_cuda}
    if (same := stored.get(str(signs.torch))) is not None:
        assert {(sign.kind, sign.name) for sign in signs.found} == {(sign.kind, sign.name) for sign in same.found}
