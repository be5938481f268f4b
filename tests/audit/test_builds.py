"""The rules against five releases as they were built, from signs read once (see stored.py), and against this torch."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from opscan.audit import Audit, Claim, Signs, audit, load_claims, read_signs
from opscan.rules.load import Ruleset, load_rules, make_ruleset
from opscan.rules.schema import Rule
from tests.audit.stored import FILE, pack, stored_builds

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


def test_the_stored_builds_are_the_five_the_rules_were_mined_from() -> None:
    assert [(str(build.torch), build.has_cuda) for build in BUILDS] == [
        ("1.13.1", True),
        ("2.6.0", True),
        ("2.11.0", True),
        ("2.13.0", False),
        ("2.15.0", True),
    ]
    assert [len(build.names("alert")) for build in BUILDS] == [43, 47, 40, 4, 41]
    assert pack(list(BUILDS)) == FILE.read_text(encoding="utf-8")


@pytest.mark.parametrize("build", BUILDS, ids=lambda build: str(build.torch))
def test_every_sign_has_a_row_and_every_row_its_op(build: Signs) -> None:
    outcome = audit(build, load_rules(), claims())
    assert outcome.clean, told(outcome)


@pytest.mark.parametrize("rule", load_rules().rules, ids=lambda rule: rule.id)
def test_removing_a_row_is_noticed(rule: Rule) -> None:
    rest = without(rule)
    assert any(open_in(build, rest) - open_now(at) for at, build in enumerate(BUILDS)), missing_claim(rule)


def open_in(build: Signs, ruleset: Ruleset) -> set[str]:
    outcome = audit(build, ruleset, claims())
    return {gap.subject for gap in (*outcome.uncovered, *outcome.dangling)}


@cache
def open_now(at: int) -> frozenset[str]:
    return frozenset(open_in(BUILDS[at], load_rules()))


@pytest.mark.parametrize("build", BUILDS, ids=lambda build: str(build.torch))
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
    folder = find_spec("torch").submodule_search_locations[0]  # type: ignore[union-attr, index]
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
