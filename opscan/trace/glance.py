"""A quick look at another way through a step: which ops it runs, from which lines of the user's, and nothing else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from opscan.trace.autocast import Casting
from opscan.trace.choices import Choices, Way
from opscan.trace.driver import Loss, on_meta, to_call
from opscan.trace.graph import SourceLine, Trace, call_of
from opscan.trace.provenance import look_out
from opscan.trace.repeats import Repeats
from opscan.trace.values import Values

Place = tuple[Any, SourceLine | None]
"""An op and the user's line it was called from."""


class _Noting(Values):
    """Values that note which ops run from where."""

    def __init__(self, choices: Choices) -> None:
        super().__init__(choices)
        self.seen: set[Place] = set()

    def run(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """As Values.run."""
        self.seen.add((func, look_out(sys._getframe(1))[0]))
        return super().run(func, args, kwargs)


def glance(
    call: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    *,
    way: Way,
    loss: Loss | None = None,
    training: bool = True,
    casting: Casting,
) -> frozenset[Place]:
    """The ops of forward and loss on a way, with the lines they are called from. Raises what the step raises.

    Layers that repeat one another run once, see Note [Layers run once]. Backward does not run: which ops it has follows
    from those of the forward.
    """
    values = _Noting(Choices(way))
    held = dict(kwargs)
    with on_meta([call, args, held, loss], training, values, casting) as twins:
        Repeats().install(twins.holders)
        run, args, held = to_call(call, twins, training), twins.swap(args), twins.swap(held)
        values.seen.clear()  # what made the stand-ins is not the step's
        outputs = run(*args, **held)
        if loss is not None:
            loss(outputs)
    return frozenset(values.seen)


def places_in(trace: Trace) -> frozenset[Place]:
    """The ops of a trace's forward and loss, with the lines they were called from."""
    calls = ((node.target, call_of(node)) for node in trace.ops())
    return frozenset((op, call.called) for op, call in calls if call.phase != "backward")
