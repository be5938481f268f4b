"""The run that is being recorded: what the hooks tell it, put in order and written down."""

from __future__ import annotations

import hashlib
import math
import os
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

from opscan.blame import lines_of
from opscan.verifying.options import Options
from opscan.verifying.stream import Record, Writer

_DRAWS_IN_ONE = 1000
"""Draws from one generator at one place are one record, up to so many."""


class Recording:
    """One run. `step` counts the steps that are done, `epoch` how often the first loader was begun again."""

    def __init__(self, writer: Writer, options: Options) -> None:
        self.options = options
        self.step = 0
        self.epoch = 0
        self.worker: str | None = None
        self.muted = False
        self.loading = False
        self.on_stop: Callable[[], None] = _leave
        self.before_record: Callable[[], None] = lambda: None
        self.stepped: list[Callable[[], None]] = []
        self._writer = writer
        self._main = threading.get_ident()
        self._pending: dict[Any, Record] = {}
        self._silent = threading.local()
        self._ticker = ""

    @property
    def in_main_thread(self) -> bool:
        """Whether the run's own thread asks, and not one beside it whose order is by chance."""
        return threading.get_ident() == self._main

    @property
    def wants_ops(self) -> bool:
        """Whether ops are recorded now: those of the steps asked for, but for what a loader does to make a batch."""
        ops = self.options.ops
        asked = ops is not None and ops[0] <= self.step <= ops[1]
        return asked and self.worker is None and not self.loading

    # -- what hooks tell

    def put(self, kind: str, **fields: Any) -> None:
        """Write a record of a kind, with the step and who writes it."""
        if self.in_main_thread:
            self.before_record()
        self._flush_draws()
        self._write({"e": kind, "k": self.step, **fields})

    def settle(self) -> None:
        """Write the draws that are held back: what is recorded next came after them."""
        if self._pending:
            self._flush_draws()

    def write_site(self, number: int, site: tuple[str, ...]) -> None:
        """Say once what an op's number stands for."""
        self._write({"e": "site", "i": number, "s": list(site)})

    def write_ops(self, ops: list[list[Any]]) -> None:
        """Ops of this step, in order: each with its site, and the fingerprints of inputs and of outputs."""
        self._write({"e": "ops", "k": self.step, "ops": ops})

    def _write(self, record: Record) -> None:
        if self.muted:
            return
        who = self._who()
        self._writer.put({**record, "w": who} if who else record)

    def _who(self) -> str | None:
        if self.worker is not None or self.in_main_thread:
            return self.worker
        return "thread"

    def draw(self, generator: str, op: str, state: int, frame: FrameType | None) -> None:
        """A draw of random numbers; `state` stands for what was drawn."""
        if self.silent:
            return
        own, library = lines_of(frame)
        if not own and not library:  # Python's own, as for the name of a temporary file
            return
        who, key = self._who(), (generator, op, own, library)
        pending = self._pending.get(who)
        if pending is not None and pending["key"] == key and pending["n"] < _DRAWS_IN_ONE:
            pending["n"] += 1
            pending["d"] = mixed(pending["d"], state)
            return
        if pending is None and self.in_main_thread:
            self.before_record()
        self._flush_draws()
        self._pending[who] = {"key": key, "k": self.step, "n": 1, "d": state}

    def _flush_draws(self) -> None:
        who = self._who()
        pending = self._pending.pop(who, None)
        if pending is not None:
            generator, op, own, library = pending["key"]
            fields = {"g": generator, "op": op, "n": pending["n"], "d": pending["d"], "at": [own, library]}
            self._write({"e": "draw", "k": pending["k"], **fields})

    def seed(self, generator: str, value: object, frame: FrameType | None) -> None:
        """A generator is seeded."""
        if not self.silent:
            self.put("seed", g=generator, v=repr(value)[:80], at=list(lines_of(frame)))

    def value(self, name: str, value: object, frame: FrameType | None = None, source: str = "log") -> None:
        """A value that the run tells of itself: a loss, a metric. Anything but numbers is passed over."""
        number = as_number(value)
        if number is not None and not self.silent:
            self.put("value", name=str(name), v=number, source=source, at=list(lines_of(frame)))
            if source in ("log", "returned"):
                self.tick("value " + str(name))

    def tick(self, source: str) -> None:
        """A step where there is no optimizer to tell: each time the source that was the first to tick ticks again."""
        self._ticker = self._ticker or source
        if self._ticker == source:
            self._advance()

    def stepped_by(self, source: str, record: Record) -> None:
        """A training step is done."""
        if not self._ticker.startswith("step"):
            self._ticker = f"step {source}"
            self.step = 0
        self.put("step", ep=self.epoch, **record)
        self._advance()

    def _advance(self) -> None:
        self._flush_draws()
        self.before_record()
        self.step += 1
        for each in self.stepped:
            each()
        self._writer.flush()
        if self.options.stop is not None and self.step >= self.options.stop:
            self.end("stopped", f"after {self.step} steps, as asked")
            self.on_stop()

    def end(self, status: str, what: str = "") -> None:
        """The last record: how the run ended."""
        self.put("end", status=status, what=what)
        self._writer.flush()

    def flush(self) -> None:
        """Write all that is held back."""
        self._flush_draws()
        self._writer.flush()

    # -- where it writes from

    def in_worker(self, name: str) -> None:
        """This process is a worker of the recorded one, forked from it."""
        self._writer.after_fork()
        self.worker, self._main, self._pending = name, threading.get_ident(), {}
        self.muted = False
        self.before_record = lambda: None

    def silenced(self) -> _Silence:
        """While open, nothing is recorded of what this thread does."""
        return _Silence(self._silent)

    @property
    def silent(self) -> bool:
        """Whether this thread does work of opscan's own."""
        return self.muted or getattr(self._silent, "depth", 0) > 0


class _Silence:
    def __init__(self, silent: threading.local) -> None:
        self._silent = silent

    def __enter__(self) -> None:
        self._silent.depth = getattr(self._silent, "depth", 0) + 1

    def __exit__(self, *error: object) -> None:
        self._silent.depth -= 1


def _leave() -> None:
    """End the process as it stands: a run that was only asked for its first steps."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def local_of(tensor: Any) -> Any:
    """Of a DTensor the part that is on this rank, which can be read without the others; any other tensor itself."""
    return getattr(tensor, "_local_tensor", tensor)


def as_number(value: object) -> float | int | None:
    """A number as Python has it, of a number, or of an array or a tensor with one element; None for all else."""
    value = local_of(value)
    if hasattr(value, "item") and not isinstance(value, type):
        try:
            value = value.item()
        except Exception:  # more than one element, or one that cannot be read here
            return None
    if isinstance(value, bool | int):
        return int(value)
    return value if isinstance(value, float) else None


def hashed(data: bytes) -> int:
    """64 bits of a hash that is the same in every process."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "little", signed=True)


def mixed(one: int, other: int) -> int:
    """One number of two, in their order."""
    mixture = (one * 0x9E3779B97F4A7C15 + other) & ((1 << 64) - 1)
    return mixture - (1 << 64) if mixture >> 63 else mixture


def same_number(one: float | int | None, other: float | int | None) -> bool:
    """Whether two numbers are the same, NaN and the sign of zero included."""
    if isinstance(one, float) and isinstance(other, float):
        return (one == other and math.copysign(1, one) == math.copysign(1, other)) or (one != one and other != other)
    return one == other
