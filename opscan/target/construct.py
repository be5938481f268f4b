"""The search for arguments a class or factory can be called with, where nobody gave them all.

    what is given or has a default  ->  tried as it is, if nothing more is required
    the documentation's examples    ->  tried as they are shown (docs.examples)
    names and annotations           ->  tried (guesses), and changed by what the error says (complaints)

Each try runs the constructor on the meta device. The first that succeeds wins; the others stay for inputs that no
construction before them takes.
"""

from __future__ import annotations

import io
import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass, replace
from inspect import Signature, isfunction
from itertools import chain, islice
from types import SimpleNamespace

from opscan.target.arguments import (
    Arguments,
    Given,
    assumed_value,
    bind_given,
    filled,
    needs_value,
    signature_of,
    unfilled,
    without_pretrained,
)
from opscan.target.complaints import revisions
from opscan.target.docs.evaluate import UnreadableError, real
from opscan.target.docs.examples import Call, Example, examples_of
from opscan.target.guesses import guessed_value
from opscan.target.mend import construct_mending
from opscan.target.offline import offline
from opscan.target.wellknown import UNKNOWN
from opscan.trace.unwritten import unwritten_remembered

_MOST_TRIES = 60
_BUDGET_S = 10.0
_MOST_FACTORIES = 3
_DEEPEST = 8  # changes made one after the other

_OUT_OF_MEMORY = ("out of memory", "not enough memory", "can't allocate memory")

Constructing = Callable[[], AbstractContextManager[object]]
Values = dict[str, object]


@dataclass(frozen=True, slots=True)
class Made:
    """What a construction made, from which arguments; `calls` are the ones its documentation shows."""

    made: object
    arguments: Arguments
    calls: tuple[Callable[[], Call], ...] = ()


class HopelessError(Exception):
    """What no other arguments mend: something is not installed, does not fit into memory, or every guess failed."""

    def __init__(self, error: BaseException, arguments: Arguments) -> None:
        super().__init__(error, arguments)
        self.error, self.arguments = error, arguments


