"""Run one op again and again on the same bits, and see whether its results agree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from opscan.finding import Replay
from opscan.observe.bits import max_ulps, same_bits
from opscan.observe.fingerprint import fingerprint
from opscan.trace.traits import traits_of
from opscan.trace.values import map_tensors, tensors_in


def run_and_replay(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], runs: int) -> tuple[Any, Replay | None]:
    """Run an op, then replay it `runs` - 1 times, each from the same inputs and the same random numbers.

    What the op writes to is written once: replays write to copies. Random number generators are afterwards as the first
    run left them. Returns the first run's result, and None for a Replay where there is nothing to compare: the op only
    makes a view, its result is memory nobody has written to, or it touches no tensor.
    """
    if runs < 2 or not is_replayable(func):
        return func(*args, **kwargs), None
    written = _written(func, args, kwargs)
    saved = {id(tensor): tensor.detach().clone() for tensor in written}
    before = _Generators(args, kwargs)
    result = func(*args, **kwargs)
    after = _Generators(args, kwargs)
    reference = [each.detach() for each in (*_compared(func, result), *written)]
    if not reference:
        return result, None
    outcomes = _Outcomes(reference, runs)
    try:
        for number in range(2, runs + 1):
            before.put_back()
            copies = {key: each.clone() for key, each in saved.items()}

            def lent(tensor: torch.Tensor, copies: dict[int, torch.Tensor] = copies) -> torch.Tensor:
                return copies.get(id(tensor), tensor)

            again = func(*map_tensors(lent, args), **map_tensors(lent, dict(kwargs)))
            outcomes.add(number, [*_compared(func, again), *(copies[id(each)] for each in written)])
            del again, copies
    finally:
        after.put_back()
    return result, outcomes.replay()


class _Outcomes:
    """Results as they come, compared with the first and forgotten."""

    def __init__(self, reference: Sequence[torch.Tensor], runs: int) -> None:
        self._reference = reference
        self._runs = runs
        self._differing = 0
        self._digests: set[tuple[int, ...]] = set()
        self._max_ulps: int | None = None
        self._first_at: int | None = None

    def add(self, number: int, result: Sequence[torch.Tensor]) -> None:
        if same_bits(self._reference, result):
            return
        self._differing += 1
        self._first_at = self._first_at or number
        self._digests.add(tuple(int(fingerprint(each)) for each in result))
        apart = max_ulps(self._reference, result)
        if apart is not None:
            self._max_ulps = max(self._max_ulps or 0, apart)

    def replay(self) -> Replay:
        return Replay(self._runs, self._differing, 1 + len(self._digests), self._max_ulps, self._first_at)


class _Generators:
    """The states of the random number generators an op may draw from."""

    def __init__(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self._cpu = torch.get_rng_state()
        self._cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None
        given = [each for each in (*args, *kwargs.values()) if isinstance(each, torch.Generator)]
        self._given = [(each, each.get_state()) for each in given]

    def put_back(self) -> None:
        torch.set_rng_state(self._cpu)
        if self._cuda is not None:
            torch.cuda.set_rng_state_all(self._cuda)
        for generator, state in self._given:
            generator.set_state(state)


def is_replayable(func: Any) -> bool:
    """Whether running the op twice means anything: not for views, unwritten memory, messages to other processes."""
    schema = getattr(func, "_schema", None)
    if schema is None or func.namespace in _NOT_REPLAYED or traits_of(func).like:
        return False
    if func._schema.name in _UNWRITTEN or not (schema.returns or any(each.alias_info for each in schema.arguments)):
        return False
    viewing = any(each.alias_info is not None and not each.alias_info.is_write for each in schema.returns)
    return not viewing


_NOT_REPLAYED = frozenset({"c10d", "_c10d_functional", "c10d_functional", "symm_mem", "profiler", "prim", "opscan"})
_UNWRITTEN = frozenset({
    "aten::empty", "aten::empty_like", "aten::new_empty", "aten::empty_strided", "aten::new_empty_strided",
    "aten::empty_permuted", "aten::resize_", "aten::_resize_output_", "aten::set_", "aten::resize_as_",
})  # fmt: skip
"""Ops whose result is memory as it was found: rules speak of them, a replay would only find the garbage."""


_UNWRITTEN_RESULTS = {"aten::_ctc_loss": 1, "aten::mkldnn_rnn_layer": 3}
"""Ops with one result that keeps memory nobody wrote to, and nobody reads: log_alpha, the workspace.

Seen on the CPU with torch 2.13: it differed in 19 of 20 replays, and in none when strict mode filled the memory.
"""


def _compared(func: Any, result: Any) -> list[torch.Tensor]:
    """The tensors of a result that are worth comparing."""
    unwritten = _UNWRITTEN_RESULTS.get(func._schema.name)
    if unwritten is not None and isinstance(result, list | tuple):
        result = [each for at, each in enumerate(result) if at != unwritten]
    return list(_tensors(result))


def _written(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[torch.Tensor]:
    """The tensors the op writes to, each once."""
    found: dict[int, torch.Tensor] = {}
    for position, argument in enumerate(func._schema.arguments):
        if argument.alias_info is not None and argument.alias_info.is_write:
            value = args[position] if position < len(args) else kwargs.get(argument.name)
            found |= {id(each): each for each in _tensors(value)}
    return list(found.values())


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    found: list[torch.Tensor] = []
    tensors_in(value if isinstance(value, list | tuple) else (value,), found)
    return iter(found)
