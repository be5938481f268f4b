"""An error as data: what a child says of one, and the OpscanError that is made of it on the other side."""

from __future__ import annotations

from dataclasses import dataclass

from opscan import errors
from opscan.blame import one_line, user_line
from opscan.errors import OpscanError, TraceError
from opscan.isolation.terminal import wanted_at

_LONGEST = 20_000
_KINDS = {each.__name__: each for each in vars(errors).values() if isinstance(each, type)}
_OURS = (
    "Please report it, with what `OPSCAN_DEBUG=1 opscan check --in-process` prints, unless the target changes Python."
)


@dataclass(frozen=True, slots=True)
class Told:
    """What stands in an OpscanError; `kind` is the name of its class."""

    kind: str
    what: str
    where: str = ""
    hint: str = ""
    call: str = ""


def tell(error: BaseException) -> Told:
    """What to say of any error: opscan's own as they are, others with the line of the user's that they come from."""
    asked = wanted_at()
    if isinstance(error, OpscanError):
        kind = next(each.__name__ for each in type(error).__mro__ if each.__name__ in _KINDS)
        hint = f"{error.hint}\n  {_terminal(asked)}".strip() if asked else error.hint
        return Told(kind, error.what, error.where, hint, error.call if isinstance(error, TraceError) else "")
    line = user_line(error)
    if line:
        return Told("OpscanError", f"{one_line(error)} at {line}", "", _terminal(asked) if asked else "")
    return Told("OpscanError", f"internal error: {one_line(error)}", "", _OURS)


def error_of(told: Told) -> OpscanError:
    """The error to raise for what was told."""
    what, where, hint = (each[:_LONGEST] for each in (told.what, told.where, told.hint))
    kind = _KINDS.get(told.kind, OpscanError)
    return TraceError(what, where, hint, told.call[:_LONGEST]) if kind is TraceError else kind(what, where, hint)


def _terminal(asked: str) -> str:
    return f"It reads from the terminal at {asked}, which only `opscan check --in-process` lets it."