def is_out_of_memory(error: BaseException) -> bool:
    """Whether it says that memory ran out, on whatever device."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(words in text for words in _OUT_OF_MEMORY)


def constructions(function: Callable[..., object], given: Given, constructing: Constructing) -> Iterator[Made]:
    """Every construction that succeeds, the likeliest first; none where Python knows no signature.

    Raises TargetError for given arguments that do not fit, HopelessError for what no arguments mend.
    """
    signature = signature_of(function)
    if signature is None:
        return
    maker = _Maker(function, signature, bind_given(function, signature, given), constructing, given.text)
    complete = not unfilled(signature, maker.given)
    plain = maker.plain() if complete else None
    if plain is not None:
        yield plain
    found = plain is not None
    for made in chain(map(maker.shown, examples_of(function)), islice(maker.by_factories(), _MOST_FACTORIES)):
        if made is not None:
            found = True
            yield made
    if not found:
        yield from maker.guessed()


@dataclass(frozen=True, slots=True)
class _Maker:
    """Tries the constructor with values for the parameters that are not `given`."""

    function: Callable[..., object]
    signature: Signature
    given: Mapping[str, object]
    constructing: Constructing
    text: str

    def plain(self) -> Made | None:
        try:
            return self._called(self._filled({}))
        except HopelessError:
            raise
        except (Exception, SystemExit):  # a constructor may raise anything; whose fault it is is said in the end
            return None

    def shown(self, example: Example) -> Made | None:
        """As the example does it; what is given counts instead of what it shows."""
        for constructing in (self.constructing, nullcontext):  # some parts cannot be made without values
            try:
                with _quiet(constructing):
                    args, kwargs = example.arguments()
                    shown = {name: real(held) for name, held in kwargs.items()}
                    bound = self.signature.bind_partial(*map(real, args), **shown).arguments
                arguments = self._filled({name: held for name, held in bound.items() if name not in self.given})
                shown_as = Arguments(arguments.args, arguments.kwargs, _as_shown(arguments, example.place))
                made = replace(self, constructing=constructing)._called(shown_as)
                return replace(made, calls=example.calls)
            except UnreadableError:
                return None
            except (Exception, SystemExit):  # documentation may be older than the code
                continue
        return None

    def by_factories(self) -> Iterator[Made | None]:
        """By the functions of its module that say they return it, where nothing is given."""
        for name, factory in _factories_of(self.function) if not self.given else ():
            signature = signature_of(factory)
            if signature is None or unfilled(signature, {}):
                continue
            line = f"constructed by {name}() (assumed; name another factory, or give constructor arguments with --init)"
            arguments = filled(signature, {}, {})
            try:
                made = replace(self, function=factory)._called(arguments).made
            except (Exception, SystemExit):  # a factory may want what is not here: the next one
                continue
            if isinstance(self.function, type) and isinstance(made, self.function):
                yield Made(made, Arguments((), {}, (line, *arguments.assumptions)))

    def guessed(self) -> Iterator[Made]:
        """From names and annotations, then with the changes that the errors suggest."""
        first = self._guesses()
        failure: HopelessError | None = None
        succeeded = False
        stack = [(first, 0)]
        seen: set[str] = set()
        deadline = time.monotonic() + _BUDGET_S
        while stack and len(seen) < _MOST_TRIES and time.monotonic() < deadline:
            values, depth = stack.pop()
            if (key := repr(sorted(values.items(), key=str))) in seen:
                continue
            seen.add(key)
            arguments = self._filled(values)
            try:
                made = self._called(arguments)
            except HopelessError:
                raise
            except (Exception, SystemExit) as error:
                failure = failure or HopelessError(error, arguments)
                changes = self._changes(error, values) if depth < _DEEPEST else []
                stack += [({**values, **change}, depth + _step(change)) for change in reversed(changes)]
                continue
            succeeded = True
            yield made
        if failure is not None and not succeeded:
            raise failure from failure.error

    def _guesses(self) -> Values:
        """A value for each required parameter. Raises TargetError for one about which nothing says anything."""
        parameters = [self.signature.parameters[name] for name in unfilled(self.signature, self.given)]
        values = {each.name: assumed_value(self.function, each) for each in parameters}
        if UNKNOWN in values.values():
            with _quiet(self.constructing):  # parts of the model may be made
                values = {each.name: guessed_value(self.function, each) for each in parameters}
        unknown = [name for name, value in values.items() if value is UNKNOWN]
        if unknown:
            raise needs_value(self.function, self.signature.parameters[unknown[0]], self.text)
        return values

    def _changes(self, error: BaseException, values: Values) -> list[Values]:
        defaults = {
            each.name: each.default for each in self.signature.parameters.values() if each.default is not UNKNOWN
        }
        others = {name: value for name, value in defaults.items() if name not in self.given}
        held = {**others, **without_pretrained(self.signature, self.given), **values}
        try:
            return revisions(error, self.function, held)
        except Exception:  # values of the user's own types may refuse to be compared
            return []

    def _filled(self, values: Mapping[str, object]) -> Arguments:
        return filled(self.signature, self.given, values)

    def _called(self, arguments: Arguments) -> Made:
        """What is made of these arguments, with a line for what had to be filled in in a configuration nobody gave."""

        def make() -> tuple[object, tuple[str, ...]]:
            return self.function(*arguments.args, **arguments.kwargs), ()

        try:
            with _quiet(self.constructing) as printed:
                if self.given:
                    made, lines = make()
                else:
                    made, lines = construct_mending(self.function, arguments.args, arguments.kwargs)
        except (Exception, SystemExit) as error:
            if isinstance(error, ImportError) or (not arguments.assumptions and is_out_of_memory(error)):
                raise HopelessError(error, arguments) from error
            if not _needs_values(error):
                raise
            with _quiet(unwritten_remembered) as printed:
                made, lines = make()
        print(printed.getvalue(), end="")
        return Made(made, replace(arguments, assumptions=(*arguments.assumptions, *lines)))


def _factories_of(function: Callable[..., object]) -> Iterator[tuple[str, Callable[..., object]]]:
    """The functions of a class's module that are annotated to return it, in the order they are written."""
    if not isinstance(function, type):
        return
    home = function.__module__
    functions = {name: each for name, each in vars(sys.modules[home]).items() if isfunction(each)}
    for name, each in functions.items():
        own = each.__module__ == home and not name.startswith("_")
        if own and each.__annotations__.get("return") in (function, function.__name__):
            yield name, each


def _step(change: Values) -> int:
    """How much deeper a change goes; an attribute more of a configuration is no new idea."""
    return 0 if any(isinstance(value, SimpleNamespace) for value in change.values()) else 1


@contextmanager
def _quiet(constructing: Constructing = nullcontext) -> Iterator[io.StringIO]:
    """What a constructor prints counts once, when it succeeded."""
    with redirect_stdout(io.StringIO()) as printed, offline(), constructing():
        yield printed


def _needs_values(error: BaseException) -> bool:
    """Whether it failed for want of the values that weights do not have on the meta device."""
    return re.search(r"\bmeta\b|values are not there", str(error)) is not None


def _as_shown(arguments: Arguments, place: str) -> tuple[str, ...]:
    """One line for all: an example's arguments belong together."""
    return (f"{arguments.shown()} (constructor arguments, as in {place}; --init NAME=...)",)
