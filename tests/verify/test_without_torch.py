"""Scripts that do not import torch: numbers, draws and logged values are compared, and torch stays away."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Answer = Callable[..., dict[str, Any]]

NUMPY = """\
import sys, random
import numpy as np
import opscan

{seed}
w = np.zeros(8)
for k in range(20):
    x = {draw}
    w -= 0.1 * (w - x)
    opscan.log("loss", float((w * w).sum()))
assert "torch" not in sys.modules
"""
DRAWS = {
    "the global generator": ("np.random.randn(8)", "numpy's global generator"),
    "a generator of its own": ("np.random.default_rng().normal(size=8)", "a numpy Generator of the program's own"),
    "an old generator of its own": ("np.random.RandomState().rand(8)", "a numpy RandomState of the program's own"),
    "Python's generator": ("np.array([random.gauss(0, 1) for _ in range(8)])", "Python's global generator"),
    "a Python generator of its own": ("np.full(8, random.Random().random())", "a random.Random of the program's own"),
}


@pytest.mark.parametrize(("draw", "words"), DRAWS.values(), ids=DRAWS)
def test_the_draw_is_named(answer: Answer, folder: Path, draw: str, words: str) -> None:
    (folder / "train.py").write_text(NUMPY.format(seed="", draw=draw))
    found = answer("train.py")
    drawn = next(each["text"] for each in found["cause"]["details"] if each["label"] == "drawn")
    assert "train.py:8" in drawn
    assert drawn.endswith(words)
    assert found["growth"]["value"] == "loss"
    assert len(found["growth"]["steps"]) == 20


def test_seeded_runs_are_identical(answer: Answer, folder: Path) -> None:
    (folder / "train.py").write_text(NUMPY.format(seed="np.random.seed(0)", draw="np.random.randn(8)"))
    found = answer("train.py")
    assert found["identical"]
    assert found["compared"]["value"] == 20


def test_a_generator_with_a_seed_of_its_own_is_identical_and_still_a_generator(answer: Answer, folder: Path) -> None:
    (folder / "train.py").write_text(
        "import copy, pickle\nimport numpy as np, opscan\nrng = np.random.default_rng(3)\n"
        "assert isinstance(rng, np.random.Generator) and np.random.default_rng(rng) is rng\n"
        "for each in (rng, copy.deepcopy(rng), pickle.loads(pickle.dumps(rng))):\n"
        "    opscan.log('x', each.normal())\n"
        "x = list(range(9)); rng.shuffle(x)\n"
    )
    assert answer("train.py")["identical"]


def test_a_function_and_its_arguments(answer: Answer, folder: Path) -> None:
    (folder / "mine.py").write_text(
        "import sys, time\ndef train(k=1):\n    return {'loss': [1.0 / k, time.time()]} if k else sys.argv[1:]\n"
    )
    cause = answer("mine:train(k=2)")["cause"]
    assert cause["kind"] == "value"
    assert "returned['loss']" in cause["what"]


def test_loading_opscan_log_loads_nothing(folder: Path) -> None:
    from tests.conftest import run_process

    code = "import sys, opscan; opscan.log('x', 1); print(sorted({'torch', 'numpy', 'pandas'} & set(sys.modules)))"
    assert run_process(sys.executable, "-c", code, cwd=Path(__file__).parents[2]).out.strip() == "[]"
