"""One warm process for all tests of faults."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.warm import Warm


@pytest.fixture(scope="session")
def warm() -> Iterator[Warm]:
    """The process that commands are forked from."""
    process = Warm()
    yield process
    process.close()
