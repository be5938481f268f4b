"""Sizes that need not be computed twice.

# Note [Remembered shapes]
A meta kernel written in Python costs some 50 to 200 us, and models repeat their layers. So the sizes, strides and
dtypes an op returned are remembered by the op and the sizes, strides, dtypes and scalars it was given, for ops whose
schema has no alias and no mutation: for these, the same question has the same answer.
"""

from __future__ import annotations

from typing import Any

import torch


class Remembered:
    """What pure ops returned on meta, by all that decides it."""

    def __init__(self) -> None:
        self._answers: dict[tuple[Any, ...], Any] = {}

    def result(self, question: tuple[Any, ...] | None) -> Any:
        """Fresh meta tensors like the ones returned last time; None if that is not known."""
        answer = self._answers.get(question) if question is not None else None
        return None if answer is None else _from_answer(answer)

    def remember(self, question: tuple[Any, ...] | None, result: Any) -> None:
        """Note the sizes, strides and dtypes of a result, if they answer the question whole."""
        if question is not None:
            self._answers[question] = _answer(result)


def question_of(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...] | None:
    """All that decides what a pure op returns on meta; None when that is more than sizes, dtypes and scalars."""
    key: list[Any] = [func, torch.get_default_dtype()]
    if kwargs:
        args = (*args, *kwargs, *kwargs.values())
    for value in args:
        if isinstance(value, torch.Tensor):
            if value.layout is not torch.strided or value.is_complex():
                return None
            key.append((value.shape, value.stride(), value.dtype))
        elif type(value) in (list, tuple):
            if not all(type(item) in (int, bool) for item in value):
                return None
            key.append(tuple(value))
        else:
            key.append((type(value), value))
    return tuple(key)


def _answer(result: Any) -> Any:
    """What to remember of a result: sizes, strides and dtype of one tensor or of several; None to remember nothing."""
    if type(result) is torch.Tensor:
        return (result.shape, result.stride(), result.dtype) if result.layout is torch.strided else None
    if type(result) is tuple and all(type(item) is torch.Tensor for item in result):
        return [(item.shape, item.stride(), item.dtype) for item in result]
    return None


def _from_answer(answer: Any) -> Any:
    if type(answer) is list:
        return tuple(_from_answer(item) for item in answer)
    shape, stride, dtype = answer
    return torch.empty_strided(shape, stride, dtype=dtype, device="meta")
