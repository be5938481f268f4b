"""What is shipped: a wheel with the rules in it, and an editable install, each working from any directory."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path

import pytest

import opscan
from opscan.rules.load import builtin_rules_dir
from tests.conftest import CNN_SOURCE, Outcome, run_process

ROOT = Path(opscan.__file__).parents[1]
HAS_CHECKOUT = (ROOT / "pyproject.toml").is_file()


def pip(*words: str, cwd: Path) -> Outcome:
    return run_process(sys.executable, "-m", "pip", "--disable-pip-version-check", *words, cwd=cwd)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not HAS_CHECKOUT:
        pytest.skip("not run from a checkout: there is nothing to build")
    folder = tmp_path_factory.mktemp("wheel")
    built = pip("wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT), cwd=folder)
    assert built.status == 0, built.err
    return next(folder.glob("*.whl"))


@pytest.mark.slow
def test_the_wheel_holds_every_rule_file_and_no_test(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    rules = {Path(name).name for name in names if name.startswith("opscan/rules/data/")}
    assert rules >= {path.name for path in builtin_rules_dir().glob("*.toml")}
    assert not [name for name in names if name.startswith(("tests", "benchmarks", "rules/"))]
    assert any(name.endswith("LICENSE") for name in names)


@pytest.mark.slow
def test_an_installed_wheel_finds_the_six_places_from_another_directory(wheel: Path, tmp_path: Path) -> None:
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "mymodel.py").write_text(CNN_SOURCE)
    installed = pip("install", "--quiet", "--no-deps", "--no-index", "--target", str(site), str(wheel), cwd=tmp_path)
    assert installed.status == 0, installed.err
    # -P and -S leave the checkout out; site-packages come back behind the installed wheel.
    code = (
        f"import sys; sys.path[:0] = [{str(site)!r}, *{[path for path in sys.path if 'site-packages' in path]!r}]; "
        "import opscan.cli; assert opscan.__file__.startswith(sys.path[0]), opscan.__file__; "
        "sys.exit(opscan.cli.main(['check', 'mymodel:CNN_v2', '--format', 'json']))"
    )
    outcome = run_process(sys.executable, "-S", "-P", "-c", code, cwd=elsewhere)
    assert outcome.status == 1, outcome.err
    findings = json.loads(outcome.out)["reports"][0]["findings"]
    assert [each["count"] for each in findings if each["verdict"] == "switches"] == [6]
    assert findings[0]["constructed"][0]["file"] == str(elsewhere / "mymodel.py")
