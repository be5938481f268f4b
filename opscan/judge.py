"""Judge one call by the rules that name it: which entry of a history holds, and whether the bits can differ."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from opscan.environment import RELEASES, Environment
from opscan.finding import NewerTorch
from opscan.rules.condition import Condition
from opscan.rules.load import Ruleset
from opscan.rules.schema import Bits, BitsClaim, DefaultBehaviour, History, Rule

OWN_NAMESPACES = frozenset({
    "aten", "prim", "prims", "rngprims", "quantized", "_quantized", "quantized_decomposed", "sparse", "mkldnn",
    "onednn", "mkl", "xnnpack", "c10d", "c10d_functional", "_c10d_functional", "_c10d_functional_autograd", "symm_mem",
    "higher_order", "profiler", "inductor", "fsdp",
})  # fmt: skip
"""Namespaces of ops that torch itself ships. Any other op without a rule is unknown, never clean."""


class Judgement(NamedTuple):
    """What a rule says of one call: the deciding entry, whether the bits can differ, and what a newer torch does."""

    rule: Rule
    history: History
    bits: Bits
    bits_why: str
    newer: NewerTorch | None


class Standing(NamedTuple):
    """A rule as far as it concerns one environment: the entries of its history, and its claims about bits."""

    rule: Rule
    entries: tuple[History, ...]
    claims: tuple[BitsClaim, ...]


class RuledOp(NamedTuple):
    name: str
    rules: tuple[Standing, ...]
    unknown: bool


class Candidates:
    """The rules as they stand for one environment, looked up once per op."""

    def __init__(self, rules: Ruleset, environment: Environment) -> None:
        self._rules = rules
        self._environment = environment
        self._ops: dict[Any, RuledOp] = {}
        self._standings: dict[str, Standing] = {}
        self._newer: dict[tuple[str, tuple[int, ...]], NewerTorch | None] = {}
        self._forced: dict[tuple[int, bool], History | None] = {}

    def op(self, target: Any) -> RuledOp:
        found = self._ops.get(target)
        if found is None:
            name = str(target)
            standing = tuple(self._standing(self._rules.for_op(name)))
            unknown = not standing and name.partition(".")[0] not in OWN_NAMESPACES
            found = self._ops[target] = RuledOp(name, standing, unknown)
        return found

    def call(self, name: str) -> tuple[Standing, ...]:
        return tuple(self._standing(self._rules.by_call.get(name, ())))

    def _standing(self, rules: Iterable[Rule]) -> Iterator[Standing]:
        device, torch = self._environment.device, self._environment.torch
        for rule in rules:
            standing = self._standings.get(rule.id)
            if standing is None:
                standing = self._standings[rule.id] = Standing(
                    rule,
                    tuple(each for each in rule.history if device in each.devices and each.torch.contains(torch)),
                    tuple(
                        each
                        for each in rule.bits
                        if device in each.devices and (each.torch is None or each.torch.contains(torch))
                    ),
                )
            if standing.entries:
                yield standing

    def judge(
        self,
        standing: Standing,
        arguments: Mapping[str, Any],
        public: tuple[str, ...],
        assumed_sizes: bool,
        forced: bool | None,
    ) -> Judgement | None:
        """What the rule says of a call with these arguments; None when it has nothing to report.

        `forced` is whether the model's own code had turned strict mode on or off when the call ran.
        """
        rule = standing.rule
        if not _all_hold(rule.when, arguments) or not (assumed_sizes or _all_hold(rule.at_scale, arguments)):
            return None
        entry = next((each for each in standing.entries if _fits(each, arguments, public)), None)
        if entry is not None and forced is not None:
            entry = self._under_forced(entry, forced)
        if entry is None or entry.verdict is None:
            return None
        bits, why = _bits(standing, entry, arguments, public, assumed_sizes)
        return Judgement(rule, entry, bits, why, self._newer_torch(rule, entry, arguments, public))

    def _under_forced(self, entry: History, forced: bool) -> History | None:
        key = (id(entry), forced)
        if key not in self._forced:
            self._forced[key] = _as_forced(entry, forced)
        return self._forced[key]

    def _newer_torch(
        self, rule: Rule, entry: History, arguments: Mapping[str, Any], public: tuple[str, ...]
    ) -> NewerTorch | None:
        """The first release from which on this call is better than `entry` says, through to the newest one."""
        fitting = tuple(
            at for at, each in enumerate(rule.history) if not (each.via or each.when) or _fits(each, arguments, public)
        )
        key = (rule.id, fitting)
        if key not in self._newer:
            self._newer[key] = self._first_better(entry, [rule.history[at] for at in fitting])
        return self._newer[key]

    def _first_better(self, entry: History, fitting: Sequence[History]) -> NewerTorch | None:
        first = None
        for release in reversed([each for each in RELEASES if each > self._environment.torch]):
            then = next(
                (each for each in fitting if self._environment.device in each.devices and each.torch.contains(release)),
                None,
            )
            if not _better(then, entry):
                break
            first = NewerTorch(
                str(release), then.default if then else "deterministic", then.strict if then else "deterministic"
            )
        return first


def _as_forced(entry: History, on: bool) -> History | None:
    """What an entry comes to where the model's own code has turned strict mode on, or off."""
    if on:
        return None if entry.verdict == "switches" else entry
    if entry.default == "deterministic":
        return None
    if entry.default != "nondeterministic":
        return entry
    off = "The model's own code turns strict mode off here, so it does not act on this op."
    return replace(entry, strict="nondeterministic", said_warn_only=None, alert=None, why=off)


def _better(then: History | None, now: History) -> bool:
    """Whether a release that does `then` solves what one that does `now` leaves open."""
    if then is None or then.verdict is None:
        return True
    return then.verdict == "switches" and now.verdict in ("raises", "silent")


def _fits(entry: History | BitsClaim, arguments: Mapping[str, Any], public: tuple[str, ...]) -> bool:
    return _reached(entry, public) and _all_hold(entry.when, arguments)


def _reached(entry: History | BitsClaim, public: tuple[str, ...]) -> bool:
    return not entry.via or any(name in entry.via for name in public)


def _all_hold(conditions: tuple[Condition, ...], arguments: Mapping[str, Any]) -> bool:
    return all(condition.holds(arguments) for condition in conditions)


_WHY: Mapping[DefaultBehaviour, tuple[Bits, str]] = {
    "setting": ("unknown", "A setting decides."),
    "seeded": ("vary", "Random numbers: the same ones when the generator is seeded alike."),
    "uninitialized": ("vary", "It depends on what the memory held before."),
}


def _bits(
    standing: Standing, entry: History, arguments: Mapping[str, Any], public: tuple[str, ...], assumed_sizes: bool
) -> tuple[Bits, str]:
    """Whether two runs can differ here, and the reason: never "cannot vary" on what was only assumed."""
    if entry.default in _WHY:
        return _WHY[entry.default]
    if entry.default == "deterministic":
        return "cannot vary", entry.why
    for claim in standing.claims:
        if _reached(claim, public) and _all_certain((*claim.when, *claim.at_sizes), arguments):
            if claim.at_sizes and assumed_sizes and claim.bits == "cannot vary":
                return "unknown", f"At the sizes assumed here the bits cannot vary; with others they may. {claim.why}"
            return claim.bits, claim.why
    if standing.rule.at_scale and assumed_sizes:
        return "unknown", f"Only where {standing.rule.scale}."
    return "vary", standing.rule.mechanism


def _all_certain(conditions: tuple[Condition, ...], arguments: Mapping[str, Any]) -> bool:
    return all(condition.certain(arguments) for condition in conditions)
