"""What the user's own code asks of strict mode while it is traced.

# Note [Strict mode in a trace]
A trace shows the default path, and rules say what strict mode does: so torch itself finds strict mode off throughout,
in C++ and in its Python, whatever the code asks for. What the code asked for is noted instead, op by op, and what it
asks about is answered accordingly. What the process had before is not known to a trace, which serves both modes: that
answer is 0, marked, so that code which puts it back later leaves strict mode to the process again.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from opscan.trace.replaced import replaced

_INDUCTOR = "torch._inductor.config"


class _Answer(int):
    """What the code is told of strict mode; `forced` is what it had asked for, None for nothing."""

    forced: bool | None = None


def _answer(truth: int, forced: bool | None) -> _Answer:
    answer = _Answer(truth)
    answer.forced = forced
    return answer


class AskedStrict:
    """`forced` is whether the code has turned strict mode on or off; None: it has not, or has put back what was.

    With warn_only=True it is None as well: that is neither.
    """

    def __init__(self) -> None:
        self.forced: bool | None = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take over torch's functions for strict mode, also where the code has imported them by name."""
        places = (
            (torch, "use_deterministic_algorithms", self._set),  # the original imports and sets inductor's flag
            (torch, "get_deterministic_debug_mode", self._get_debug_mode),
            (torch, "set_deterministic_debug_mode", self._set_debug_mode),
            (torch._C, "_set_deterministic_algorithms", self._set),
            (torch._C, "_get_deterministic_algorithms", self._get),
        )
        self._set_mode_by_name = torch.set_deterministic_debug_mode
        inductor = getattr(sys.modules.get(_INDUCTOR), "deterministic", torch.are_deterministic_algorithms_enabled())
        try:
            with replaced(places):
                yield
        finally:
            config: Any = sys.modules.get(_INDUCTOR)
            if hasattr(config, "deterministic") and config.deterministic != inductor:
                config.deterministic = inductor

    def _set(self, mode: Any, *, warn_only: bool = False) -> None:
        if isinstance(mode, _Answer):
            self.forced = mode.forced
        else:
            self.forced = None if mode and warn_only else bool(mode)

    def _get(self) -> int:
        if self.forced is None:
            return _answer(0, None)
        caller = sys._getframe(1)
        while caller.f_globals.get("__name__") == "torch" and caller.f_back is not None:
            caller = caller.f_back
        if str(caller.f_globals.get("__name__")).startswith("torch."):
            return _answer(0, self.forced)
        return self.forced

    def _get_debug_mode(self) -> int:
        return _answer(0, None) if self.forced is None else 2 * self.forced

    def _set_debug_mode(self, debug_mode: Any) -> None:
        if isinstance(debug_mode, _Answer):
            self._set(debug_mode)
        else:
            self._set_mode_by_name(debug_mode)
