"""The pytest plugin: the marker `opscan`. pytest loads it wherever opscan is installed: it imports next to nothing."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

_MARKER = (
    "opscan(device=..., torch_version=..., strict=..., amp=..., rules=..., ignore=...): run the test once on the CPU,"
    " and fail it if any op that it runs, forward or backward, is nondeterministic on the device; the arguments are"
    " those of opscan.testing.judged"
)


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker, for --strict-markers and --markers."""
    config.addinivalue_line("markers", _MARKER)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail a marked test that the marker would do nothing for: a unittest method, a coroutine, what is no function."""
    if item.get_closest_marker("opscan") is not None and not _is_plain(item):
        pytest.fail("the marker opscan is for plain test functions and methods", pytrace=False)


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a marked test as the step that is judged."""
    options = _options(pyfuncitem)
    if options is None:
        return None
    from opscan.testing import failure_words, judged

    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    report = judged(pyfuncitem.obj, arguments, pyfuncitem.name, **options)
    if report.fails():
        pytest.fail(failure_words(report), pytrace=False)
    return True


def _options(item: pytest.Item) -> dict[str, Any] | None:
    """The arguments of the item's markers, those of the nearest first; None where it has none."""
    markers = list(item.iter_markers("opscan"))
    if not markers:
        return None
    merged: dict[str, Any] = {}
    for marker in reversed(markers):
        if marker.args:
            pytest.fail(f"the marker opscan takes its arguments by name, not {marker.args}", pytrace=False)
        merged |= marker.kwargs
    return merged


def _is_plain(item: pytest.Item) -> bool:
    if not isinstance(item, pytest.Function) or inspect.iscoroutinefunction(item.obj):
        return False
    return type(item).runtest is pytest.Function.runtest
