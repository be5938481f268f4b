"""What is known of tensors' memory, for as long as it lives: addresses are given again to others, and tell nothing."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import Generic, TypeVar

import torch

T = TypeVar("T")


class Storages(Generic[T]):
    """A value for each storage. torch keeps a storage's Python object as long as the storage, since 2.1."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[weakref.ref[torch.UntypedStorage], T]] = {}

    def put(self, tensor: torch.Tensor, value: T) -> None:
        """Remember a value for the memory of a tensor."""
        storage = tensor.untyped_storage()
        number, known = id(storage), self._known
        self._known[number] = weakref.ref(storage, lambda _: known.pop(number, None)), value

    def get(self, tensor: torch.Tensor) -> T | None:
        """The value for the memory of a tensor."""
        storage = tensor.untyped_storage()
        found = self._known.get(id(storage))
        return found[1] if found is not None and found[0]() is storage else None

    def forget(self, tensor: torch.Tensor) -> None:
        """Remember nothing of the memory of a tensor."""
        self._known.pop(id(tensor.untyped_storage()), None)

    def values(self) -> Iterator[T]:
        """What is known of all memory that is still there."""
        return (value for _, value in list(self._known.values()))

    def clear(self) -> None:
        """Forget all."""
        self._known.clear()

    def __len__(self) -> int:
        return len(self._known)
