"""Digests and samples of values of any library: torch tensors, arrays, and what holds them."""

from __future__ import annotations

import base64
import sys
from array import array
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from opscan.verifying.watch.recording import hashed, local_of, mixed

SAMPLES = 8
"""Elements of each parameter that are kept beside its digest."""

_LEAVES = 24


def digest_of(value: Any) -> int:
    """64 bits of a tensor or array: its values, where they stand, its sizes and its dtype."""
    torch, value = sys.modules.get("torch"), local_of(value)
    if torch is not None and isinstance(value, torch.Tensor):
        from opscan.observe.fingerprint import fingerprint

        if value.is_meta:
            return 0
        with torch.no_grad():
            bits = int(fingerprint(value))
        return mixed(bits, hashed(f"{tuple(value.shape)} {value.dtype}".encode()))
    found = as_array(value)
    if found is None:
        return hashed(_text(value))
    return mixed(hashed(found.tobytes()), hashed(f"{found.shape} {found.dtype}".encode()))


def as_array(value: Any) -> Any:
    """A numpy array of what can be one (an array of JAX or TensorFlow too), else None."""
    if not hasattr(value, "shape") or not hasattr(value, "dtype"):
        return None
    numpy = sys.modules.get("numpy")
    if numpy is None:
        return None
    try:
        return numpy.ascontiguousarray(numpy.asarray(value))
    except Exception:  # an array that is not here, or a symbolic one
        return None


def _text(value: Any) -> bytes:
    """What stands for a value that is no array: itself where it is plain, else its type."""
    plain = isinstance(value, str | bytes | int | float | complex | bool | type(None))
    return (repr(value) if plain else type(value).__qualname__).encode()


def leaves_of(batch: Any) -> list[tuple[str, int]]:
    """The digests of all that a batch holds, each with its place: `[0]`, `["image"]`, `.x`."""
    leaves = [(name, digest_of(value)) for name, value in _walk(batch, "")]
    for name, digest in leaves[_LEAVES:]:
        leaves[_LEAVES - 1] = ("others", mixed(leaves[_LEAVES - 1][1], mixed(digest, hashed(name.encode()))))
    return leaves[:_LEAVES]


def _walk(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key in value:
            yield from _walk(value[key], f"{name}[{key!r}]")
    elif isinstance(value, list | tuple):
        for position, item in enumerate(value):
            yield from _walk(item, f"{name}[{position}]")
    elif hasattr(value, "to_dict") and not hasattr(value, "shape"):  # a graph of torch_geometric
        for key, item in value.to_dict().items():
            yield from _walk(item, f"{name}.{key}")
    else:
        yield name, value


def samples_of(values: Sequence[Any]) -> str:
    """SAMPLES elements of each tensor, evenly spread, as float32 in base64: NaN where there are fewer."""
    torch = sys.modules.get("torch")
    numbers: list[float] = []
    for value in values:
        if value is None:
            taken: list[float] = []
        elif torch is not None and isinstance(value, torch.Tensor):
            flat = local_of(value.detach()).reshape(-1)
            few = flat[:: max(flat.numel() // SAMPLES, 1)][:SAMPLES]
            taken = [] if few.is_complex() or few.is_meta else few.double().tolist()
        else:
            found = as_array(value)
            flat = found.reshape(-1) if found is not None else []
            taken = [float(each) for each in flat[:: max(len(flat) // SAMPLES, 1)][:SAMPLES]]
        numbers += taken + [float("nan")] * (SAMPLES - len(taken))
    return base64.b64encode(_floats(numbers).tobytes()).decode()


def _floats(numbers: list[float]) -> array[float]:
    packed = array("f", [max(min(each, 3.4e38), -3.4e38) if each == each else each for each in numbers])
    if sys.byteorder == "big":
        packed.byteswap()
    return packed


def read_samples(text: str) -> list[float]:
    """The numbers that samples_of packed."""
    packed = array("f", base64.b64decode(text))
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tolist()
