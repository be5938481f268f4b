"""From the traces of one target to its report: judged by the rules, with all that was assumed or not known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from opscan.environment import NEWEST, Environment
from opscan.errors import TraceError
from opscan.finding import Finding, Line
from opscan.match import match, merged
from opscan.remedies.suggest import with_remedies
from opscan.report.report import Report
from opscan.report.words import short_line
from opscan.rules.load import Ruleset, load_rules
from opscan.rules.schema import Rule
from opscan.spread.draw import draw
from opscan.spread.reach import reach
from opscan.trace.graph import Trace, call_of


def make_report(
    label: str,
    traces: Sequence[Trace],
    environment: Environment,
    assumptions: tuple[str, ...] = (),
    rules: Ruleset | None = None,
) -> Report:
    """Judge the traces of one target for one environment; they may be judged for many."""
    rules = rules if rules is not None else load_rules()
    reached = [reach(trace, match(trace, rules, environment)) for trace in traces]
    matched = merged([each.matched for each in reached])
    phases = [[call_of(node).phase for node in trace.ops()] for trace in traces]
    backward = max(each.count("backward") for each in phases)
    return Report(
        target=label,
        environment=environment,
        assumptions=(*assumptions, *traces[0].assumptions, *_invented(traces), *_limits(environment)),
        forward_ops=max(len(each) - each.count("backward") for each in phases),
        backward_ops=backward,
        unknown=matched.unknown,
        findings=with_remedies(matched.findings),
        graph=draw(reached[0]),
        rules=_rules_of(matched.findings, rules),
    )


def _rules_of(findings: Iterable[Finding], rules: Ruleset) -> tuple[Rule, ...]:
    wanted = {finding.rule for finding in findings}
    return tuple(rule for rule in rules.rules if rule.id in wanted)


def informed(error: TraceError, rules: Ruleset, environment: Environment) -> TraceError:
    """The error with what the rules know of the Function it failed in: its kernel is compiled, and has no meta."""
    named = rules.by_call.get(error.call, ())
    if not named:
        return error
    said = "; ".join(f"{rule.id} says {_word(rule, environment)}: {rule.title}" for rule in named)
    hint = f"{error.call} runs a compiled kernel, which a trace cannot run. On {environment.device} {said}."
    hint = f"{hint} opscan rules show {named[0].id}"
    return TraceError(error.what, error.where, hint, error.call)


def _word(rule: Rule, environment: Environment) -> str:
    fitting = (each for each in rule.history if environment.device in each.devices)
    entry = next((each for each in fitting if each.torch.contains(environment.torch)), None)
    return "nothing" if entry is None else entry.verdict or "that it repeats"


def _limits(environment: Environment) -> tuple[str, ...]:
    """Where the rules end: what a report must not be silent about."""
    limits = []
    if environment.is_newer_than_the_rules:
        limits.append(f"torch {environment.torch} is newer than the rules, which end at {NEWEST}: judged as that")
    if environment.device == "mps":
        limits.append(
            "of mps the rules know PyTorch's own Metal kernels, not Apple's MPSGraph behind matrix products,"
            " convolutions and pooling: no finding does not mean that it repeats"
        )
    return tuple(limits)


def _invented(traces: Sequence[Trace]) -> tuple[str, ...]:
    """One line per place where a value that hangs on weights or activations had to be made up."""
    if len(traces) == 1 and traces[0].alike:
        ways = f"one way was traced, {traces[0].way}; the other runs no op from a line that this one does not"
    elif len(traces) == 1:
        ways = f"only one way was traced, {traces[0].way}"
    else:
        ways = "both ways were traced" + (f", in {len(traces)} combinations" if len(traces) > 2 else "")
    places = dict.fromkeys((each.op, each.called) for trace in traces for each in trace.inventions)
    return tuple(
        (f"{short_line(Line(*called))}: " if called else "")
        + f"{op.removeprefix('aten.').partition('.')[0]} depends on values a trace does not have; {ways}"
        for op, called in places
    )
