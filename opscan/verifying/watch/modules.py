"""The modules of a run: which one is running, what they and their parameters are called, and who built those."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.nn.modules import module as hooks

from opscan.blame import lines_of
from opscan.verifying.watch.patches import Patches


class Modules:
    """Every module that was built since the run began, by hooks of torch's that all modules share."""

    def __init__(self) -> None:
        self.running: list[nn.Module] = []
        self._all: weakref.WeakSet[nn.Module] = weakref.WeakSet()
        self._owned: weakref.WeakSet[nn.Module] = weakref.WeakSet()
        self._built: dict[int, tuple[weakref.ref[torch.Tensor], tuple[str, str]]] = {}
        self._paths: dict[int, str] = {}
        self._names: dict[int, str] = {}
        self._handles: list[Any] = []

    def install(self, patches: Patches) -> None:
        """Follow what is built from now on."""
        handles = (
            hooks.register_module_parameter_registration_hook(self._on_parameter),
            hooks.register_module_module_registration_hook(self._on_module),
        )
        for handle in handles:
            patches.on_undo(handle.remove)
        patches.on_undo(self.leave)

    def _on_parameter(self, module: nn.Module, name: str, parameter: Any) -> None:
        self._all.add(module)
        if isinstance(parameter, torch.Tensor):
            self._built[id(parameter)] = weakref.ref(parameter), lines_of(sys._getframe(1))

    def _on_module(self, module: nn.Module, name: str, child: Any) -> None:
        self._all.add(module)
        if isinstance(child, nn.Module):
            self._all.add(child)
            self._owned.add(child)

    # -- which module runs

    def follow(self) -> None:
        """From now on know which module is running."""
        if not self._handles:
            self._handles = [
                hooks.register_module_forward_pre_hook(self._enter),
                hooks.register_module_forward_hook(self._exit, always_call=True),
            ]

    def leave(self) -> None:
        """No longer follow which module is running."""
        for handle in self._handles:
            handle.remove()
        self._handles = []
        self.running.clear()

    @contextmanager
    def unhooked(self) -> Iterator[None]:
        """While open, torch has no hooks of ours: code that is compiled meanwhile would have them in it."""
        followed, running = bool(self._handles), list(self.running)
        self.leave()
        try:
            yield
        finally:
            if followed:
                self.follow()
                self.running = running

    def _enter(self, module: nn.Module, inputs: Any) -> None:
        self.running.append(module)

    def _exit(self, module: nn.Module, inputs: Any, output: Any) -> None:
        if self.running:
            self.running.pop()

    def path(self) -> str:
        """The path of the module that is running, "" outside of all; its class where it has no path."""
        if not self.running:
            return ""
        module = self.running[-1]
        path = self._paths.get(id(module))
        if path is None:
            self._name_all(self.running[0])
            path = self._paths.setdefault(id(module), "")
        return path or f"({type(module).__name__})"

    # -- names

    def _name_all(self, root: nn.Module) -> None:
        for path, module in root.named_modules():
            self._paths.setdefault(id(module), path)
        for name, parameter in (*root.named_parameters(), *root.named_buffers()):
            self._names.setdefault(id(parameter), name)

    def name_parameters(self) -> None:
        """Look up the names of all parameters, as the outermost modules call them."""
        self._names.clear()
        roots = [each for each in list(self._all) if each not in self._owned]
        for root in sorted(roots, key=lambda each: -sum(1 for _ in each.modules())):
            self._name_all(root)

    def name_of(self, tensor: torch.Tensor) -> str:
        """The name of a parameter or buffer; "" for any other tensor."""
        return self._names.get(id(tensor), "")

    def built_at(self, parameter: torch.Tensor) -> tuple[str, str]:
        """The user's line that built a parameter, and a library's below it."""
        reference, place = self._built.get(id(parameter), (None, ("", "")))
        return place if reference is not None and reference() is parameter else ("", "")
