"""What JAX and TensorFlow tell without torch: the seeds they are given, and the batches of a tf.data pipeline."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from opscan.verifying.watch.patches import Patches
from opscan.verifying.watch.recording import Recording, as_number


def watch_jax(recording: Recording, patches: Patches) -> Callable[[ModuleType], None]:
    """jax.random.PRNGKey and jax.random.key: all of JAX's randomness comes from their seeds."""

    def install(module: ModuleType) -> None:
        for name in ("PRNGKey", "key"):
            patches.replace(module, name, lambda original: _seeding(recording, "jax", original))

    return install


def watch_tensorflow(recording: Recording, patches: Patches) -> Callable[[ModuleType], None]:
    """tf.random.set_seed."""

    def install(module: ModuleType) -> None:
        patches.replace(module.random, "set_seed", lambda original: _seeding(recording, "tensorflow", original))

    return install


def _seeding(recording: Recording, generator: str, original: Any) -> Any:
    def seed(*args: Any, **kwargs: Any) -> Any:
        value = args[0] if args else kwargs.get("seed")
        number = as_number(value)
        if number is not None:
            recording.seed(generator, number, sys._getframe(1))
        return original(*args, **kwargs)

    return seed
