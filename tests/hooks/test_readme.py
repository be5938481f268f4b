"""What the README shows of hooks, workflows and tests: it parses, and what it names is there."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

import opscan
from opscan.cli import main

ROOT = Path(opscan.__file__).parents[1]


def blocks() -> list[Any]:
    """The YAML documents in the README; skipped as long as there are none."""
    readme = ROOT / "README.md"
    found = re.findall(r"```yaml\n(.*?)```", readme.read_text(encoding="utf-8"), re.DOTALL) if readme.is_file() else []
    if not found:
        pytest.skip("the README shows no YAML yet" if readme.is_file() else "not run from a checkout")
    return [yaml.safe_load(each) for each in found]


def is_a_command_line(words: list[str]) -> bool:
    """Whether opscan reads these words without complaint: `--help` at their end is then all it does."""
    with contextlib.redirect_stdout(io.StringIO()) as shown, contextlib.redirect_stderr(io.StringIO()) as complaint:
        with contextlib.suppress(SystemExit):
            main([*words, "--help"])
        unknown = [word for word in words if word.startswith("--") and word not in shown.getvalue()]
    return not unknown and not complaint.getvalue() and f"opscan {words[0]}" in shown.getvalue()


def test_hooks_that_are_named_exist_and_take_these_arguments() -> None:
    manifest = {each["id"]: each for each in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())}
    commands = {"opscan-lint": "lint", "opscan-check": "check-files"}
    named = [hook for block in blocks() for repo in block.get("repos", ()) for hook in repo["hooks"]]
    assert {each["id"] for each in named} == set(manifest) == set(commands)
    for hook in named:
        assert not hook.get("args") or is_a_command_line([commands[hook["id"]], *hook["args"]]), hook


def test_steps_of_workflows_run_commands_that_exist_and_may_do_what_they_do() -> None:
    jobs = [job for block in blocks() for job in block.get("jobs", {}).values()]
    steps = [step for job in jobs for step in job["steps"]]
    commands = [line for step in steps for line in step.get("run", "").splitlines() if line.startswith("opscan ")]
    assert commands
    for command in commands:
        assert is_a_command_line(shlex.split(command.partition(" > ")[0])[1:]), command
    for job in jobs:
        if any("upload-sarif" in step.get("uses", "") for step in job["steps"]):
            assert job["permissions"]["security-events"] == "write"


def test_a_command_line_that_does_not_exist_is_told_apart() -> None:
    assert is_a_command_line(["check", "mymodel:Net", "--strict"])
    assert not is_a_command_line(["check", "mymodel:Net", "--stern"])
    assert not is_a_command_line(["chekc", "mymodel:Net"])
