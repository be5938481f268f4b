"""Findings: what opscan has to say, as values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from opscan.rules.schema import Bits, DefaultBehaviour, Replacement, SameValues, StrictBehaviour, Verdict

Observed = Verdict | Literal["nothing"]
"""What a real device was seen to do: as a verdict, or "nothing": the op ran, did not raise, and did not differ."""


class Line(NamedTuple):
    """A source line; a notebook cell has a name for a file."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True)
class Place:
    """One place an op is reached from: the module, where it was built, where it was called, and how often.

    `for_inputs` is True for a backward op that runs only when the model's own inputs need a gradient: no weight stands
    before it. `stock` is torch's own class whose forward the module runs ("torch.nn.Conv2d"), "" for another's forward;
    `public` is the chain of public functions the op came through, outermost first.
    """

    module: str
    constructed: Line | None
    called: Line | None
    count: int
    for_inputs: bool = False
    stock: str = ""
    public: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Remedy:
    """A drop-in replacement for places of a finding, and the edit that writes it at one line.

    `name` is what opscan.replacements has, `of` the public name it stands in for; `values` and `gradient` compare it
    with that, `differs` says what is different. `line` is the line to edit, None where none is known; `imports`,
    `before` and `after` are the import it needs and that line without and with it, "" where opscan cannot edit it:
    `obstacle` then says why.
    """

    name: str
    of: str
    values: SameValues
    gradient: SameValues
    differs: str
    line: Line | None
    imports: str = ""
    before: str = ""
    after: str = ""
    obstacle: str = ""

    @property
    def is_same_valued(self) -> bool:
        """Whether results and gradients are the original's, bit by bit or up to rounding."""
        return "different" not in (self.values, self.gradient)


class NewerTorch(NamedTuple):
    """The first torch that alone solves a finding: from there on the op repeats in strict mode, or in both."""

    torch: str
    default: DefaultBehaviour
    strict: StrictBehaviour


class Replay(NamedTuple):
    """What came of running an op `runs` times on equal inputs, the run whose result the model went on with included.

    `differing` counts the runs whose result was not the first one's, bit by bit; `distinct` the different results there
    were: two suggest a choice of algorithm, as many as runs suggest atomics. `max_ulps` is the greatest distance from
    the first result in units in the last place, None where nothing floating differs. `first_at` is the smallest number
    of runs that shows it, None where none does.
    """

    runs: int
    differing: int = 0
    distinct: int = 1
    max_ulps: int | None = None
    first_at: int | None = None


class Waived(NamedTuple):
    """Why a project accepts a finding: the reason, the last day that holds (ISO, None without an end), and which
    waiver of its pyproject.toml says so, from 1.
    """

    reason: str
    until: str | None
    number: int


@dataclass(frozen=True, slots=True)
class Spread:
    """What hangs on a finding's results: what differs from run to run where they do.

    `output` is whether anything the call returns does, `loss` whether the loss does, `inputs` whether the gradient of
    an input does. `gradients` are the parameters whose gradients do, in the order backward comes to them, of
    `of_gradients` in all. `read` are the lines where Python reads such a value (`.item()`): what is decided by it is
    not followed any further.
    """

    output: bool
    loss: bool
    inputs: bool
    gradients: tuple[str, ...]
    of_gradients: int
    read: tuple[Line, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """Equal ops under one rule, grouped: everything there is to say about them.

    `default`, `strict` and `warn_only` are what the three modes do here, `message` says why in words. `bits` is whether
    the result can differ from run to run at all, with the reason in `bits_why`. `alert` is the literal that PyTorch
    prints in its RuntimeError, when strict mode raises. `newer_torch` is the release that solves it, if one does.
    `waived` is the project's reason to accept it; `known` says that a baseline has it.
    `replacements` are what may be written instead, in words; `remedies` are importable, each with the line it is for.
    `ranks` are the ranks of a run of several processes that have it; None: all of them, or there is only one process.
    `predicted` is the verdict the rules give, None where none does; `observed` and `replay` are what a real device was
    seen to do, None where none was asked. `spread` is what the results reach, None where they cannot vary.
    """

    rule: str
    title: str
    verdict: Verdict
    op: str
    phase: str
    module_type: str
    places: tuple[Place, ...]
    default: DefaultBehaviour
    strict: StrictBehaviour
    warn_only: DefaultBehaviour | StrictBehaviour
    bits: Bits
    bits_why: str
    alert: str | None
    message: str
    replacements: tuple[Replacement, ...]
    newer_torch: NewerTorch | None
    predicted: Verdict | None
    waived: Waived | None = None
    known: bool = False
    observed: Observed | None = None
    replay: Replay | None = None
    remedies: tuple[Remedy, ...] = ()
    spread: Spread | None = None
    ranks: tuple[int, ...] | None = None

    @property
    def count(self) -> int:
        """How many times the op ran."""
        return sum(place.count for place in self.places)

    @property
    def harmless(self) -> bool:
        """Whether it neither varies nor stops a run: strict mode picks another kernel, or none, for nothing."""
        return self.bits == "cannot vary" and self.verdict in ("switches", "silent")

    @property
    def accepted(self) -> bool:
        """Whether it fails nothing: it is waived, or known from a baseline."""
        return self.waived is not None or self.known

    @property
    def modules(self) -> tuple[str, ...]:
        """Paths of the modules concerned, each once, in the order they were met; "" is the model itself."""
        return tuple(dict.fromkeys(place.module for place in self.places))

    @property
    def constructed(self) -> tuple[Line, ...]:
        """The lines where the modules concerned were built, each once."""
        return tuple(dict.fromkeys(place.constructed for place in self.places if place.constructed))

    @property
    def called(self) -> tuple[Line, ...]:
        """The lines where they were called, each once."""
        return tuple(dict.fromkeys(place.called for place in self.places if place.called))


def disagrees(finding: Finding) -> bool:
    """Whether a device was seen to do other than predicted: an alert too many or too few, or a difference too many."""
    if finding.observed in (None, finding.predicted):
        return False
    if finding.observed == "nothing":
        return finding.predicted == "raises"
    harder = finding.observed == "raises" or finding.predicted not in ("raises", "config")
    return harder and not (finding.observed == "switches" and finding.predicted == "silent")


@dataclass(frozen=True, slots=True)
class Cost:
    """What a step took: seconds, and the most bytes of the device's memory, None where it is not counted (the CPU)."""

    seconds: float
    memory: int | None


@dataclass(frozen=True, slots=True)
class Run:
    """A step as it was run on a device: strict mode once, and with `replays` > 1 each wanted op that often.

    `device` names the machine's. `cost` and `plain` are what that took and what the step alone takes, None where a
    report leaves them out. `failure` says what ended it early, and where; the findings are then the prediction.
    """

    device: str
    ops: int
    replays: int
    cost: Cost | None
    plain: Cost | None
    failure: str | None = None


@dataclass(frozen=True, slots=True)
class ScanCost:
    """The parameters of the model, each counted once (None without a model), and what scanning it took.

    `seconds` is wall-clock time from the constructor on. `peak_bytes` is the most memory the process had resident since
    it began, Python, torch and the user's own data included (getrusage's ru_maxrss); None where that is not counted.
    """

    parameters: int | None
    parameter_bytes: int | None
    seconds: float
    peak_bytes: int | None
