"""What collectives answer in a trace, where nobody is sent anything.

A trace runs the step of one rank, and the other ranks are not there. A collective on meta has nothing to send; one on
known values (Note [Known and unknown values]) answers as if every rank had the same: what is gathered is copies of what
this rank gives, a sum stays what it was, and what is received is what was last sent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from opscan.distributed.collectives import NO_MESSAGE, reduction_told, tensors_of

_GATHERING = ("allgather", "_allgather_base", "gather")


def answer(func: Any, args: tuple[Any, ...], alive: list[Any]) -> Any:
    """What an op of the c10d namespace returns, and does to known values, where there is nobody to talk to.

    Its Work is put into `alive`: without its Python part, C++ would wait for it forever.
    """
    name = func._schema.name.partition("::")[2]
    with torch._C._DisableTorchDispatch(), torch.no_grad():
        if name.startswith(_GATHERING):
            _copy_to_all(args[0], args[1])
        elif name in ("alltoall_base_", "_reduce_scatter_base_", "scatter_", "alltoall_", "reduce_scatter_"):
            _fill_alike(args[0], args[1])
        elif name == "recv_":
            _fill_alike(args[0], _last_sent(args[0][0], alive))
    results = func._schema.returns
    if not results:
        return None
    work = _work_class()(args[0] if isinstance(args[0], list) else [args[0]], name == "send")
    alive.append(work)
    reduction_told()
    return work.boxed() if len(results) == 1 else (args[0], work.boxed())


def answer_with_copies(func: Any, args: tuple[Any, ...]) -> Any:
    """What a functional collective returns for known values, as if every rank gave the same; nothing is sent.

    NotImplemented for lists of tensors.
    """
    name, given = func._schema.name.partition("::")[2], args[0]
    if not isinstance(given, torch.Tensor):
        return NotImplemented
    if name in NO_MESSAGE:
        return given
    if name.startswith("all_gather_into_tensor") and isinstance(args[1], int):
        return given.repeat(args[1], *[1] * (given.dim() - 1))
    if name.startswith("reduce_scatter_tensor") and isinstance(args[2], int):
        return given[: given.shape[0] // args[2]].clone()
    if name.endswith("_"):
        return given
    return given.clone() if name.startswith(("all_reduce", "broadcast", "all_to_all_single")) else NotImplemented


_classes: list[Any] = []


def _work_class() -> Any:
    """The Work of a collective that is over; its future holds the tensors, which a DDP reducer reads.

    Made when it is first needed: a torch without torch.distributed has no such class.
    """
    if not _classes:
        from torch._C._distributed_c10d import Work

        class Done(Work):
            def __init__(self, tensors: list[torch.Tensor], is_send: bool) -> None:
                super().__init__()
                self.is_send = is_send
                self.on_wait: Callable[[], object] = lambda: None
                self._future: torch.futures.Future[Any] = torch.futures.Future()
                self._future.set_result(tensors)

            def wait(self, timeout: Any = None) -> bool:
                self.on_wait()
                return True

            def synchronize(self) -> None:
                self.on_wait()

            def block_current_stream(self) -> None:
                self.on_wait()

            def get_future(self) -> torch.futures.Future[Any]:
                self.on_wait()  # nobody can tell when it is asked
                return self._future

            def is_completed(self) -> bool:
                self.on_wait()
                return True

            def is_success(self) -> bool:
                self.on_wait()
                return True

            def result(self) -> Any:
                return self._future.value()

        _classes.append(Done)
    return _classes[0]


# -- known values


def _copy_to_all(outputs: Any, inputs: Any) -> None:
    """Every rank gives what this one does."""
    given = [each for each in tensors_of(inputs) if not each.is_meta]
    for output in tensors_of(outputs):
        if given and not output.is_meta:
            source = given[0].reshape(-1)
            flat = output.view(-1)
            for start in range(0, flat.numel(), max(source.numel(), 1)):
                part = flat[start : start + source.numel()]
                part.copy_(source[: part.numel()])


def _last_sent(wanted: torch.Tensor, works: list[Any]) -> list[torch.Tensor]:
    """What was last sent in a tensor like this one; nothing if there is none."""
    sent = (work.result()[0] for work in reversed(works) if work.is_send)
    return [next((each for each in sent if each.shape == wanted.shape and each.dtype == wanted.dtype), wanted)]


def _fill_alike(outputs: Any, inputs: Any) -> None:
    """Every rank sends what this one would: as much of it as fits."""
    given = [each for each in tensors_of(inputs) if not each.is_meta]
    for output, source in zip([each for each in tensors_of(outputs) if not each.is_meta], given, strict=False):
        count = min(output.numel(), source.numel())
        output.view(-1)[:count].copy_(source.reshape(-1)[:count])
