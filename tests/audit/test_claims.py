"""Reading *.signs.toml: what is wrong says where and how to mend it."""

from __future__ import annotations

from pathlib import Path

import pytest
from packaging.version import Version

from opscan.audit import load_claims
from opscan.errors import RulesError

GOOD = '[[sign]]\nkind = "branch"\nname = "at::native::f"\nrules = ["OPS101"]\n'


def claims_of(folder: Path, text: str) -> tuple:
    (folder / "some.signs.toml").write_text(text)
    return load_claims(folder)


def test_a_claim_with_everything_left_out_holds_for_every_torch(tmp_path: Path) -> None:
    (claim,) = claims_of(tmp_path, GOOD)
    assert (claim.names, claim.rules, claim.package, claim.device) == (("at::native::f",), ("OPS101",), "torch", "cpu")
    assert claim.expects(Version("1.13.1"))
    assert claim.source == "some.signs.toml"


def test_perhaps_speaks_for_a_sign_without_expecting_it(tmp_path: Path) -> None:
    (claim,) = claims_of(tmp_path, GOOD + 'torch = ">=2.11"\nperhaps = ">=2.7"\n')
    seen = {text: (claim.expects(Version(text)), claim.covers(Version(text))) for text in ("2.6.0", "2.8.0", "2.11.0")}
    assert seen == {"2.6.0": (False, False), "2.8.0": (False, True), "2.11.0": (True, True)}


@pytest.mark.parametrize("kind", ["call", "kernel"])
def test_kernels_and_calls_lie_in_the_cuda_libraries(kind: str, tmp_path: Path) -> None:
    (claim,) = claims_of(tmp_path, GOOD.replace("branch", kind))
    assert claim.device == "cuda"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD.replace("branch", "branhc"), "Did you mean `branch`"),
        (GOOD.replace('name = "at::native::f"\n', ""), "neither `name` nor `names`"),
        (GOOD + 'names = ["g"]\n', "neither `name` nor `names`, or both"),
        (GOOD.replace('rules = ["OPS101"]\n', ""), "neither `rules` nor `cleared`"),
        (GOOD + 'cleared = "for no reason"\n', "neither `rules` nor `cleared`, or both"),
        (GOOD + 'torch = "2.2 or so"\n', "version range"),
        (GOOD + 'tourch = ">=2.2"\n', "unknown key `tourch`"),
        (GOOD + 'device = "gpu"\n', "Allowed: cuda, mps, cpu"),
        ("[[sgin]]\n", "`sign` is missing"),
        ("[[sign]\n", "not valid TOML"),
    ],
)
def test_what_is_wrong_is_named(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(RulesError) as error:
        claims_of(tmp_path, text)
    assert words in str(error.value)
    assert "some.signs.toml" in str(error.value)


def test_a_folder_may_have_none(tmp_path: Path) -> None:
    assert load_claims(tmp_path) == ()
