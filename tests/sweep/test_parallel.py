"""Tasks spread over workers through joblib, some of which are killed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from opscan.sweeps import parallel
from opscan.sweeps.parallel import BACKENDS, Backend, spread
from tests.sweep.workers import KilledOnce, double, killed_always

TASKS = range(8)
OTHERS = [pytest.param(name, marks=pytest.mark.packages) for name in BACKENDS[1:]]


def results(function: Callable[[int], int], backend: Backend) -> dict[int, Any]:
    return dict(spread(function, TASKS, backend))


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> Backend:
    if request.param != "loky":
        pytest.importorskip({"dask": "distributed"}.get(request.param, request.param))
    return Backend(request.param, jobs=2)


@pytest.mark.parametrize("backend", ["loky", *OTHERS], indirect=True)
def test_a_killed_worker_costs_nothing(backend: Backend, tmp_path: Path) -> None:
    assert results(KilledOnce(tmp_path), backend) == {task: 2 * task for task in TASKS}
    assert (tmp_path / "killed").exists()


def test_a_task_that_kills_every_worker_costs_what_was_under_way() -> None:
    found = results(killed_always, Backend(jobs=2))
    lost = {task for task, result in found.items() if isinstance(result, BaseException)}
    assert set(found) == set(TASKS)
    assert 3 in lost
    assert len(lost) <= 2
    assert all(found[task] == 2 * task for task in TASKS if task not in lost)


def test_one_job_needs_no_worker() -> None:
    assert results(double, Backend(jobs=1)) == {task: 2 * task for task in TASKS}


def test_results_come_some_at_a_time_where_the_backend_has_no_generators(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def sequential(joblib: Any, backend: Backend) -> Iterator[int]:
        with joblib.parallel_config("multiprocessing"):
            yield 1

    monkeypatch.setitem(parallel._RUNNING, "loky", sequential)
    monkeypatch.setattr(parallel, "_PORTION", 3)
    monkeypatch.setattr("joblib._parallel_backends.SequentialBackend.supports_return_generator", False)
    assert results(double, Backend()) == {task: 2 * task for task in TASKS}
