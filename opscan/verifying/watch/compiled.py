"""Functions and modules that torch.compile made: one op each, of which only what goes in and comes out is seen.

A dispatch mode that is active keeps torch from compiling (torch/_dynamo/convert_frame.py), so it is off within.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch.utils._python_dispatch import _disable_current_modes

from opscan.blame import lines_of
from opscan.verifying.watch.modules import Modules
from opscan.verifying.watch.patches import Patches
from opscan.verifying.watch.recording import Recording
from opscan.verifying.watch.torch_ops import Watch, _tensors


def watch_compiled(recording: Recording, watch: Watch, modules: Modules, patches: Patches) -> None:
    """Have what torch.compile returns run without the mode; nn.Module.compile calls it too."""

    def make(original: Any) -> Any:
        def compile(model: Any = None, **kwargs: Any) -> Any:
            if model is None:
                return lambda function: compile(function, **kwargs)
            made = original(model, **kwargs)
            if isinstance(made, torch.nn.Module):
                made.forward = _call(recording, watch, modules, made.forward, type(model).__name__)
                return made
            return _call(recording, watch, modules, made, getattr(model, "__qualname__", type(model).__name__))

        return compile

    patches.replace(torch, "compile", make)


def _call(recording: Recording, watch: Watch, modules: Modules, compiled: Any, name: str) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        if recording.silent or not recording.in_main_thread:
            return compiled(*args, **kwargs)
        inputs = list(_tensors([*args, *kwargs.values()])) if recording.wants_ops else []
        with modules.unhooked(), _disable_current_modes():
            result = compiled(*args, **kwargs)
            if recording.wants_ops:
                recording.settle()
                with torch.no_grad():
                    own, library = lines_of(sys._getframe(1))
                    outputs = list(_tensors(result if isinstance(result, list | tuple) else [result]))
                    watch.add_call(f"compiled {name}", own, library, inputs, outputs)
        return result

    call.__wrapped__ = compiled  # type: ignore[attr-defined]  # as functools.wraps has it
    return call
