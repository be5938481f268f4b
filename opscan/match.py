"""Judge a trace by the rules: a pure function of (trace, rules, environment)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from torch import fx

from opscan.arguments import Arguments, Sources, read_before_written
from opscan.environment import Environment
from opscan.finding import Finding, Line, Place, Spread
from opscan.judge import Candidates, Judgement, RuledOp
from opscan.rules.load import Ruleset
from opscan.rules.schema import VERDICTS
from opscan.trace.graph import CompositeCall, ModuleSite, SourceLine, Trace, call_of
from opscan.trace.hygiene import collector_rests


class _Hit(NamedTuple):
    judgement: Judgement
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
    candidates = Candidates(rules, environment)
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


def _composite_hits(
    composite: CompositeCall, index: int, candidates: Candidates, trace: Trace, children: Sequence[fx.Node]
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


def _op_hits(node: fx.Node, op: RuledOp, candidates: Candidates, trace: Trace, sources: Sources) -> Iterator[_Hit]:
    call = call_of(node)
    arguments = Arguments(node, call, sources)
    for standing in op.rules:
        judgement = candidates.judge(standing, arguments, call.public, trace.assumed_sizes, call.strict_forced)
        if judgement is not None:
            order = call.sequence_nr if call.cause is not None and call.sequence_nr is not None else 0
            for_inputs = call.cause is not None and call.cause not in sources.weighted
            public, nodes = call.public, (node,)
            yield _Hit(judgement, op.name, call.phase, call.module, call.called, order, public, nodes, for_inputs)


def _constructor_hits(trace: Trace, candidates: Candidates) -> Iterator[_Hit]:
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
