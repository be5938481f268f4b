"""torch.autograd.Function seen from outside: which one's forward runs, on what, and whether it makes a node.

# Note [Two doors to a Function]
What a model calls is `Function.apply`, looked up when it is called: replacing it shows every call. Packages also keep
`RoIAlignFunction.apply` under a name of their own when they are imported. Nothing shows such a call but the class's
`forward`, which torch looks up each time; it is wrapped for the classes that are watched and there already.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import wraps
from types import MethodType
from typing import Any

import torch
from torch.autograd import Function

from opscan.trace.replaced import handed_back

OnFunction = Callable[[str, tuple[Any, ...], int, bool], AbstractContextManager[None]]

next_sequence_nr = torch.autograd._get_sequence_nr  # type: ignore[attr-defined]  # torch's stubs leave it out
"""The number that the next autograd node of this thread will get."""


def function_name(function: type) -> str:
    """The name rules know a Function by: its module and its qualified name."""
    return f"{function.__module__}.{function.__qualname__}"


@contextmanager
def functions_heard(around: OnFunction, watched: frozenset[str]) -> Iterator[None]:
    """While active, `around(name, args, sequence_nr, differentiable)` surrounds the forward of every Function.

    `args` are those after `ctx`, `sequence_nr` is the number of its autograd node, and `differentiable` whether
    gradients were on when it was called. Through the second door of Note [Two doors to a Function] a call may be told
    of twice, one within the other.
    """
    apply = Function.__dict__["apply"]  # a Python function to torch 2.13, C's own in 2.15
    forwards = [
        (each, each.__dict__.get("forward")) for each in _subclasses(Function) if function_name(each) in watched
    ]

    def heard(cls: Any, *args: Any, **kwargs: Any) -> Any:
        with around(function_name(cls), args, next_sequence_nr(), torch.is_grad_enabled()):
            return apply.__get__(None, cls)(*args, **kwargs)

    def original_of(value: Any) -> Any:
        if type(value) is not MethodType or value.__func__ is not heard:
            return value
        owner: Any = value.__self__
        return owner.apply

    with handed_back(original_of):
        Function.apply = classmethod(heard)  # type: ignore[assignment,method-assign]  # put back below
        for function, _ in forwards:
            function.forward = staticmethod(_heard_forward(around, function))
        try:
            yield
        finally:
            Function.apply = apply  # type: ignore[method-assign]  # as it was
            for function, forward in forwards:
                if forward is None:
                    del function.forward
                else:
                    function.forward = forward


def _heard_forward(around: OnFunction, function: Any) -> Callable[..., Any]:
    forward, name = function.forward, function_name(function)
    takes_ctx = function.setup_context is Function.setup_context

    @wraps(forward)
    def heard(*args: Any, **kwargs: Any) -> Any:
        differentiable = bool(args[0].next_functions) if takes_ctx else True
        with around(name, args[1:] if takes_ctx else args, next_sequence_nr() - 1, differentiable):
            return forward(*args, **kwargs)

    return heard


def _subclasses(function: Any) -> Iterator[Any]:
    for each in function.__subclasses__():
        yield each
        yield from _subclasses(each)
