"""Autocast as it is on the target device, here or not: see Note [Autocast where no tensor is on the device].

What the user's code turns on and off is the process's own state, read and put back; what it is told of the device is
what it would be told there. A region for the device "meta" is one for the target: `x.device.type` says so in a trace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.amp.autocast_mode
import torch.cuda.amp.common

from opscan import traced_for
from opscan.environment import Amp
from opscan.trace.policies import KEY, LOWER, is_eligible, register
from opscan.trace.replaced import replaced

DTYPES: dict[str | None, torch.dtype] = {"bf16": torch.bfloat16, "fp16": torch.float16}

_KEY_SET = torch._C.DispatchKeySet(KEY)
_include = torch._C._dispatch_tls_set_dispatch_key_included
_exclude = torch._C._dispatch_tls_set_dispatch_key_excluded
_set_enabled, _is_enabled = torch.set_autocast_enabled, torch.is_autocast_enabled
_set_dtype, _get_dtype = torch.set_autocast_dtype, torch.get_autocast_dtype

_DEVICES = ("cpu", "cuda", "mps", "xpu", "hpu", "xla", "ipu", "mtia", "maia")

_running: list[Autocast] = []
"""The traces under way, the innermost last: a hook of one model may scan another."""


@dataclass(frozen=True, slots=True)
class Casting:
    """The device type a step is traced for, and the lower precision `--amp` asks its forward and loss to run in."""

    device: str = "cuda"
    amp: Amp | None = None


class Autocast:
    """Autocast of one trace.

    `assumed` is whether a region that the code asked for on the CPU, as no CUDA is here, was taken for the target's.
    """

    def __init__(self, casting: Casting) -> None:
        self.casting = casting
        self.assumed = False
        self._cached: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self._stands_for = {"meta"}
        if casting.device == "cuda" and not torch.cuda.is_available():
            self._stands_for.add("cpu")  # device = "cuda" if torch.cuda.is_available() else "cpu"

    # -- what the kernels ask (policies.Casts)

    def lower(self) -> torch.dtype:
        """The lower precision that holds now."""
        return _get_dtype(self.casting.device)

    def off(self) -> Any:
        """Autocast off."""
        return torch._C._ExcludeDispatchKeyGuard(_KEY_SET)

    def cast(self, value: Any, dtype: torch.dtype) -> Any:
        """An argument with its eligible tensors cast; weights once per region (cached_cast in autocast_mode.cpp)."""
        if isinstance(value, list | tuple):
            return [self.cast(each, dtype) for each in value]
        if not is_eligible(value) or value.dtype is dtype:
            return value
        if not self._is_cached(value, dtype):
            return value.to(dtype)
        found = self._cached.get(id(value))
        if found is None:
            found = self._cached[id(value)] = (value, value.to(dtype))
        return found[1]

    def _is_cached(self, tensor: torch.Tensor, dtype: torch.dtype) -> bool:
        return (
            dtype is self.lower()
            and tensor.dtype is torch.float32
            and tensor.requires_grad
            and tensor.is_leaf
            and not tensor._is_view()
            and torch.is_autocast_cache_enabled()
        )

    def dtype_within(self, name: str, dtype: torch.dtype) -> torch.dtype:
        """The precision in which a public call gets a floating argument on: the lower one for those that take it."""
        if name.rpartition(".")[2] not in LOWER or not dtype.is_floating_point or dtype is torch.float64:
            return dtype
        return self.lower() if _is_enabled(self.casting.device) else dtype

    # -- around the step

    @contextmanager
    def honoured(self) -> Iterator[None]:
        """Around a whole step: its autocast regions are honoured, one around the caller is not part of it."""
        with _own_state(self.casting.device), replaced(self._answers()), on_target(self.casting.device):
            _running.append(self)
            try:
                yield
            finally:
                _running.pop()
                self._cached.clear()

    def region(self) -> AbstractContextManager[object]:
        """Around forward and loss: the region that `--amp` asks for."""
        if self.casting.amp is None:
            return nullcontext()
        return torch.autocast(self.casting.device, dtype=DTYPES[self.casting.amp])

    def outside(self) -> AbstractContextManager[object]:
        """Around the backward that a step runs itself: the region of `--amp` ends before it."""
        if self.casting.amp is None:
            return nullcontext()
        return torch.autocast(self.casting.device, dtype=DTYPES[self.casting.amp], enabled=False)

    # -- what the code is told

    def _answers(self) -> list[tuple[Any, str, Any]]:
        available = torch.amp.is_autocast_available
        cast = torch.amp.autocast_mode._cast

        def is_available(device_type: str) -> bool:
            return device_type == "meta" or available(device_type)

        def cast_inputs(value: Any, device_type: str, dtype: torch.dtype) -> Any:
            return cast(value, "meta" if device_type == self.casting.device else device_type, dtype)

        return [
            (torch, "set_autocast_enabled", self._set_enabled),
            (torch, "is_autocast_enabled", self._redirected(_is_enabled)),
            (torch, "set_autocast_dtype", self._redirected(_set_dtype)),
            (torch, "get_autocast_dtype", self._redirected(_get_dtype)),
            (torch, "clear_autocast_cache", self._cached.clear),
            (torch.amp, "is_autocast_available", is_available),
            (torch.amp.autocast_mode, "is_autocast_available", is_available),
            (torch.amp.autocast_mode, "_cast", cast_inputs),
        ]

    def _device(self, device_type: str) -> str:
        return self.casting.device if device_type in self._stands_for else device_type

    def _redirected(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def ask(device_type: str = "cuda", *args: Any) -> Any:
            return original(self._device(device_type), *args)

        return ask

    def _set_enabled(self, device_type: str | bool, enabled: bool | None = None) -> None:
        if enabled is None:  # the form torch 2.3 had, for CUDA
            device_type, enabled = "cuda", bool(device_type)
        device = self._device(str(device_type))
        self.assumed |= enabled and device_type == "cpu" != device
        _set_enabled(device, enabled)
        if device == self.casting.device:
            if enabled:
                _kernels_for(device)
            _include(KEY, enabled)
            _exclude(KEY, not enabled)


_kernels: dict[str, list[Any]] = {}
"""The kernels behind the key, of one device type; kept: registering them takes 10 ms, and a solver traces often."""


def _kernels_for(device: str) -> None:
    if device not in _kernels:
        _kernels.clear()
        _kernels[device] = register(device, lambda: _running[-1])


class RealAutocast(Autocast):
    """Autocast of a step that runs on the device itself: torch's own."""

    @contextmanager
    def honoured(self) -> Iterator[None]:
        """Around a whole step: an autocast region around the caller is not part of it."""
        with _own_state(self.casting.device):
            yield


