"""Draws from Python's `random` and from numpy, and the seeds they are given."""

from __future__ import annotations

import random
import sys
import sysconfig
from collections.abc import Callable
from functools import cache
from types import FrameType, ModuleType
from typing import Any

from opscan.blame import is_librarys
from opscan.verifying.watch.patches import Patches
from opscan.verifying.watch.recording import Recording, hashed

_PYTHON = (
    "random", "uniform", "triangular", "randint", "choice", "randrange", "sample", "shuffle", "choices",
    "normalvariate", "lognormvariate", "expovariate", "vonmisesvariate", "gammavariate", "gauss", "betavariate",
    "paretovariate", "weibullvariate", "getrandbits", "randbytes",
)  # fmt: skip
_NOT_DRAWS = frozenset((
    "seed", "get_state", "set_state", "get_bit_generator", "set_bit_generator", "spawn", "bit_generator",
))  # fmt: skip


def watch_random(recording: Recording, patches: Patches) -> None:
    """The functions of the module, which draw from one generator that all share, and generators of the user's own."""
    for name in _PYTHON:
        patches.replace(random, name, _drawing(recording, "random", f"random.{name}"))
        patches.replace(random.Random, name, _drawing_of_own(recording, name))
    patches.replace(random, "seed", _seeding(recording, "random"))


def _drawing(recording: Recording, generator: str, op: str) -> Callable[[Any], Any]:
    """Replaces a function that draws: what it returns is recorded; the outermost call counts."""

    def make(original: Any) -> Any:
        def draw(*args: Any, **kwargs: Any) -> Any:
            if recording.silent or _is_python(sys._getframe(1)):
                return original(*args, **kwargs)
            with recording.silenced():
                drawn = original(*args, **kwargs)
            result = drawn if drawn is not None else args[0] if args else None  # shuffle works in place
            recording.draw(generator, op, _state(result), sys._getframe(1))
            return drawn

        return draw

    return make


def _drawing_of_own(recording: Recording, name: str) -> Callable[[Any], Any]:
    def make(original: Any) -> Any:
        def draw(self: random.Random, *args: Any, **kwargs: Any) -> Any:
            if recording.silent or isinstance(self, random.SystemRandom) or _is_python(sys._getframe(1)):
                return original(self, *args, **kwargs)
            with recording.silenced():
                drawn = original(self, *args, **kwargs)
            result = drawn if drawn is not None else args[0] if args else None
            recording.draw("own random.Random", f"random.Random.{name}", _state(result), sys._getframe(1))
            return drawn

        return draw

    return make


def _seeding(recording: Recording, generator: str) -> Callable[[Any], Any]:
    def make(original: Any) -> Any:
        def seed(*args: Any, **kwargs: Any) -> Any:
            value = args[0] if args else next(iter(kwargs.values()), None)
            recording.seed(generator, value, sys._getframe(1))
            with recording.silenced():
                return original(*args, **kwargs)

        return seed

    return make


def watch_numpy(recording: Recording, patches: Patches) -> Callable[[ModuleType], None]:
    """numpy.random: its functions, and generators made by default_rng, Generator and RandomState."""

    def install(module: ModuleType) -> None:
        for name in dir(module._rand if hasattr(module, "_rand") else module.mtrand._rand):
            if not name.startswith("_") and name not in _NOT_DRAWS and callable(getattr(module, name, None)):
                patches.replace(module, name, _drawing(recording, "numpy", f"numpy.random.{name}"))
        patches.replace(module, "seed", _seeding(recording, "numpy"))
        own = _own_generator(recording, module.Generator)
        patches.replace(module, "default_rng", lambda original: _rng_maker(recording, module, original, own))
        patches.replace(module, "Generator", lambda original: own)
        patches.replace(module, "RandomState", lambda original: _own_generator(recording, original))

    return install


def _own_generator(recording: Recording, base: Any) -> Any:
    """A subclass of a class of generators whose methods record what they draw; all instances of the base are its."""

    class Meta(type(base)):  # type: ignore[misc]  # the type of a class that is only known at run time
        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, base)

    def method(name: str) -> Any:
        inherited = getattr(base, name)

        def draw(self: Any, *args: Any, **kwargs: Any) -> Any:
            if recording.silent:
                return inherited(self, *args, **kwargs)
            with recording.silenced():
                drawn = inherited(self, *args, **kwargs)
            result = drawn if drawn is not None else args[0] if args else None
            op = f"numpy.random.{base.__name__}.{name}"
            recording.draw(f"own numpy {base.__name__}", op, _state(result), sys._getframe(1))
            return drawn

        draw.__name__, draw.__doc__ = name, inherited.__doc__
        return draw

    names = [each for each in dir(base) if not each.startswith("_") and each not in _NOT_DRAWS]
    methods = {each: method(each) for each in names if callable(getattr(base, each))}
    return Meta(base.__name__, (base,), {"__module__": base.__module__, "__doc__": base.__doc__, **methods})


def _rng_maker(recording: Recording, module: ModuleType, original: Any, own: Any) -> Any:
    def default_rng(seed: Any = None) -> Any:
        if isinstance(seed, int):
            recording.seed("own numpy Generator", seed, sys._getframe(1))
        made = original(seed)
        return made if seed is made or isinstance(type(made), type(own)) else own(made.bit_generator)

    return default_rng


@cache
def _is_python_file(file: str) -> bool:
    return file.startswith(("<frozen", sysconfig.get_path("stdlib"))) and "-packages" not in file


def _is_python(frame: FrameType | None) -> bool:
    """Whether Python's own library draws for itself, as for a temporary name, or one that is being imported does."""
    assert frame is not None
    if _is_python_file(frame.f_code.co_filename):
        return True
    while frame is not None and is_librarys(frame):
        frame = frame.f_back
    return frame is not None and frame.f_code.co_filename.startswith("<frozen importlib")


def _state(result: Any) -> int:
    """64 bits that stand for what was drawn."""
    if hasattr(result, "tobytes"):
        return hashed(result.tobytes())
    if isinstance(result, list | tuple) and len(result) > 1000:
        return hashed(repr((len(result), result[:500], result[-500:])).encode())
    return hashed(repr(result).encode()) if isinstance(result, str | int | float | bytes | list | tuple) else 0
