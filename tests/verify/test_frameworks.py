"""Cases C and E: where to seed, with Lightning and with Keras itself."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import pytest

pytestmark = pytest.mark.packages
Answer = Callable[..., dict[str, Any]]


@pytest.mark.parametrize("package", ["lightning", "keras"])
@pytest.mark.parametrize(
    ("function", "what"), [("unseeded", "initial"), ("seeded_late", "after"), ("seeded_first", "")]
)
def test_where_to_seed(answer: Answer, package: str, function: str, what: str) -> None:
    if find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    found = answer(f"opscan.examples.seeding_{package}:{function}", "-o", "page.html", KERAS_BACKEND="torch")
    assert found["compared"]["step"] == 16
    assert len(found["growth"]["epochs"]) == 2
    assert found["identical"] == (not what)
    if what:
        assert (found["cause"]["kind"], found["cause"]["step"]) == ("weights", 0)
        assert what in found["cause"]["what"]