def on_target(device: str) -> AbstractContextManager[None]:
    """What asks whether the device can do autocast is told so, also while a module is imported or built."""
    places: list[tuple[Any, str, Any]] = [(traced_for, "device", device)]
    if device == "cuda":
        common = torch.cuda.amp.common
        places += [
            (common, "amp_definitely_not_available", lambda: False),
            (torch.cuda.amp, "amp_definitely_not_available", lambda: False),
            (torch.cuda, "is_bf16_supported", lambda including_emulation=True: True),
        ]
    if device == "mps":
        places.append((torch.backends.mps, "is_macos_or_newer", lambda major, minor: True))
    return replaced(places)


@contextmanager
def _own_state(device: str) -> Iterator[None]:
    """Autocast off at first, on every device a step may name, and all as it was afterwards."""
    devices = [each for each in dict.fromkeys((*_DEVICES, device)) if torch.amp.is_autocast_available(each)]
    was = [(each, _is_enabled(each), _get_dtype(each)) for each in devices]
    included, excluded = torch._C._dispatch_tls_is_dispatch_key_included(KEY), _is_excluded()
    cache = torch.is_autocast_cache_enabled()
    depth = _depth()
    for each in devices:
        _set_enabled(each, False)
    _include(KEY, False)
    _exclude(KEY, True)
    _nest(0)
    try:
        yield
    finally:
        for each, enabled, dtype in was:
            _set_enabled(each, enabled)
            _set_dtype(each, dtype)
        _include(KEY, included)
        _exclude(KEY, excluded)
        torch.set_autocast_cache_enabled(cache)
        _nest(depth)


def _depth() -> int:
    torch.autocast_increment_nesting()
    return torch.autocast_decrement_nesting()


def _nest(depth: int) -> None:
    """Set how many regions are open: when the last one ends, its cast weights are dropped."""
    for _ in range(_depth(), depth):
        torch.autocast_increment_nesting()
    for _ in range(depth, _depth()):
        torch.autocast_decrement_nesting()


def _is_excluded() -> bool:
    return torch._C._dispatch_tls_is_dispatch_key_excluded(KEY)
