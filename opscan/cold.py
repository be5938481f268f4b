"""Loading torch in a process of opscan's own, in less time than `import torch` takes.

# Note [Loading torch]
`import torch` makes about a million objects, and all of them stay. Python's cyclic garbage collector walks those it has
again and again meanwhile, and once more whenever it runs later on and when the process ends: a quarter of the time
(torch 2.13, CPython 3.11). So it rests while torch is loaded, and what was made then is put where it does not look.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """While active the collector rests; what there is at the end it never looks at again. See Note [Loading torch]."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if collecting:
            gc.enable()


def load_torch() -> None:
    """Import torch, for a command that needs it anyway; where it is loaded already nothing happens."""
    if "torch" not in sys.modules:
        with uncollected():
            import torch  # noqa: F401 (loaded for those who import it later)
