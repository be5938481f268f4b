"""Ten planted causes, each named at the right place."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.verify.planted import line_of

Answer = Callable[..., dict[str, Any]]
Plant = Callable[[str], str]

CASES = {
    "unseeded numpy in a worker": ("augmented", "data", "drawn", "the draw"),
    "dropout with a private generator": ("private_generator", "random", "drawn", "the draw"),
    "a GPU's kernel, simulated": ("gpu_kernel", "op", "called", "the op"),
    "a race in a shared buffer": ("race", "memory", "called", "the read"),
    "a seed from the clock": ("time_seed", "weights", "seeded", "the seed"),
    "memory that nothing wrote": ("uninitialized", "memory", "memory", "the memory"),
    "the order of a set": ("set_order", "data", "set", "the set"),
}


@pytest.mark.parametrize(("name", "kind", "label", "place"), CASES.values(), ids=CASES)
def test_the_cause_is_named(answer: Answer, plant: Plant, name: str, kind: str, label: str, place: str) -> None:
    """Every op is recorded at once: that a second pair of runs may do it is another test's."""
    cause = answer(plant(name), "--ops", "all")["cause"]
    assert cause["kind"] == kind, cause
    assert cause["step"] == 0
    words = " ".join(each["text"] for each in cause["details"] if each["label"] == label)
    assert f"{name}.py:{line_of(name, place)}" in words, cause


def test_a_nondeterministic_op_at_layer_7_of_12_is_told_with_its_name_and_that_its_inputs_agree(
    answer: Answer, plant: Plant
) -> None:
    cause = answer(plant("custom_op"))["cause"]
    details = {each["label"]: each["text"] for each in cause["details"]}
    assert (cause["kind"], cause["step"], details["module"]) == ("op", 0, "7")
    assert details["op"] == "planted.scale.default, in forward"
    assert details["inputs"].startswith("bit-equal")
    assert "none speaks of it" in details["rule"]


def test_generators_that_a_checkpoint_lacks(answer: Answer, plant: Plant) -> None:
    cause = answer(plant("resume"), "--resume=--resume")["cause"]
    assert (cause["kind"], cause["step"]) == ("resume", 2)  # ended in the third step, before that one was saved
    assert {"label": "generators", "text": "not restored: torch's generator of the CPU"} in cause["details"]


def test_an_optimizer_that_a_checkpoint_lacks(answer: Answer, plant: Plant) -> None:
    cause = answer(plant("resume"), "--resume=--resume --restore --forget", "--stop", "2")["cause"]
    assert {"label": "optimizer", "text": "its state was not restored"} in cause["details"]
    assert not [each for each in cause["details"] if each["label"] == "generators"]


def test_a_checkpoint_with_everything_is_identical(answer: Answer, plant: Plant) -> None:
    assert answer(plant("resume"), "--resume=--resume --restore")["identical"]


def test_another_number_of_workers(verify: Callable[..., Any], answer: Answer, plant: Plant) -> None:
    script = plant("workers")
    for number in ("0", "2"):
        assert verify(script, "--keep", f"with{number}", "--", number).status == 0
    cause = answer("--compare", "with0/run1.opslog", "with2/run1.opslog")["cause"]
    details = {each["label"]: each["text"] for each in cause["details"]}
    assert details["differs"] == "num_workers 0 in one run, 2 in the other"
    assert sys.platform == "darwin" or details["loader"].startswith("workers.py:")
