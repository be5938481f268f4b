"""Ranks that look after one another: each shows that it lives, and when one ends or stands still all end, with a word.

# Note [How ranks end together]
A rank that waits in a collective for one that died may wait forever, in C++, where no Python handler runs. So in each
rank a thread writes a sign of life into the store that torchrun keeps, and reads those of the others. It also hears the
SIGTERM by which torchrun ends the rest when one worker dies: Python writes the number of a signal into a file
descriptor even while the main thread is blocked (signal.set_wakeup_fd). Then the lowest rank alive says what happened,
and every rank leaves at once.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

from opscan.blame import is_users_own, shown_path

COULD_NOT_LOOK = 2
BEAT_S = 0.5
_DEAD_AFTER_S = 20.0
_GRACE_S = 2.0  # for the others to say that they were ended, not the first to end


@dataclass(frozen=True, slots=True)
class Beat:
    """A rank's sign of life: how often it has been given, for how long its main thread stands still, and where."""

    count: int
    still_s: float
    where: str

    def __str__(self) -> str:
        return f"{self.count} {self.still_s:.1f} {self.where}"

    @staticmethod
    def read(text: str) -> Beat:
        count, still_s, where = text.split(" ", 2)
        return Beat(int(count), float(still_s), where)


class Watch:
    """The thread of one rank; `store` is a connection of its own. `patience_s` is how long all may stand still."""

    def __init__(self, store: Any, rank: int, size: int, patience_s: float) -> None:
        self._store, self._rank, self._size, self._patience_s = store, rank, size, patience_s
        self._main = threading.main_thread().ident
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        self._over = threading.Event()
        self._count = 0
        self._stood: tuple[object, float] = (None, time.monotonic())
        self._seen: dict[int, tuple[int, float]] = {}
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """From the main thread only."""
        self._handler = signal.signal(signal.SIGTERM, lambda number, frame: None)
        self._wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        self._thread.start()

    def stop(self) -> None:
        """Signals are again what they were."""
        self._over.set()
        signal.set_wakeup_fd(self._wakeup)
        signal.signal(signal.SIGTERM, self._handler)
        os.write(self._write, b"\0")
        self._thread.join()
        os.close(self._read)
        os.close(self._write)

    def _run(self) -> None:
        try:
            while not self._over.is_set():
                if signal.SIGTERM in self._heard():
                    self._end(self._ended_first())
                self._beat()
                gone = self._gone()
                if gone:
                    self._end(gone)
        except Exception as error:  # the store is gone, and with it torchrun
            if not self._over.is_set():
                self._leave(f"rank {self._rank}: torchrun's store does not answer ({type(error).__name__}); it ended")

    def _heard(self) -> bytes:
        ready, _, _ = select.select([self._read], [], [], BEAT_S)
        return os.read(self._read, 64) if ready else b""

    # -- signs of life

    def _beat(self) -> None:
        frame = sys._current_frames().get(self._main or 0)
        where, at = "", []
        while frame is not None:
            if not where and is_users_own(frame.f_code.co_filename):
                where = f"{shown_path(frame.f_code.co_filename)}:{frame.f_lineno}"
            at.append((frame.f_code, frame.f_lasti))
            frame = frame.f_back
        now = time.monotonic()
        if at != self._stood[0]:
            self._stood = (at, now)
        self._count += 1
        self._store.set(f"beat/{self._rank}", str(Beat(self._count, now - self._stood[1], where)))

    def _beats(self) -> dict[int, Beat]:
        keys = {rank: f"beat/{rank}" for rank in range(self._size)}
        return {rank: Beat.read(self._store.get(key).decode()) for rank, key in keys.items() if self._has(key)}

    def _has(self, key: str) -> bool:
        return bool(self._store.check([key]))

    def _is_done(self, rank: int) -> bool:
        return self._has(f"done/{rank}")

    def _gone(self) -> str:
        """What to say if a rank gave no sign of life for long, or none at work goes on; "" while all is well."""
        now, beats = time.monotonic(), self._beats()
        for rank, beat in beats.items():
            if rank not in self._seen or self._seen[rank][0] != beat.count:
                self._seen[rank] = beat.count, now
        working = [rank for rank in range(self._size) if not self._is_done(rank)]
        dead = [rank for rank in working if rank in self._seen and now - self._seen[rank][1] > _DEAD_AFTER_S]
        if dead:
            return _died(dead, beats)
        still = [rank for rank in working if rank in beats and beats[rank].still_s > self._patience_s]
        if not working or len(still) < len(working):
            return ""
        places = "; ".join(f"rank {rank} at {beats[rank].where or 'no line of yours'}" for rank in still)
        return f"hangs: for {self._patience_s:.0f} s nothing went on (--rank-timeout). {places}"

    # -- the end

    def _ended_first(self) -> str:
        """After a SIGTERM: which ranks ended before it."""
        self._store.set(f"told/{self._rank}", "1")
        until = time.monotonic() + _GRACE_S
        left = list(range(self._size))
        while left and time.monotonic() < until:
            left = [rank for rank in left if not (self._has(f"told/{rank}") or self._is_done(rank))]
            time.sleep(0.05)
        return _died(left, self._beats()) if left else "ended by SIGTERM"

    def _end(self, what: str) -> None:
        self._store.set(f"told/{self._rank}", "1")
        time.sleep(BEAT_S)  # others may be telling it already
        if int(self._store.add("teller", 1)) == 1:
            self._leave(what)
        time.sleep(_GRACE_S)
        os._exit(COULD_NOT_LOOK)

    def _leave(self, what: str) -> None:
        told = f"No report: {self._size} ranks were to run this step together. Exit status {COULD_NOT_LOOK}."
        sys.stderr.write(f"opscan: {what}\n  {told}\n")
        sys.stderr.flush()
        os._exit(COULD_NOT_LOOK)


def _died(ranks: list[int], beats: dict[int, Beat]) -> str:
    names = ", ".join(map(str, ranks))
    where = "; ".join(
        f"rank {rank} was last at {beats[rank].where}" for rank in ranks if rank in beats and beats[rank].where
    )
    return f"rank {names} died before it was done, and the others were ended.{' ' + where + '.' if where else ''}"
