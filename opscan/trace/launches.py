"""Launches of Triton kernels: taken over while a trace runs, and told of as what they do to memory.

A launch does nothing to meta tensors, whose sizes the caller has allocated; what it would write, and whether in a fixed
order, is read off the kernel's source (Note [Reading a kernel]). Nothing here imports triton: before the user's code
has, there is no kernel.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from types import SimpleNamespace
from typing import Any, NamedTuple

import torch

from opscan.trace.kernels import FLOATING, Access, accesses_of

_H100 = SimpleNamespace(
    name="NVIDIA H100", major=9, minor=0, multi_processor_count=132, warp_size=32, total_memory=80 << 30,
    max_threads_per_multi_processor=2048, regs_per_multiprocessor=65536, L2_cache_size=50 << 20,
    shared_memory_per_block=49152, shared_memory_per_block_optin=232448, shared_memory_per_multiprocessor=233472,
    gcnArchName="", is_integrated=0, is_multi_gpu_board=0,
)  # fmt: skip
"""What a launcher is told of the device where there is none. Source: CUDA programming guide, compute capability 9.0."""


class Launch(NamedTuple):
    """One launch: the tensors it stores to, those it only updates with atomics, the others, and what hangs on order.

    The last are names of parameters, "?" where a pointer's origin is lost. `adds` are floating tensors added to with
    atomics, `swaps` floating tensors exchanged atomically, `locked` floating tensors read and written in a kernel that
    takes locks, `tickets` integers updated with atomics whose old value the kernel goes on with. `tuned`: it sums over
    blocks, and how they are laid out is chosen by timing.
    """

    kernel: str
    written: tuple[torch.Tensor, ...]
    updated: tuple[torch.Tensor, ...]
    given: tuple[torch.Tensor, ...]
    adds: tuple[str, ...]
    swaps: tuple[str, ...]
    locked: tuple[str, ...]
    tickets: tuple[str, ...]
    tuned: bool


class KernelTarget:
    """Stands in a graph for a kernel, as an OpOverload stands for an op; `triton.kernel` is its packet."""

    __module__ = "triton"
    tags = ()
    _schema = torch._C.parse_schema(
        "triton::kernel(str kernel, Tensor(a!)[] written, Tensor(b!)[] updated, Tensor[] given, str[] adds, "
        "str[] swaps, str[] locked, str[] tickets, bool tuned) -> ()"
    )

    def __init__(self, kernel: str) -> None:
        self.__name__ = self.__qualname__ = kernel

    def __str__(self) -> str:
        return f"triton.kernel.{self.__name__}"

    def __call__(self, *args: Any) -> None:
        """Nothing: a kernel cannot run where it is traced."""


@cache
def target_of(kernel: str) -> KernelTarget:
    """The one target of a kernel, by its name."""
    return KernelTarget(kernel)


@contextmanager
def launches_heard(heard: Callable[[Launch], None]) -> Iterator[None]:
    """While active, every launch of a Triton kernel is told to `heard` and does nothing else.

    Of an autotuned kernel the first configuration is taken; what others would set otherwise is not known. Where there
    is no CUDA device, a launcher that asks for the device's properties is told those of an H100.
    """
    replaced = _Replaced()
    listener = _Listener(heard)
    jit, tuner = sys.modules.get("triton.runtime.jit"), sys.modules.get("triton.runtime.autotuner")
    if jit is not None:
        replaced.put(jit.JITFunction, "run", lambda self, *args, **kwargs: listener.launch(self, args, kwargs))
        if not torch.cuda.is_available():
            replaced.put(torch.cuda, "get_device_properties", lambda device=None: _H100)
            replaced.put(torch.cuda, "get_device_capability", lambda device=None: (_H100.major, _H100.minor))
            replaced.put(torch.cuda, "current_device", lambda: 0)
            replaced.put(torch.cuda, "device", lambda device: nullcontext())
    if tuner is not None:
        for tuned in [cls for cls in _with_subclasses(tuner.Autotuner) if "run" in vars(cls)]:
            replaced.put(tuned, "run", lambda self, *args, **kwargs: listener.launch_tuned(self, args, kwargs))
    try:
        with _unwrapped() if jit is not None else nullcontext():
            yield
    finally:
        replaced.restore()


class _Replaced:
    def __init__(self) -> None:
        self._originals: list[tuple[Any, str, Any]] = []

    def put(self, owner: Any, name: str, value: Any) -> None:
        self._originals.append((owner, name, vars(owner)[name]))
        setattr(owner, name, value)

    def restore(self) -> None:
        for owner, name, original in self._originals:
            setattr(owner, name, original)


def _unwrapped() -> AbstractContextManager[Any]:
    """Inside a torch.library.triton_op a wrapped kernel is the kernel itself, not a higher-order op (torch >= 2.6)."""
    library = sys.modules.get("torch._library.triton")
    return nullcontext() if library is None else library.set_wrap_triton_enabled(False)


def _with_subclasses(cls: type) -> Iterator[type]:
    yield cls
    below: list[type] = cls.__subclasses__()
    for each in below:
        yield from _with_subclasses(each)


class _Listener:
    def __init__(self, heard: Callable[[Launch], None]) -> None:
        self._heard = heard
        self._varying: frozenset[str] = frozenset()
        self._tuned = False

    def launch(self, kernel: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        if kwargs.get("warmup"):
            return
        parameters = kernel.signature.parameters
        bound = {each.name: each.default for each in parameters.values() if each.default is not each.empty}
        bound |= dict(zip(parameters, args, strict=False))
        bound |= {name: value for name, value in kwargs.items() if name in parameters}
        held = {name: tensors for name, value in bound.items() if (tensors := _tensors_of(value))}
        constants = {name: value for name, value in bound.items() if name not in held and name not in self._varying}
        self._heard(_judged(kernel.__name__, held, accesses_of(kernel, frozenset(held), constants), self._tuned))

    def launch_tuned(self, tuner: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        configs: Sequence[Any] = tuner.configs
        config, outer = configs[0], (self._varying, self._tuned)
        self._tuned |= len(configs) > 1
        names = {name for each in configs for name in each.kwargs}
        self._varying |= {name for name in names if not _is_agreed(name, configs)}
        try:
            if config.pre_hook is not None:
                config.pre_hook({**dict(zip(tuner.arg_names, args, strict=False)), **kwargs, **config.all_kwargs()})
            return tuner.fn.run(*args, **kwargs, **config.all_kwargs())
        finally:
            self._varying, self._tuned = outer


def _is_agreed(name: str, configs: Iterable[Any]) -> bool:
    values = [each.kwargs.get(name) for each in configs]
    return all(value == values[0] for value in values)


def _tensors_of(value: Any) -> tuple[torch.Tensor, ...]:
    """The tensors an argument holds: itself, a tuple's, or the base of a descriptor or of a reinterpreted tensor."""
    if isinstance(value, torch.Tensor):
        return (value,)
    if isinstance(value, list | tuple):
        return tuple(tensor for each in value for tensor in _tensors_of(each))
    base = getattr(value, "base", None)
    return (base,) if isinstance(base, torch.Tensor) else ()


