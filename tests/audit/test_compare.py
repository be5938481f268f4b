"""The comparison, on signs written by hand: each kind of gap shown, and each thing a target cannot answer counted."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from opscan.audit import Audit, Claim, Sign, Signs, audit
from opscan.rules.load import Ruleset, make_ruleset, read_rules

ROW = """
[[rule]]
id = "TST{number}"
title = "{title}"
{names}
phase = "backward"
mechanism = "Adds with atomics."
{history}
[[rule.evidence]]
kind = "test"
ref = "written for this test"
"""

RAISES = """
[[rule.history]]
device = ["cuda"]
torch = ">=2.0"
default = "nondeterministic"
strict = "raises"
alert = "pad_cuda"
why = "The kernel alerts."
"""

SILENT = RAISES.replace('strict = "raises"\nalert = "pad_cuda"', 'strict = "nondeterministic"')
SEEDED = SILENT.replace("nondeterministic", "seeded").replace('["cuda"]', '["cuda", "cpu"]')

BUILD = Signs(
    source="torch.whl",
    torch=Version("2.6.0"),
    has_torch=True,
    has_cuda=True,
    packages={"torch": "2.6.0"},
    found=(Sign("alert", "pad_cuda", ("torch/lib/libtorch_cuda.so",)),),
    ops=frozenset({"aten.pad.default", "aten.pad.out", "aten.rand.default"}),
    kernels=frozenset({"at::native::fill"}),
    mps=frozenset({"aten.pad.default"}),
)


@pytest.fixture
def rows(tmp_path: Path):
    def make(*given: tuple[str, str]) -> Ruleset:
        texts = (
            ROW.format(number=100 + at, title=f"row {at}", names=names, history=history)
            for at, (names, history) in enumerate(given)
        )
        (tmp_path / "some.toml").write_text("".join(texts))
        return make_ruleset(read_rules(tmp_path / "some.toml"))

    return make


def claim(kind: str, name: str, **given: object) -> Claim:
    known = {
        "torch": SpecifierSet(),
        "perhaps": None,
        "package": "torch",
        "device": "cpu",
        "rules": (),
        "cleared": "a reason",
        "source": "some.signs.toml",
    }
    return Claim(kind=kind, names=(name,), **{**known, **given})


def gaps(outcome: Audit) -> list[str]:
    return [f"{gap.subject}: {gap.what}" for gap in (*outcome.uncovered, *outcome.dangling)]


PAD = 'ops = ["aten.pad"]'


def test_an_alert_that_a_row_names_is_covered_by_it(rows) -> None:
    outcome = audit(BUILD, rows((PAD, RAISES)), [])
    assert outcome.clean
    assert outcome.covered == {"alert": 1}


@pytest.mark.parametrize(
    ("sign", "hint"),
    [
        (Sign("alert", "new_cuda"), "Write a row whose history names this alert"),
        (Sign("branch", "at::native::new"), 'a [[sign]] with kind = "branch", name = "at::native::new"'),
        (Sign("python", "torch/nn/functional.py:new"), "(or `cleared`)"),
        (Sign("tag", "aten.new.default"), "Name the op in a row"),
        (Sign("call", "cusparseNew"), 'kind = "call"'),
        (Sign("triton", "m.py:new"), 'kind = "triton"'),
    ],
    ids=lambda each: each.kind if isinstance(each, Sign) else "",
)
def test_a_sign_without_a_row_is_uncovered(sign: Sign, hint: str, rows) -> None:
    build = replace(BUILD, found=(*BUILD.found, sign))
    outcome = audit(build, rows((PAD, RAISES)), [])
    assert not outcome.clean
    (gap,) = outcome.uncovered
    assert sign.name in gap.subject
    assert hint in gap.hint
    assert audit(build, rows((PAD, RAISES)), [claim(sign.kind, sign.name)]).clean


def test_a_kernel_is_a_sign_by_its_name(rows) -> None:
    build = replace(BUILD, kernels=frozenset({"at::native::fill", "at::native::AtomicGrad"}))
    assert gaps(audit(build, rows((PAD, RAISES)), [])) == ["kernel 'at::native::AtomicGrad': no row speaks for it"]


def test_a_tag_is_covered_by_a_row_with_a_verdict_for_this_torch(rows) -> None:
    build = replace(BUILD, found=(*BUILD.found, Sign("tag", "aten.rand.default")))
    ruleset = rows((PAD, RAISES), ('ops = ["aten.rand"]', SEEDED))
    assert audit(build, ruleset, []).clean
    older = replace(build, torch=Version("1.13.1"), found=(Sign("tag", "aten.rand.default"),))
    assert gaps(audit(older, ruleset, [])) == ["tag 'aten.rand.default': no row speaks for it"]


def test_a_claim_speaks_only_in_its_range(rows) -> None:
    build = replace(BUILD, found=(*BUILD.found, Sign("branch", "f")))
    late = claim("branch", "f", torch=SpecifierSet(">=2.7"))
    assert gaps(audit(build, rows((PAD, RAISES)), [late])) == ["branch 'f': no row speaks for it"]
    perhaps = replace(late, perhaps=SpecifierSet(">=2.0"))
    assert audit(build, rows((PAD, RAISES)), [perhaps]).clean
    assert audit(BUILD, rows((PAD, RAISES)), [perhaps]).clean


def test_a_row_whose_ops_are_gone_dangles(rows) -> None:
    gone = ('ops = ["aten.gone", "aten.pad.gone"]', SILENT)
    assert gaps(audit(BUILD, rows((PAD, RAISES), gone), [])) == [
        "TST101: aten.gone, aten.pad.gone: torch 2.6.0 declares none of them"
    ]
    assert audit(BUILD, rows((PAD, RAISES), ('ops = ["aten.gone", "aten.pad.out"]', SILENT)), []).clean


def test_a_public_call_is_looked_up_too(rows) -> None:
    build = replace(BUILD, ops=BUILD.ops | {"torch.nn.functional.interpolate"})
    known = 'calls = ["torch.nn.functional.interpolate", "torch.nn.functional.pad"]\nparams = ["input"]'
    gone = 'calls = ["torch.nn.functional.gone"]\nparams = ["input"]'
    assert audit(build, rows((PAD, RAISES), (known, SILENT)), []).clean
    assert not audit(build, rows((PAD, RAISES), (gone, SILENT)), []).clean


def test_ops_of_a_package_that_is_not_here_cannot_be_checked(rows) -> None:
    ruleset = rows((PAD, RAISES), ('ops = ["vision.roi"]', SILENT))
    outcome = audit(BUILD, ruleset, [])
    assert outcome.clean
    assert [each.subject for each in outcome.unchecked] == ["TST101: vision.roi"]
    here = replace(BUILD, ops=BUILD.ops | {"vision.nms"}, packages={"torch": "2.6.0", "vision": "0.21.0"})
    assert gaps(audit(here, ruleset, [])) == ["TST101: vision.roi: torch 2.6.0 declares none of them"]
    there = replace(here, ops=here.ops | {"vision.roi"})
    assert audit(there, ruleset, []).unchecked == ()


def test_functions_of_a_package_are_not_missed_because_it_declares_ops(rows) -> None:
    ruleset = rows(('calls = ["vision.ops.roi.RoIFunction"]\nparams = ["input"]', SILENT))
    build = replace(BUILD, found=(), ops=BUILD.ops | {"vision.nms.default"})
    outcome = audit(build, ruleset, [])
    assert outcome.clean
    assert [each.why for each in outcome.unchecked] == ["functions of packages are not listed"]


def test_an_alert_that_no_binary_prints_dangles_unless_its_libraries_are_not_here(rows) -> None:
    build = replace(BUILD, found=())
    assert gaps(audit(build, rows((PAD, RAISES)), [])) == [
        "TST100: alert 'pad_cuda': no call in these binaries prints it"
    ]
    without_cuda = audit(replace(build, has_cuda=False), rows((PAD, RAISES)), [])
    assert without_cuda.clean
    assert [each.why for each in without_cuda.unchecked] == ["this build has no CUDA libraries"]
    on_cpu = RAISES.replace('["cuda"]', '["cuda", "cpu"]')
    assert not audit(replace(build, has_cuda=False), rows((PAD, on_cpu)), []).clean
    on_mps = audit(build, rows((PAD, RAISES.replace("cuda", "mps"))), [])
    assert [each.why for each in on_mps.unchecked] == ["this build has no Metal libraries"]


def test_an_entry_that_an_earlier_one_hides_says_nothing(rows) -> None:
    newer = SILENT.replace(">=2.0", ">=2.5")
    build = replace(BUILD, found=())
    assert audit(build, rows((PAD, newer + RAISES)), []).clean
    assert not audit(replace(build, torch=Version("2.4.1")), rows((PAD, newer + RAISES)), []).clean
    narrow = newer.replace('torch = ">=2.5"', 'torch = ">=2.5"\nvia = ["torch.nn.functional.pad"]')
    assert not audit(build, rows((PAD, narrow + RAISES)), []).clean


def test_a_claim_whose_sign_is_gone_dangles_unless_it_cannot_be_seen(rows) -> None:
    ruleset = rows((PAD, RAISES))
    assert gaps(audit(BUILD, ruleset, [claim("branch", "f")])) == ["branch 'f': torch 2.6.0 does not show it"]
    assert audit(BUILD, ruleset, [claim("branch", "f", torch=SpecifierSet(">=2.7"))]).clean
    for unseen, why in (
        (claim("branch", "f", package="vision"), "vision is not in this target"),
        (claim("alert", "f", device="mps"), "this build has no Metal libraries"),
    ):
        outcome = audit(BUILD, ruleset, [unseen])
        assert outcome.clean
        assert [each.why for each in outcome.unchecked] == [why]


def test_a_claim_that_names_no_row_dangles(rows) -> None:
    lost = claim("mps", "aten.pad.default", rules=("TST100", "TST999"), cleared="")
    outcome = audit(BUILD, rows((PAD, RAISES)), [lost])
    assert gaps(outcome) == ["mps 'aten.pad.default' -> TST999: there is no row with this id"]


def test_the_outcome_reads_as_text_and_as_json(rows) -> None:
    build = replace(BUILD, found=(*BUILD.found, Sign("branch", "at::native::new", ("torch/lib/libtorch_cuda.so",))))
    outcome = audit(build, rows((PAD, RAISES), ('ops = ["vision.roi"]', SILENT)), [claim("python", "gone")])
    for width in (60, 80, 120):
        text = outcome.to_text(width)
        assert max(map(len, text.splitlines())) <= width
    assert "1 uncovered, 1 dangling, 1 not checkable here (2 rows, 1 claims)" in text
    assert "  branch 'at::native::new': no row speaks for it" in text
    assert "      torch/lib/libtorch_cuda.so" in text
    document = json.loads(outcome.to_json())
    assert (document["schema"], document["clean"], document["torch"]) == (1, False, "2.6.0")
    assert document["uncovered"][0]["where"] == ["torch/lib/libtorch_cuda.so"]
    assert document["unchecked"] == [
        {"subject": "TST101: vision.roi", "why": "nothing in this target declares ops of that namespace"}
    ]
