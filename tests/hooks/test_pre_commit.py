"""The hooks under the real pre-commit, in real git repositories, with no network: commits refused and let through."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import opscan
from tests.conftest import Outcome, run_process

ROOT = Path(opscan.__file__).parents[1]
MANIFEST = ".pre-commit-hooks.yaml"
pytestmark = [
    pytest.mark.skipif(not (ROOT / MANIFEST).is_file(), reason="not run from a checkout: there are no hooks"),
    pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed"),
]
PADS = """\
from torch import nn


class Pads(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 3, 1)
        self.conv = nn.Conv2d(3, 4, 3, padding=1, padding_mode="replicate")

    def forward(self, x):
        return self.conv(self.first(x))
"""
ZEROS = PADS.replace(', padding_mode="replicate"', "")
WANTS = """\
from torch import nn


class Wants(nn.Module):
    def __init__(self, engine):
        super().__init__()
        self.layer = engine.layer()

    def forward(self, x):
        return self.layer(x)
"""
ODD = """\
from torch import nn


class Odd(nn.Linear):
    def __init__(self):
        super().__init__(5, 5)

    def forward(self, x):
        if tuple(x.shape) != (3, 7, 11, 5):
            raise ValueError("not the shape it is for")
        return super().forward(x)
"""
WRONG = "import torch\n\ntorch.use_deterministic_algorithms = True\n"
RIGHT = "import torch\n\nprint(torch.__version__)\n"


@dataclass(frozen=True)
class Repository:
    """A git repository of a user's, with an environment that has opscan in it, and nothing from outside."""

    folder: Path
    env: dict[str, str]

    def run(self, *words: str, **env: str) -> Outcome:
        return run_process(*words, cwd=self.folder, env=self.env | env)

    def git(self, *words: str) -> Outcome:
        return self.run("git", *words)

    def pre_commit(self, *words: str, **env: str) -> Outcome:
        return self.run(sys.executable, "-m", "pre_commit", *words, **env)

    def write(self, **files: str) -> None:
        for name, text in files.items():
            self.add(name.replace("__", "."), text)

    def add(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        assert self.git("add", name).status == 0

    def use(self, hooks: Path, *ids: str) -> None:
        """Write the configuration, with the hooks of a repository as it is now."""
        rev = git(hooks, "rev-parse", "HEAD")
        listed = "".join(f"  - id: {each}\n" for each in ids)
        self.add(".pre-commit-config.yaml", f"repos:\n- repo: {hooks}\n  rev: {rev}\n  hooks:\n{listed}")


def git(folder: Path, *words: str) -> str:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "core.hooksPath=/dev/null")
    done = subprocess.run(("git", *identity, *words), cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def committed(folder: Path) -> Path:
    git(folder, "init", "-q")
    git(folder, "add", "-A", "-f")
    git(folder, "commit", "-q", "-m", "all")
    return folder


@pytest.fixture(scope="module")
def hooks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository that users name: this checkout, as far as the hooks use it."""
    pytest.importorskip("pre_commit", reason="pre-commit is not installed")
    folder = tmp_path_factory.mktemp("hooks")
    for name in ("opscan", "rules", "hooks"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in (MANIFEST, "pyproject.toml", ".gitattributes"):
        shutil.copy(ROOT / name, folder / name)
    return committed(folder)


@pytest.fixture
def user(tmp_path: Path) -> Repository:
    """An empty repository of a user's. On its PATH is an opscan of this checkout; pip finds no index."""
    programs, home, folder = (tmp_path / name for name in ("bin", "home", "my project"))
    for each in (programs, home, folder):
        each.mkdir()
    (programs / "opscan").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m opscan "$@"\n')
    (programs / "opscan").chmod(0o755)
    names = ("AUTHOR", "COMMITTER")
    env = {
        "PATH": os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": str(ROOT),
        "HOME": str(home),
        "PRE_COMMIT_HOME": str(home / "pre-commit"),
        "PIP_NO_INDEX": "1",
        "GIT_CONFIG_NOSYSTEM": "1",
        "OMP_NUM_THREADS": "1",
        **{f"GIT_{name}_NAME": "a" for name in names},
        **{f"GIT_{name}_EMAIL": "a@example.com" for name in names},
    }
    git(folder, "init", "-q")
    return Repository(folder, {**os.environ, **env})


def test_pre_commit_takes_the_manifest_and_says_nothing_of_it(user: Repository, hooks: Path) -> None:
    outcome = user.pre_commit("validate-manifest", str(hooks / MANIFEST))
    assert (outcome.status, outcome.out, outcome.err) == (0, "", "")


def test_models_of_all_files_are_checked_where_there_are_any(user: Repository, hooks: Path) -> None:
    user.use(hooks, "opscan-check")
    user.add("src/my nets/a net.py", PADS)
    user.add("src/zeros.py", ZEROS)
    user.add("src/wants.py", WANTS)
    user.add("src/odd.py", ODD)
    user.add("util.py", "raise SystemExit('imported')\n")
    user.add("notebook.ipynb", notebook(PADS))
    user.add("script", "#!/usr/bin/env python3\nraise SystemExit('imported')\nclass A(B): ...\n")
    user.add("pyproject.toml", '[tool.opscan.inputs]\n"src/*.py:Odd" = ["3x7x11x5"]\n')
    outcome = user.pre_commit("run", "--all-files")
    assert outcome.status == 1, outcome.err
    assert "- hook id: opscan-check\n- exit code: 1\n" in outcome.out
    assert "src/my nets/a net.py:Pads  (cuda, torch " in outcome.out
    assert "where     conv  built src/my nets/a net.py:8, called src/my nets/a net.py:11" in outcome.out
    assert "skipped   src/wants.py:Wants: Wants(" in outcome.out
    assert "3 models checked, 1 with findings; 1 skipped" in outcome.out
    assert "WARNING" not in outcome.out + outcome.err


def test_a_commit_is_refused_until_the_model_repeats(user: Repository, hooks: Path) -> None:
    user.use(hooks, "opscan-check")
    assert user.pre_commit("install").status == 0
    user.add("net.py", PADS)
    refused = user.git("commit", "-m", "replicate")
    assert refused.status == 1
    assert "aten.replication_pad2d_backward.default: switches, in backward (OPS102)" in refused.err
    assert user.git("rev-parse", "HEAD").status != 0
    user.add("net.py", ZEROS)
    user.add("wants.py", WANTS)
    passed = user.git("commit", "-m", "zeros")
    assert passed.status == 0, passed.err
    assert re.search(r"opscan check\.+Passed", passed.err)
    user.add("readme.txt", "no Python")
    assert re.search(r"opscan check\.+\(no files to check\)Skipped", user.git("commit", "-m", "text").err)


def test_a_target_that_the_project_names_must_be_looked_at(user: Repository, hooks: Path) -> None:
    user.use(hooks, "opscan-check")
    user.add("wants.py", WANTS)
    user.add("pyproject.toml", '[tool.opscan.targets]\n"wants.py" = ["Wants"]\n')
    outcome = user.pre_commit("run", "--all-files")
    assert outcome.status == 1
    assert "- exit code: 2\n" in outcome.out


def notebook(*cells: str) -> str:
    made = [
        {"cell_type": "code", "source": cell.splitlines(True), "metadata": {}, "outputs": [], "execution_count": None}
        for cell in cells
    ]
    return json.dumps({"cells": made, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


@pytest.fixture(scope="module")
def has_lint() -> None:
    listed = run_process(sys.executable, "-m", "opscan", "--help", cwd=ROOT).out
    if not re.search(r"^\s+lint\s", listed, re.MULTILINE):
        pytest.skip("there is no command `opscan lint` yet")


@pytest.mark.usefixtures("has_lint")
def test_a_commit_is_refused_until_its_settings_are_right(user: Repository, hooks: Path) -> None:
    """Without torch, without opscan installed, and without a package index."""
    user.use(hooks, "opscan-lint")
    user.env["PYTHONPATH"] = ""
    assert user.pre_commit("install").status == 0
    user.add("my settings.py", WRONG)
    user.add("notebook.ipynb", notebook("x = 1\n", WRONG))
    user.add("tomllib.py", "raise SystemExit('imported')\n")
    refused = user.git("commit", "-m", "wrong")
    assert refused.status == 1
    assert "- hook id: opscan-lint\n- exit code: 1\n" in refused.err
    assert re.search(r"^my settings\.py:3:\d+: OPL\d+ ", refused.err, re.MULTILINE)
    assert re.search(r"^notebook\.ipynb.*OPL\d+ ", refused.err, re.MULTILINE)
    assert "imported" not in refused.err
    user.add("my settings.py", RIGHT)
    user.add("notebook.ipynb", notebook("x = 1\n", RIGHT))
    passed = user.git("commit", "-m", "right")
    assert passed.status == 0, passed.err
    assert re.search(r"opscan lint\.+Passed", passed.err)


SAYS_WHAT_IT_GETS = """\
import sys

def main():
    import tomllib
    print(sys.argv[1:], sys.flags.isolated, sys.flags.no_site, sys.flags.utf8_mode)
    print(tomllib.__name__, [path for path in sys.path if "packages" in path], sys.version_info >= (3, 11))
    return 1
"""


def test_the_entry_runs_the_checkout_isolated_and_hands_the_files_on(
    user: Repository, hooks: Path, tmp_path: Path
) -> None:
    """With a stand-in for the command, which says what it was run with."""
    standing = tmp_path / "standing in"
    (standing / "opscan").mkdir(parents=True)
    (standing / "opscan" / "__init__.py").write_text("")
    (standing / "opscan" / "cli.py").write_text(SAYS_WHAT_IT_GETS)
    shutil.copytree(hooks / "hooks", standing / "hooks")
    shutil.copy(hooks / MANIFEST, standing)
    user.use(committed(standing), "opscan-lint")
    for name in ("a b.py", "tomllib.py", "notebook.ipynb", "readme.txt"):
        user.add(name, "raise SystemExit('imported')\n")
    outcome = user.pre_commit("run", "--all-files")
    files = "'a b.py', 'notebook.ipynb', 'tomllib.py'"
    assert f"['lint', {files}] 1 1 1\ntomllib [] True\n" in outcome.out, outcome.out + outcome.err
    assert "WARNING" not in outcome.out + outcome.err


def test_the_entry_passes_over_pythons_that_are_too_old_or_broken(hooks: Path, tmp_path: Path) -> None:
    """Old ones, stubs and shims fail the question for their version; the next name is tried."""
    for name in ("python3", "python"):
        (tmp_path / name).write_text("#!/bin/sh\necho from the stub; exit 1\n")
        (tmp_path / name).chmod(0o755)
    entry = ("/bin/sh", str(hooks / "hooks" / "opscan-lint"), "--help")
    none = run_process(*entry, cwd=tmp_path, env={"PATH": str(tmp_path)})
    assert (none.status, none.out) == (2, "")
    assert "no Python 3.11 or newer on the PATH" in none.err
    (tmp_path / "python3.12").symlink_to(sys.executable)
    found = run_process(*entry, cwd=tmp_path, env={"PATH": str(tmp_path)})
    assert "usage: opscan" in found.out + found.err
