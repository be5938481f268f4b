"""Judge a trace by the rules: a pure function of (trace, rules, environment)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from torch import fx

from opscan.arguments import Arguments, Sources
from opscan.environment import Environment
from opscan.finding import Finding, Line, Place
from opscan.rules.condition import Condition
from opscan.rules.load import Ruleset
from opscan.rules.schema import VERDICTS, History, Rule
from opscan.trace.graph import CompositeCall, ModuleSite, SourceLine, Trace, call_of

OWN_NAMESPACES = frozenset({
    "aten", "prim", "prims", "rngprims", "quantized", "_quantized", "quantized_decomposed", "sparse", "mkldnn",
    "onednn", "mkl", "xnnpack", "c10d", "c10d_functional", "_c10d_functional", "symm_mem", "higher_order",
    "profiler", "inductor",
})  # fmt: skip
"""Namespaces of ops that torch itself ships. Any other op without a rule is unknown, never clean."""


class _Hit(NamedTuple):
    rule: Rule
    history: History
    op: str
    phase: str
    module: ModuleSite | None
    called: SourceLine | None
    notes: tuple[str, ...]
    order: int
    for_inputs: bool = False


@dataclass(frozen=True, slots=True)
class Matched:
    """Findings in the order of their severity, and the ops no rule speaks for, counted."""

    findings: tuple[Finding, ...]
    unknown: Mapping[str, int]


def match(trace: Trace, rules: Ruleset, environment: Environment) -> Matched:
    """Every op and composite call of the trace that a rule speaks of, as grouped findings."""
    candidates = _Candidates(rules, environment)
    sources = Sources(trace)
    hits: list[_Hit] = []
    unknown: Counter[str] = Counter()
    matched_composites: set[int] = set()
    run_forward = set()
    for index, composite in enumerate(trace.composites):
        found = list(_composite_hits(composite, index, candidates, trace))
        if found:
            matched_composites.add(index)
        if composite.phase != "backward":
            run_forward |= {(hit.rule.id, hit.called or hit.module) for hit in found}
            hits.extend(found)
        else:  # a checkpoint runs its forward again: the same calls, unless the first run was without gradients
            hits.extend(hit for hit in found if (hit.rule.id, hit.called or hit.module) not in run_forward)
    for node in trace.ops():
        op = candidates.op(node.target)
        if op.unknown:
            unknown[op.name] += 1
        if op.rules and call_of(node).composite not in matched_composites:
            hits.extend(_op_hits(node, op, trace, sources))
    return Matched(tuple(sorted(_grouped(hits), key=_severity)), dict(sorted(unknown.items())))


def merged(outcomes: Sequence[Matched]) -> Matched:
    """What was found on any of several ways through a model; what was found on all of them is counted once."""
    groups: dict[Finding, list[Finding]] = {}
    unknown: Counter[str] = Counter()
    for outcome in outcomes:
        unknown |= Counter(outcome.unknown)
        for finding in outcome.findings:
            groups.setdefault(replace(finding, places=()), []).append(finding)
    findings = (replace(same[0], places=_united(same)) for same in groups.values())
    return Matched(tuple(sorted(findings, key=_severity)), dict(sorted(unknown.items())))


def _united(findings: list[Finding]) -> tuple[Place, ...]:
    counts: dict[Place, int] = {}
    for place in (place for finding in findings for place in finding.places):
        nameless = replace(place, count=0)
        counts[nameless] = max(counts.get(nameless, 0), place.count)
    return tuple(replace(place, count=count) for place, count in counts.items())


class _Op(NamedTuple):
    name: str
    rules: tuple[tuple[Rule, tuple[History, ...]], ...]
    unknown: bool


class _Candidates:
    """The rules as they stand for one environment, looked up once per op."""

    def __init__(self, rules: Ruleset, environment: Environment) -> None:
        self._rules = rules
        self._environment = environment
        self._ops: dict[Any, _Op] = {}
        self._histories: dict[str, tuple[History, ...]] = {}

    def op(self, target: Any) -> _Op:
        found = self._ops.get(target)
        if found is None:
            name = str(target)
            named = self._rules.for_op(name)
            unknown = not named and name.partition(".")[0] not in OWN_NAMESPACES
            found = self._ops[target] = _Op(name, tuple(self._standing(named)), unknown)
        return found

    def call(self, name: str) -> tuple[tuple[Rule, tuple[History, ...]], ...]:
        return tuple(self._standing(self._rules.by_call.get(name, ())))

    def _standing(self, rules: Iterable[Rule]) -> Iterator[tuple[Rule, tuple[History, ...]]]:
        """Rules with the entries of their history that concern this environment."""
        for rule in rules:
            entries = self._histories.get(rule.id)
            if entries is None:
                entries = self._histories[rule.id] = tuple(
                    entry
                    for entry in rule.history
                    if self._environment.device in entry.devices and entry.torch.contains(self._environment.torch)
                )
            if entries:
                yield rule, entries


def _composite_hits(composite: CompositeCall, index: int, candidates: _Candidates, trace: Trace) -> Iterator[_Hit]:
    for rule, entries in candidates.call(composite.name):
        arguments = dict(zip(rule.params, composite.args, strict=False)) | dict(composite.kwargs)
        arguments = dict.fromkeys(rule.params) | arguments
        entry = _deciding(rule, entries, arguments, (composite.name,), trace.assumed_sizes)
        if entry is not None:
            phase = rule.phase if composite.phase == "forward" else composite.phase
            notes = _scale_notes(rule, trace.assumed_sizes)
            yield _Hit(rule, entry, composite.name, phase, composite.module, composite.called, notes, index)


def _op_hits(node: fx.Node, op: _Op, trace: Trace, sources: Sources) -> Iterator[_Hit]:
    call = call_of(node)
    arguments = Arguments(node, call, sources)
    for rule, entries in op.rules:
        entry = _deciding(rule, entries, arguments, call.public, trace.assumed_sizes)
        if entry is not None:
            notes = _scale_notes(rule, trace.assumed_sizes)
            order = call.sequence_nr if call.cause is not None and call.sequence_nr is not None else 0
            for_inputs = call.cause is not None and call.cause not in sources.weighted
            yield _Hit(rule, entry, op.name, call.phase, call.module, call.called, notes, order, for_inputs)


def _deciding(
    rule: Rule,
    entries: tuple[History, ...],
    arguments: Mapping[str, Any],
    public: tuple[str, ...],
    assumed_sizes: bool,
) -> History | None:
    """The entry that decides for this call, if it has something to report."""
    if not _all_hold(rule.when, arguments) or not (assumed_sizes or _all_hold(rule.at_scale, arguments)):
        return None
    for entry in entries:
        if (not entry.via or any(name in entry.via for name in public)) and _all_hold(entry.when, arguments):
            return entry if entry.verdict is not None else None
    return None


def _all_hold(conditions: tuple[Condition, ...], arguments: Mapping[str, Any]) -> bool:
    return all(condition.holds(arguments) for condition in conditions)


def _scale_notes(rule: Rule, assumed_sizes: bool) -> tuple[str, ...]:
    return (f"Only where {rule.scale}.",) if rule.at_scale and assumed_sizes else ()


def _grouped(hits: Iterable[_Hit]) -> Iterator[Finding]:
    groups: dict[tuple[Any, ...], list[_Hit]] = {}
    for hit in hits:
        key = (hit.rule.id, id(hit.history), hit.op, hit.phase, hit.module.type if hit.module else "", hit.notes)
        groups.setdefault(key, []).append(hit)
    for group in groups.values():
        yield _finding(group)


def _finding(group: list[_Hit]) -> Finding:
    first = group[0]
    verdict = first.history.verdict
    assert verdict is not None
    return Finding(
        rule=first.rule.id,
        title=first.rule.title,
        verdict=verdict,
        op=first.op,
        phase=first.phase,
        module_type=first.module.type if first.module else "",
        places=tuple(_places(group)),
        default=first.history.default,
        strict=first.history.strict,
        alert=first.history.alert,
        message=" ".join((first.rule.mechanism, first.history.why, *first.notes)),
        replacements=first.rule.replacements,
        predicted=verdict,
    )


def _places(group: list[_Hit]) -> Iterator[Place]:
    """Places in the order of the forward pass: backward meets them in reverse."""
    ordered = sorted(group, key=lambda hit: hit.order)
    counted = Counter((hit.module, hit.called, hit.for_inputs) for hit in ordered)
    for (module, called, for_inputs), count in counted.items():
        yield Place(
            module=module.path if module else "",
            constructed=_line(module.constructed) if module else None,
            called=_line(called),
            count=count,
            for_inputs=for_inputs,
        )


def _line(place: SourceLine | None) -> Line | None:
    return Line(*place) if place else None


def _severity(finding: Finding) -> tuple[int, str, str]:
    return VERDICTS.index(finding.verdict), finding.rule, finding.op