def _judged(
    kernel: str, held: Mapping[str, tuple[torch.Tensor, ...]], accesses: Iterable[Access], tuned: bool
) -> Launch:
    floating = {name for name, tensors in held.items() if any(_is_floating(each) for each in tensors)}

    def names(access: Access) -> set[str]:
        return set(access.origins & held.keys()) or set(held)

    def is_floating(access: Access) -> bool:
        return not access.origins or not access.origins.isdisjoint(floating | {FLOATING})

    def named(found: Iterable[Access]) -> tuple[str, ...]:
        return tuple(sorted({name for access in found for name in access.origins & held.keys() or {"?"}}))

    accesses = list(accesses)
    atomics = [access for access in accesses if access.kind.startswith("atomic_")]
    stored, loaded, updated = (
        {name for access in accesses if access.kind.startswith(kind) for name in names(access)}
        for kind in ("store", "load", "atomic_")
    )
    locks = any(access.kind == "atomic_cas" for access in atomics)
    swapping = ("atomic_xchg", "atomic_cas")

    def tensors(chosen: Iterable[str]) -> tuple[torch.Tensor, ...]:
        return tuple(tensor for name in held if name in chosen for tensor in held[name])

    return Launch(
        kernel=kernel,
        written=tensors(stored),
        updated=tensors(updated - stored),
        given=tensors(held.keys() - stored - updated),
        adds=named(each for each in atomics if each.kind == "atomic_add" and is_floating(each)),
        swaps=named(each for each in atomics if each.kind in swapping and is_floating(each)),
        locked=tuple(sorted(stored & loaded & floating)) if locks else (),
        tickets=named(each for each in atomics if each.kind not in swapping and each.used and not is_floating(each)),
        tuned=tuned and any(access.kind == "reduce" for access in accesses),
    )


def _is_floating(tensor: torch.Tensor) -> bool:
    return tensor.dtype.is_floating_point or tensor.dtype.is_complex
