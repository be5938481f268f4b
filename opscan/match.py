"""Judge a trace by the rules: a pure function of (trace, rules, environment)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from torch import fx

from opscan.arguments import Arguments, Sources, read_before_written
from opscan.environment import RELEASES, Environment
from opscan.finding import Finding, Line, NewerTorch, Place, Spread
from opscan.rules.condition import Condition
from opscan.rules.load import Ruleset
from opscan.rules.schema import VERDICTS, Bits, BitsClaim, DefaultBehaviour, History, Rule
from opscan.trace.graph import CompositeCall, ModuleSite, SourceLine, Trace, call_of
from opscan.trace.hygiene import collector_rests

OWN_NAMESPACES = frozenset({
    "aten", "prim", "prims", "rngprims", "quantized", "_quantized", "quantized_decomposed", "sparse", "mkldnn",
    "onednn", "mkl", "xnnpack", "c10d", "c10d_functional", "_c10d_functional", "_c10d_functional_autograd", "symm_mem",
    "higher_order", "profiler", "inductor", "fsdp",
})  # fmt: skip
"""Namespaces of ops that torch itself ships. Any other op without a rule is unknown, never clean."""


class _Judgement(NamedTuple):
    """What a rule says of one call: the deciding entry, whether the bits can differ, and what a newer torch does."""

    rule: Rule
    history: History
    bits: Bits
    bits_why: str
    newer: NewerTorch | None


class _Hit(NamedTuple):
    judgement: _Judgement
    op: str
    phase: str
    module: ModuleSite | None
    called: SourceLine | None
    order: int
    public: tuple[str, ...]
    nodes: tuple[fx.Node, ...]
    for_inputs: bool = False


@dataclass(frozen=True, slots=True)
class Matched:
    """Findings in the order of their severity, and the ops no rule speaks for, counted.

    `sources` are the nodes that each finding stands for; where several traces were merged there are none.
    """

    findings: tuple[Finding, ...]
    unknown: Mapping[str, int]
    sources: tuple[tuple[fx.Node, ...], ...] = ()


@collector_rests()
def match(trace: Trace, rules: Ruleset, environment: Environment) -> Matched:
    """Every op and composite call of the trace that a rule speaks of, as grouped findings."""
    candidates = _Candidates(rules, environment)
    sources = Sources(trace)
    hits: list[_Hit] = []
    unknown: Counter[str] = Counter()
    matched_composites: set[int] = set()
    run_forward = set()
    children = _children(trace)
    for index, composite in enumerate(trace.composites):
        found = list(_composite_hits(composite, index, candidates, trace, children.get(index, ())))
        if found:
            matched_composites.add(index)
        if composite.phase != "backward":
            run_forward |= {_site(hit) for hit in found}
            hits.extend(found)
        else:  # a checkpoint runs its forward again: the same calls, unless the first run was without gradients
            hits.extend(hit for hit in found if _site(hit) not in run_forward)
    for node in trace.ops():
        op = candidates.op(node.target)
        if op.unknown and "launches" not in node.meta:  # what launches kernels is judged by them
            unknown[op.name] += 1
        if op.rules and call_of(node).composite not in matched_composites:
            hits.extend(_op_hits(node, op, candidates, trace, sources))
    hits.extend(_constructor_hits(trace, candidates))
    grouped = sorted(_grouped(hits), key=lambda group: _severity(group[0]))
    nodes = tuple(nodes for _, nodes in grouped)
    return Matched(tuple(finding for finding, _ in grouped), dict(sorted(unknown.items())), nodes)


def _children(trace: Trace) -> dict[int, list[fx.Node]]:
    """The ops of each composite call."""
    children: dict[int, list[fx.Node]] = {}
    if trace.composites:
        for node in trace.ops():
            composite = call_of(node).composite
            if composite is not None:
                children.setdefault(composite, []).append(node)
    return children


def _site(hit: _Hit) -> tuple[str, SourceLine | ModuleSite | None]:
    return hit.judgement.rule.id, hit.called or hit.module


def merged(outcomes: Sequence[Matched]) -> Matched:
    """What was found on any of several ways through a model; what was found on all of them is counted once."""
    groups: dict[Finding, list[Finding]] = {}
    unknown: Counter[str] = Counter()
    for outcome in outcomes:
        unknown |= Counter(outcome.unknown)
        for finding in outcome.findings:
            groups.setdefault(replace(finding, places=(), spread=None, remedies=()), []).append(finding)
    findings = (replace(same[0], places=_united(same), spread=_spread_of(same)) for same in groups.values())
    return Matched(tuple(sorted(findings, key=_severity)), dict(sorted(unknown.items())))


def _united(findings: list[Finding]) -> tuple[Place, ...]:
    counts: dict[Place, int] = {}
    for place in (place for finding in findings for place in finding.places):
        nameless = replace(place, count=0)
        counts[nameless] = max(counts.get(nameless, 0), place.count)
    return tuple(replace(place, count=count) for place, count in counts.items())


def _spread_of(findings: list[Finding]) -> Spread | None:
    """What a finding reaches on any of several ways."""
    spreads = [finding.spread for finding in findings if finding.spread is not None]
    if len(spreads) < 2:
        return spreads[0] if spreads else None
    return Spread(
        output=any(each.output for each in spreads),
        loss=any(each.loss for each in spreads),
        inputs=any(each.inputs for each in spreads),
        gradients=tuple(dict.fromkeys(name for each in spreads for name in each.gradients)),
        of_gradients=max(each.of_gradients for each in spreads),
        read=tuple(dict.fromkeys(line for each in spreads for line in each.read)),
    )


class _Standing(NamedTuple):
    """A rule as far as it concerns one environment: the entries of its history, and its claims about bits."""

    rule: Rule
    entries: tuple[History, ...]
    claims: tuple[BitsClaim, ...]


class _Op(NamedTuple):
    name: str
    rules: tuple[_Standing, ...]
    unknown: bool


class _Candidates:
    """The rules as they stand for one environment, looked up once per op."""

    def __init__(self, rules: Ruleset, environment: Environment) -> None:
        self._rules = rules
        self._environment = environment
        self._ops: dict[Any, _Op] = {}
        self._standings: dict[str, _Standing] = {}
        self._newer: dict[tuple[str, tuple[int, ...]], NewerTorch | None] = {}
        self._forced: dict[tuple[int, bool], History | None] = {}

    def op(self, target: Any) -> _Op:
        found = self._ops.get(target)
        if found is None:
            name = str(target)
            standing = tuple(self._standing(self._rules.for_op(name)))
            unknown = not standing and name.partition(".")[0] not in OWN_NAMESPACES
            found = self._ops[target] = _Op(name, standing, unknown)
        return found

    def call(self, name: str) -> tuple[_Standing, ...]:
        return tuple(self._standing(self._rules.by_call.get(name, ())))

    def _standing(self, rules: Iterable[Rule]) -> Iterator[_Standing]:
        device, torch = self._environment.device, self._environment.torch
        for rule in rules:
            standing = self._standings.get(rule.id)
            if standing is None:
                standing = self._standings[rule.id] = _Standing(
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
        standing: _Standing,
        arguments: Mapping[str, Any],
        public: tuple[str, ...],
        assumed_sizes: bool,
        forced: bool | None,
    ) -> _Judgement | None:
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
        return _Judgement(rule, entry, bits, why, self._newer_torch(rule, entry, arguments, public))

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
    standing: _Standing, entry: History, arguments: Mapping[str, Any], public: tuple[str, ...], assumed_sizes: bool
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


def _composite_hits(
    composite: CompositeCall, index: int, candidates: _Candidates, trace: Trace, children: Sequence[fx.Node]
) -> Iterator[_Hit]:
    for standing in candidates.call(composite.name):
        rule = standing.rule
        arguments = dict(zip(rule.params, composite.args, strict=False)) | dict(composite.kwargs)
        arguments = dict.fromkeys(rule.params) | {"strict_in_forward": composite.strict_forced is not False} | arguments
        judgement = candidates.judge(
            standing, arguments, (composite.name,), trace.assumed_sizes, composite.strict_forced
        )
        if judgement is not None:
            phase = rule.phase if composite.phase == "forward" else composite.phase
            nodes = tuple(node for node in children if (call_of(node).phase == "backward") == (phase == "backward"))
            public = (composite.name,)
            yield _Hit(judgement, composite.name, phase, composite.module, composite.called, index, public, nodes)


def _op_hits(node: fx.Node, op: _Op, candidates: _Candidates, trace: Trace, sources: Sources) -> Iterator[_Hit]:
    call = call_of(node)
    arguments = Arguments(node, call, sources)
    for standing in op.rules:
        judgement = candidates.judge(standing, arguments, call.public, trace.assumed_sizes, call.strict_forced)
        if judgement is not None:
            order = call.sequence_nr if call.cause is not None and call.sequence_nr is not None else 0
            for_inputs = call.cause is not None and call.cause not in sources.weighted
            public, nodes = call.public, (node,)
            yield _Hit(judgement, op.name, call.phase, call.module, call.called, order, public, nodes, for_inputs)


def _constructor_hits(trace: Trace, candidates: _Candidates) -> Iterator[_Hit]:
    """What rules say of the ops that allocated the parameters and buffers nothing initialised."""
    for node, (target, site) in trace.unwritten():
        op = candidates.op(target)
        facts = {"in_constructor": True, "read_before_written": read_before_written(node)}
        for standing in op.rules:
            judgement = candidates.judge(standing, facts, (), trace.assumed_sizes, None)
            if judgement is not None:
                yield _Hit(judgement, op.name, "construction", site, None, 0, (), (node,))


def _grouped(hits: Iterable[_Hit]) -> Iterator[tuple[Finding, tuple[fx.Node, ...]]]:
    """Findings, each with the nodes it stands for."""
    groups: dict[tuple[Any, ...], list[_Hit]] = {}
    for hit in hits:
        said = hit.judgement
        module_type = hit.module.type if hit.module else ""
        key = (said.rule.id, id(said.history), said.bits, said.bits_why, said.newer, hit.op, hit.phase, module_type)
        groups.setdefault(key, []).append(hit)
    for group in groups.values():
        yield _finding(group), tuple(node for hit in group for node in hit.nodes)


def _finding(group: list[_Hit]) -> Finding:
    first = group[0]
    rule, history, bits, bits_why, newer = first.judgement
    verdict = history.verdict
    assert verdict is not None
    return Finding(
        rule=rule.id,
        title=rule.title,
        verdict=verdict,
        op=first.op,
        phase=first.phase,
        module_type=first.module.type if first.module else "",
        places=tuple(_places(group)),
        default=history.default,
        strict=history.strict,
        warn_only=history.warn_only,
        bits=bits,
        bits_why=bits_why,
        alert=history.alert,
        message=f"{rule.mechanism} {history.why}",
        replacements=rule.replacements,
        newer_torch=newer,
        predicted=verdict,
    )


def _places(group: list[_Hit]) -> Iterator[Place]:
    """Places in the order of the forward pass: backward meets them in reverse."""
    ordered = sorted(group, key=lambda hit: hit.order)
    counted = Counter((hit.module, hit.called, hit.for_inputs, hit.public) for hit in ordered)
    for (module, called, for_inputs, public), count in counted.items():
        yield Place(
            module=module.path if module else "",
            constructed=_line(module.constructed) if module else None,
            called=_line(called),
            count=count,
            for_inputs=for_inputs,
            stock=module.stock if module else "",
            public=public,
        )


def _line(place: SourceLine | None) -> Line | None:
    return Line(*place) if place else None


def _severity(finding: Finding) -> tuple[int, int, bool, str, str]:
    """By verdict, then by how much a finding reaches."""
    spread = finding.spread
    gradients = len(spread.gradients) if spread else 0
    ends_there = not (spread and (spread.loss or spread.output))
    return VERDICTS.index(finding.verdict), -gradients, ends_there, finding.rule, finding.op
