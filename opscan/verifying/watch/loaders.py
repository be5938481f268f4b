"""Batches of torch's DataLoader: the indices a sampler gave, the values that came, and what workers draw."""

from __future__ import annotations

import inspect
import os
import sys
import weakref
from collections.abc import Callable
from types import ModuleType
from typing import Any

from opscan.blame import lines_of
from opscan.verifying.watch.digests import leaves_of
from opscan.verifying.watch.patches import Patches
from opscan.verifying.watch.recording import Recording, hashed

LOADER = "torch.utils.data.dataloader"


class Loaders:
    """Loaders are numbered in the order in which they are first gone through."""

    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._process = os.getpid()
        self._numbers: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self._count = 0
        self._begun = 0

    def install(self, patches: Patches) -> Callable[[ModuleType], None]:
        """What to do with torch.utils.data.dataloader once it is there."""

        def install(module: ModuleType) -> None:
            base = module._BaseDataLoaderIter
            patches.replace(base, "__init__", self._begin)
            patches.replace(base, "__next__", self._next)
            patches.replace(base, "_next_index", self._index)
            for name in ("_MapDatasetFetcher", "_IterableDatasetFetcher"):
                patches.replace(getattr(module._utils.fetch, name), "fetch", self._fetch)
            patches.replace(module._utils.worker, "_worker_loop", self._worker_loop)
            patches.replace(module.DataLoader, "__iter__", self._iterate)

        return install

    def _iterate(self, original: Any) -> Any:
        def __iter__(loader: Any) -> Any:  # noqa: N807 (it replaces one)
            self._tell_of(loader)
            if self._numbers[loader] == 0:
                self._recording.epoch = self._begun
                self._begun += 1
            return original(loader)

        return __iter__

    def _tell_of(self, loader: Any) -> None:
        if loader not in self._numbers:
            self._numbers[loader] = self._count
            self._count += 1
            own, library = lines_of(sys._getframe(2))
            self._recording.put(
                "loader",
                l=self._numbers[loader],
                workers=loader.num_workers,
                batch=loader.batch_size,
                sampler=type(loader.sampler).__name__ if loader.batch_sampler else "none",
                dataset=type(loader.dataset).__name__,
                size=_length(loader),
                at=[own, library],
            )

    def _begin(self, original: Any) -> Any:
        def __init__(iterator: Any, loader: Any, *args: Any, **kwargs: Any) -> None:  # noqa: N807
            iterator._opscan = (self._numbers.get(loader, -1), loader.num_workers)
            original(iterator, loader, *args, **kwargs)

        return __init__

    def _next(self, original: Any) -> Any:
        def __next__(iterator: Any) -> Any:  # noqa: N807
            self._recording.loading = True
            try:
                batch = original(iterator)
            finally:
                self._recording.loading = False
            number, workers = getattr(iterator, "_opscan", (-1, 0))
            with self._recording.silenced():
                leaves = leaves_of(batch)
            place = list(lines_of(sys._getframe(1)))
            self._recording.put("batch", l=number, d=leaves, ep=self._recording.epoch, workers=workers, at=place)
            return batch

        return __next__

    def _index(self, original: Any) -> Any:
        def _next_index(iterator: Any) -> Any:
            index = original(iterator)
            number, _ = getattr(iterator, "_opscan", (-1, 0))
            if index is not None:
                self._recording.put("index", l=number, d=hashed(repr(index).encode()), few=repr(index)[:60])
            return index

        return _next_index

    # -- in a worker

    def _worker_loop(self, original: Any) -> Any:
        def _worker_loop(*args: Any, **kwargs: Any) -> Any:
            if os.getpid() != self._process:  # forked: what was watched is watched here too
                worker = inspect.signature(original).bind(*args, **kwargs).arguments["worker_id"]
                self._recording.in_worker(f"worker {worker}")
            try:
                return original(*args, **kwargs)
            finally:
                self._recording.flush()

        return _worker_loop

    def _fetch(self, original: Any) -> Any:
        def fetch(fetcher: Any, possibly_batched_index: Any) -> Any:
            if self._recording.worker is None:
                return original(fetcher, possibly_batched_index)
            self._recording.put("fetch", d=hashed(repr(possibly_batched_index).encode()))
            try:
                return original(fetcher, possibly_batched_index)
            finally:
                self._recording.flush()

        return fetch


def _length(loader: Any) -> int | None:
    try:
        return len(loader.dataset)
    except Exception:  # an iterable dataset has none
        return None
