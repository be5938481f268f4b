"""The construction and the inputs that go together.

A construction whose arguments were assumed may be one that no input runs through. Where the error of its forward is
about an entry of its configuration, the model is made once more with another value there; else the next construction
has its turn.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from itertools import chain, islice
from typing import Protocol

from opscan.errors import InputError
from opscan.solving.solve import EarlyError
from opscan.steps.settle import Settled
from opscan.target.build import Target
from opscan.target.inputs import Inputs

_MOST_OTHERS = 4
_MOST_MENDED = 8
_BUDGET_S = 30.0  # for all constructions together; the first one has its full time within it


class Finding(Protocol):
    """Finds the inputs of what is called; with `hasty` it raises EarlyError at what another configuration may mend."""

    def __call__(self, settled: Settled, *, hasty: bool) -> Inputs: ...


def fit(target: Target, settling: Callable[[Target], Settled], finding: Finding) -> tuple[Target, Inputs]:
    """What is called of the target, or of another construction of it, and inputs it runs on.

    `settling` chooses what is called, `finding` its inputs. Raises InputError if nothing is found: that of the first
    construction, or of what was mended in it.
    """
    failure: InputError | None = None
    deadline = time.monotonic() + _BUDGET_S
    for made in chain([target], islice(target.others(), _MOST_OTHERS)):
        try:
            return _fit_mended(replace(made, home=target.home), settling, finding, deadline)
        except InputError as error:
            failure = failure or error
            if time.monotonic() > deadline:
                raise failure from failure.__cause__
    assert failure is not None
    raise failure


def _fit_mended(
    target: Target, settling: Callable[[Target], Settled], finding: Finding, deadline: float
) -> tuple[Target, Inputs]:
    """As `fit`, for one construction and what is mended in it; if that is of no use, all of its time for itself."""
    each: Target | None = target
    failure: InputError | None = None
    is_nearer = False
    for _ in range(_MOST_MENDED):
        if each is None or (failure is not None and time.monotonic() > deadline):  # it was long in the making
            break
        settled = settling(replace(each, home=target.home))
        try:
            return settled.target, finding(settled, hasty=True)
        except InputError as error:
            if failure is None or str(failure.__cause__) != str(error.__cause__):
                failure, is_nearer = error, failure is not None
            each = each.mended(error.__cause__) if error.__cause__ else None
    assert failure is not None
    if is_nearer or not isinstance(failure, EarlyError):  # the last error is what no mending helps
        raise failure
    settled = settling(target)
    return settled.target, finding(settled, hasty=False)
