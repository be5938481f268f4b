"""Modes that user code switches on and does not switch off.

A mode that stays on top of the stacks takes the place of the one that a trace would switch off: that one would stay,
and see all that the process does from then on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.overrides
import torch.utils._device
import torch.utils._python_dispatch

_functions: Any = torch.overrides
_dispatch: Any = torch.utils._python_dispatch
_device: Any = torch.utils._device

_INSIDE = [name for name in vars(_dispatch) if name.startswith("_is_in_")]
"""What modes note of the others that are on, when they are switched on."""


@contextmanager
def modes_closed() -> Iterator[None]:
    """Afterwards those function and dispatch modes are on that were on before, the default device's among them."""
    functions, dispatching = _function_modes(), _dispatch_modes()
    context = dict(vars(torch._GLOBAL_DEVICE_CONTEXT))  # empty where no default device was ever set
    device, inside = _device.CURRENT_DEVICE, {name: getattr(_dispatch, name) for name in _INSIDE}
    try:
        yield
    finally:
        _restack(_function_modes, functions, _functions._pop_mode, _functions._push_mode)
        _restack(_dispatch_modes, dispatching, _dispatch._pop_mode, _dispatch._push_mode)
        vars(torch._GLOBAL_DEVICE_CONTEXT).clear()
        vars(torch._GLOBAL_DEVICE_CONTEXT).update(context)
        _device.CURRENT_DEVICE = device
        vars(_dispatch).update(inside)


def _function_modes() -> list[Any]:
    return list(_functions._get_current_function_mode_stack())


def _dispatch_modes() -> list[Any]:
    """Those of users: modes of torch's own, such as FakeTensorMode, lie beside the stack and have a key each."""
    return [mode for mode in _dispatch._get_current_dispatch_mode_stack() if getattr(mode, "_mode_key", None) is None]


def _restack(now: Callable[[], list[Any]], was: list[Any], pop: Callable[[], Any], push: Callable[[Any], Any]) -> None:
    modes = now()
    same = 0
    while same < min(len(modes), len(was)) and modes[same] is was[same]:
        same += 1
    for _ in modes[same:]:
        pop()
    for mode in was[same:]:
        push(mode)
