"""The construction and the inputs that go together.

A construction whose arguments were assumed may be one that no input runs through. Then the next one has its turn.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from itertools import chain, islice

from opscan.errors import InputError
from opscan.target.build import Target
from opscan.target.inputs import Inputs
from opscan.target.settle import Settled

_MOST_OTHERS = 4
_MOST_MENDED = 4
_BUDGET_S = 30.0  # for all constructions together; the first one has its full time within it


def fit(
    target: Target, settling: Callable[[Target], Settled], finding: Callable[[Settled], Inputs]
) -> tuple[Target, Inputs]:
    """What is called of the target, or of another construction of it, and inputs it runs on.

    `settling` chooses what is called, `finding` its inputs. Raises InputError, that of the first construction, if
    nothing is found.
    """
    failure: InputError | None = None
    deadline = time.monotonic() + _BUDGET_S
    for made in chain([target], islice(target.others(), _MOST_OTHERS)):
        each: Target | None = made
        mended = 0
        while each is not None:
            settled = settling(replace(each, home=target.home))
            try:
                return settled.target, finding(settled)
            except InputError as error:
                failure = failure or error
                mended += 1
                each = each.mended(error.__cause__) if error.__cause__ and mended < _MOST_MENDED else None
            if time.monotonic() > deadline:
                raise failure
    assert failure is not None
    raise failure
