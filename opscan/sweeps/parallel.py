"""Many tasks at once, through joblib: on this machine, or on a Dask or Ray cluster."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from typing import Any, TypeVar

from opscan.isolation.client import stop_server
from opscan.sweeps.packages import needs

BACKENDS = ("loky", "dask", "ray")
_STRIKES = 3
_PORTION = 16  # tasks per worker, then the journal is written; a portion ends with some workers waiting

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Backend:
    """Where tasks run: one of BACKENDS, how many at once, and the address of a cluster that is already there."""

    name: str = "loky"
    jobs: int = 1
    cluster: str | None = None


def spread(function: Callable[[T], R], tasks: Sequence[T], backend: Backend) -> Iterator[tuple[int, R | BaseException]]:
    """The position of each task with what `function` returned for it, as they are done.

    When a worker is killed its tasks are given to others. If three workers in a row are killed before any task is done,
    the tasks that were under way get that error for a result. The function itself must not raise.
    """
    joblib = needs("joblib")
    left = dict(enumerate(tasks))
    strikes = 0
    with _RUNNING[backend.name](joblib, backend) as jobs:
        while left:
            done = 0
            try:
                for at, result in _results(joblib, function, left, jobs):
                    done += 1
                    del left[at]
                    yield at, result
            except (Exception, asyncio.CancelledError) as error:  # each backend has its own word for a dead worker
                strikes = 1 if done else strikes + 1
                if strikes == _STRIKES:
                    strikes = 0
                    for at in list(left)[: max(backend.jobs, 1)]:
                        del left[at]
                        yield at, error


def _results(joblib: Any, function: Callable[[T], R], tasks: dict[int, T], jobs: int) -> Iterator[tuple[int, R]]:
    """Results as they come, or some at a time where the backend (Ray's) has no generators."""
    calls = [joblib.delayed(_Numbered(function))(at, task) for at, task in tasks.items()]
    if joblib.parallel.get_active_backend()[0].supports_return_generator:
        with _uninterrupted():  # this is when workers of loky begin
            results = joblib.Parallel(n_jobs=jobs, batch_size=1, return_as="generator_unordered")(calls)
        yield from _closing(results)
        return
    parallel = joblib.Parallel(n_jobs=jobs, batch_size=1)
    size = _PORTION * joblib.effective_n_jobs(jobs)
    for start in range(0, len(calls), size):
        yield from parallel(calls[start : start + size])


def _closing(results: Generator[T]) -> Iterator[T]:
    """The results; when nobody wants more of them what is under way ends, without joblib's word on that."""
    try:
        yield from results
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results.close()


@dataclass(frozen=True)
class _Numbered:
    """A function that returns, with its result, the number it was given."""

    function: Callable[[Any], Any]

    def __call__(self, at: int, task: Any) -> tuple[int, Any]:
        return at, self.function(task)


@contextmanager
def _loky(joblib: Any, backend: Backend) -> Iterator[int]:
    """Processes on this machine. They end with the sweep, and not after some minutes without work."""
    if backend.jobs > 1:  # starting it ends with Ctrl-C unblocked, and would come when workers begin
        resource_tracker.ensure_running()
    try:
        with joblib.parallel_config("loky"):
            yield backend.jobs
    finally:
        if backend.jobs == 1:  # all ran in this process
            stop_server()
        else:
            joblib.externals.loky.get_reusable_executor().shutdown(wait=True, kill_workers=True)


@contextmanager
def _dask(joblib: Any, backend: Backend) -> Iterator[int]:
    distributed = needs("distributed")
    local: dict[str, Any] = {
        "n_workers": backend.jobs,
        "threads_per_worker": 1,
        "dashboard_address": None,
        "memory_limit": 0,
    }
    with _uninterrupted():
        client = distributed.Client(**({"address": backend.cluster} if backend.cluster else local | _QUIET))
    with client, joblib.parallel_config("dask", client=client):
        yield -1


@contextmanager
def _ray(joblib: Any, backend: Backend) -> Iterator[int]:
    ray = needs("ray")
    was_running = ray.is_initialized()
    if not was_running:
        where = {"address": backend.cluster} if backend.cluster else {"num_cpus": backend.jobs}
        with _uninterrupted(), _reporting_nothing():
            ray.init(**where, include_dashboard=False, log_to_driver=False, logging_level=logging.CRITICAL)
    needs("ray.util.joblib").register_ray()
    try:
        with joblib.parallel_config("ray"):
            yield -1
    finally:
        if not was_running:
            ray.shutdown()


_QUIET = {"silence_logs": logging.CRITICAL}
_RUNNING = {"loky": _loky, "dask": _dask, "ray": _ray}


@contextmanager
def _reporting_nothing() -> Iterator[None]:
    """Ray would send statistics of its use from the processes it starts."""
    name = "RAY_USAGE_STATS_ENABLED"
    before = os.environ.get(name)
    os.environ[name] = "0"
    try:
        yield
    finally:
        del os.environ[name]
        if before is not None:
            os.environ[name] = before


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Processes started in here leave a Ctrl-C at the terminal to this one, which then ends them.

    They inherit that it is blocked. Here it only waits until they have begun.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
