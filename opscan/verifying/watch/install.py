"""Everything that watches, put in place before a run and taken off after it."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from types import ModuleType
from typing import Any

from opscan import __version__
from opscan.verifying import log
from opscan.verifying.options import Options
from opscan.verifying.stream import Record, Writer
from opscan.verifying.watch.loaders import LOADER, Loaders
from opscan.verifying.watch.others import watch_jax, watch_tensorflow
from opscan.verifying.watch.patches import Patches
from opscan.verifying.watch.processes import watch_processes
from opscan.verifying.watch.randoms import watch_numpy, watch_random
from opscan.verifying.watch.recording import Recording
from opscan.verifying.watch.values import (
    KERAS_CALLBACKS,
    LIGHTNING,
    TENSORBOARD,
    watch_keras,
    watch_lightning,
    watch_tensorboard,
)


@contextmanager
def recorded(path: str, options: Options, words: tuple[str, ...]) -> Iterator[Recording]:
    """Record what the body does into a file at `path`: created, or added to."""
    writer = Writer(path, header_of(options, words))
    recording = Recording(writer, options)
    patches = Patches()
    log.recording = recording
    try:
        _install(recording, patches)
        watch_processes(path, options, words, patches)
        yield recording
    finally:
        log.recording = None
        recording.flush()
        patches.undo()
        writer.close()


def header_of(options: Options, words: tuple[str, ...]) -> Record:
    """What the first line says of the run."""
    return {
        "opscan": __version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}",
        "words": list(words),
        "rank": os.environ.get("RANK"),
        "hash_seed": os.environ.get("PYTHONHASHSEED", "random") if sys.flags.hash_randomization else "0",
        "options": options.as_dict(),
    }


def _install(recording: Recording, patches: Patches) -> None:
    watch_random(recording, patches)
    patches.when_imported("numpy.random", watch_numpy(recording, patches))
    patches.when_imported(LOADER, Loaders(recording).install(patches))
    for name in TENSORBOARD:
        patches.when_imported(name, watch_tensorboard(recording, patches))
    for name in LIGHTNING:
        patches.when_imported(name, watch_lightning(recording, patches))
    for name in KERAS_CALLBACKS:
        patches.when_imported(name, watch_keras(recording, patches))
    patches.when_imported("jax.random", watch_jax(recording, patches))
    patches.when_imported("tensorflow", watch_tensorflow(recording, patches))
    patches.when_imported("torch", lambda torch: _watch_torch(torch, recording, patches))
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lambda: None if log.recording is not recording else _forked(recording))


def _forked(recording: Recording) -> None:
    """A process that the run forks records nothing, unless a loader says that it is its worker."""
    recording.in_worker(f"process {os.getpid()}")
    recording.muted = True


def _watch_torch(torch: Any, recording: Recording, patches: Patches) -> None:
    from opscan.verifying.watch.compiled import watch_compiled
    from opscan.verifying.watch.modules import Modules
    from opscan.verifying.watch.steps import Steps
    from opscan.verifying.watch.torch_ops import Watch

    modules = Modules()
    modules.install(patches)
    watch = Watch(recording, modules)
    Steps(recording, modules, watch).install(patches)
    watch_compiled(recording, watch, modules, patches)
    _watch_seeds(torch, recording, patches)
    recording.before_record = watch.settle

    def new_step() -> None:
        watch.new_step()
        modules.follow() if recording.wants_ops else modules.leave()

    recording.stepped.append(new_step)
    if recording.wants_ops:
        modules.follow()
    watch.__enter__()  # type: ignore[no-untyped-call]
    patches.on_undo(partial(watch.__exit__, None, None, None))


def _watch_seeds(torch: Any, recording: Recording, patches: Patches) -> None:
    def make(name: str) -> Any:
        def wrapped(original: Any) -> Any:
            def seed(*args: Any, **kwargs: Any) -> Any:
                value = args[0] if args else next(iter(kwargs.values()), None)
                with recording.silenced():
                    result = original(*args, **kwargs)
                recording.seed(name, value if args or kwargs else result, sys._getframe(1))
                return result

            return seed

        return wrapped

    for owner, attribute, name in (
        (torch, "manual_seed", "torch"),
        (torch.random, "manual_seed", "torch"),
        (torch, "seed", "torch"),
        (torch.random, "seed", "torch"),
        (torch.cuda, "manual_seed", "torch cuda"),
        (torch.cuda, "manual_seed_all", "torch cuda"),
    ):
        if isinstance(owner, ModuleType):
            patches.replace(owner, attribute, make(name))
