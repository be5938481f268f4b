"""Run under torchrun: every rank looks at the step, and rank 0 gets what all of them found.

The ranks talk through the store that torchrun keeps (TCPStore), beside the process groups of the user's step.
"""

from __future__ import annotations

import os
import pickle
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import wraps
from typing import Any, TypeVar

import torch

from opscan.distributed.late import replaced_when_loaded
from opscan.distributed.watch import Watch
from opscan.distributed.world import as_one_of
from opscan.distributed.wrapping import shapes_compared

Value = TypeVar("Value")
_POLL_S = 0.05
_FAREWELL_S = 10.0


class Ranks:
    """This process among the others."""

    def __init__(self, store: Any, rank: int, size: int) -> None:
        self._store, self.rank, self.size = store, rank, size

    def gathered(self, value: Value) -> list[Value] | None:
        """What each rank hands in, by rank; None on all but rank 0.

        It waits for the others; the watch ends it when one of them is gone.
        """
        self._store.set(f"found/{self.rank}", zlib.compress(pickle.dumps(value)))
        self._store.set(f"done/{self.rank}", "1")
        if self.rank:
            return None
        values = []
        for rank in range(self.size):
            self._await(f"found/{rank}")
            values.append(pickle.loads(zlib.decompress(self._store.get(f"found/{rank}"))))
        return values

    def agreed(self, status: int | None) -> int:
        """The exit status that rank 0 says; all have it, so that torchrun ends none before the report is out."""
        if self.rank == 0:
            self._store.set("status", str(status))
            until = time.monotonic() + _FAREWELL_S
            while int(self._store.add("bye", 0)) < self.size - 1 and time.monotonic() < until:
                time.sleep(_POLL_S)
            return int(status or 0)
        self._await("status")
        said = int(self._store.get("status"))
        self._store.add("bye", 1)
        return said

    def _await(self, key: str) -> None:
        while not self._store.check([key]):
            time.sleep(_POLL_S)


@contextmanager
def joined(patience_s: float) -> Iterator[Ranks]:
    """Join the ranks that torchrun started; see Note [How ranks end together].

    A step is run several times here, so its process group is made once and lasts until the end. CUDA's current device
    is the rank's own. `patience_s` is how long all may stand still.
    """
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", 0)) % torch.cuda.device_count())
    watch = Watch(_connected(rank, size), rank, size, patience_s)
    watch.start()
    try:
        with as_one_of(size), replaced_when_loaded(dict.fromkeys(_HOLDERS, _ONCE) | _COMPARING):
            yield Ranks(_connected(rank, size), rank, size)
    finally:
        watch.stop()
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def _connected(rank: int, size: int) -> Any:
    """A connection to the store of torchrun, with keys of opscan's own; waits for nothing by itself."""
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    store, _, _ = next(rendezvous("env://", rank, size, timeout=timedelta(seconds=60)))
    return PrefixStore(f"opscan/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)


def _once(original: Callable[..., None]) -> Callable[..., None]:
    @wraps(original)
    def initialise(*args: Any, **kwargs: Any) -> None:
        if not torch.distributed.is_initialized():
            original(*args, **kwargs)

    return initialise


def _later(original: Callable[..., None]) -> Callable[..., None]:
    """destroy_process_group, which `joined` calls at the end, for a group of the user's at once."""

    @wraps(original)
    def destroy(group: Any = None) -> None:
        if group is not None and group is not torch.distributed.group.WORLD:
            original(group)

    return destroy


_COMPARING = {"torch.nn.parallel.distributed": {"_verify_param_shape_across_processes": shapes_compared}}
_HOLDERS = ("torch.distributed", "torch.distributed.distributed_c10d", "torch.distributed.device_mesh")
_ONCE = {"init_process_group": _once, "destroy_process_group": _later}
