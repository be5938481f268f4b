"""A sign of life on stderr: only when the work is long, and only for a person at a terminal."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from opscan.formats.text import printable

PATIENCE_S = 2.0


@contextmanager
def progress(label: str) -> Iterator[None]:
    """Show `label` and the seconds gone by on stderr while the body runs, from PATIENCE_S seconds on."""
    if not sys.stderr.isatty():
        yield
        return
    done = threading.Event()
    teller = threading.Thread(target=_tell, args=(label, done), daemon=True)
    teller.start()
    try:
        yield
    finally:
        done.set()
        teller.join()


def _tell(label: str, done: threading.Event) -> None:
    started = time.monotonic()
    told = False
    while not done.wait(PATIENCE_S if not told else 0.5):
        told = True
        sys.stderr.write(f"\r\x1b[Kopscan: {printable(label)} ... {time.monotonic() - started:.0f} s")
        sys.stderr.flush()
    if told:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()
