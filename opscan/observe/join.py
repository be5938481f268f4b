"""Predicted and observed, side by side: what each op was seen to do, put beside what the rules say of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from opscan.finding import Finding, Line, Observed, Place, Replay
from opscan.trace.graph import Trace, call_of

NO_RULE = "-"
"""Stands for the rule of a finding that no rule predicts."""

_REPORT = (
    "No rule predicts this: one is missing, or has a wrong condition. Please report it, with this finding as JSON, the "
    "torch version and the device; a row of your own (--rules DIR) makes it known here."
)


class Seen(NamedTuple):
    """One op of a watched step: where it ran, strict mode's error if it raised one, and what its replays showed."""

    op: str
    composite: str | None
    phase: str
    module: str
    module_type: str
    constructed: Line | None
    called: Line | None
    alert: str | None
    replay: Replay | None


def seen_in(trace: Trace) -> list[Seen]:
    """What a watched step's ops were seen to do, in the order they ran."""
    found = []
    for node in trace.ops():
        call = call_of(node)
        alert, replay = node.meta.get("observed", (None, None))
        module = call.module
        found.append(
            Seen(
                str(node.target),
                trace.composites[call.composite].name if call.composite is not None else None,
                call.phase,
                module.path if module else "",
                module.type if module else "",
                Line(*module.constructed) if module and module.constructed else None,
                Line(*call.called) if call.called else None,
                alert,
                replay,
            )
        )
    return found


@dataclass(frozen=True, slots=True)
class _AtPlace:
    """All that was seen of one op at one place, in strict mode and in default mode."""

    strict: tuple[Seen, ...]
    default: tuple[Seen, ...]

    def verdict(self) -> Observed | None:
        if any(each.alert for each in self.strict):
            return "raises"
        if any(_differs(each) for each in self.strict):
            return "silent"
        if any(_differs(each) for each in self.default):
            return "switches"
        return "nothing" if self.strict or self.default else None

    def replay(self) -> Replay | None:
        """The replays in default mode where there are any, the one that differed most often."""
        replays = [each.replay for each in (self.default or self.strict) if each.replay is not None]
        return max(replays, key=lambda each: (each.differing, each.distinct), default=None)


def _differs(seen: Seen) -> bool:
    return seen.replay is not None and seen.replay.differing > 0


def joined(findings: Iterable[Finding], strict: Sequence[Seen], default: Sequence[Seen]) -> tuple[Finding, ...]:
    """The findings with what was observed of them, and a finding for everything observed that none of them predicts.

    A finding whose places were seen to do different things becomes one finding for each.
    """
    in_strict, in_default = _by_place(strict), _by_place(default)
    explained: set[tuple[Any, ...]] = set()
    result = []
    for finding in findings:
        split: dict[tuple[Observed | None, Replay | None], list[Place]] = {}
        for place in finding.places:
            key = (finding.op, place.module, place.called)
            explained.add(key)
            at = _AtPlace(tuple(in_strict.get(key, ())), tuple(in_default.get(key, ())))
            split.setdefault((at.verdict(), at.replay()), []).append(place)
        result += [
            replace(finding, places=tuple(places), observed=observed, replay=replay)
            for (observed, replay), places in split.items()
        ]
    alerts = {finding.alert for finding in result if finding.alert}
    missing = {
        key: _AtPlace(tuple(in_strict.get(key, ())), tuple(in_default.get(key, ())))
        for key in dict.fromkeys((*in_strict, *in_default))
        if key not in explained
    }
    return (*result, *_unpredicted(missing, explained, alerts))


def _by_place(seen: Iterable[Seen]) -> dict[tuple[str, str, Line | None], list[Seen]]:
    """What was seen, by op and place; an op that a composite call runs stands under the composite's name as well."""
    found: dict[tuple[str, str, Line | None], list[Seen]] = {}
    for each in seen:
        for name in (each.op, each.composite):
            if name is not None:
                found.setdefault((name, each.module, each.called), []).append(each)
    return found


def _unpredicted(
    missing: Mapping[tuple[str, str, Line | None], _AtPlace],
    explained: set[tuple[Any, ...]],
    alerts: set[str],
) -> list[Finding]:
    """Findings without a rule: ops that raised or differed where nothing said they would."""
    groups: dict[tuple[Any, ...], list[Seen]] = {}
    for (name, module, called), at in missing.items():
        observed = at.verdict()
        first = (at.strict or at.default)[0]
        inside = first.composite is not None and (first.composite, module, called) in explained
        if observed in (None, "nothing") or name == first.composite != first.op or inside:
            continue
        alert = next((each.alert for each in at.strict if each.alert), None)
        groups.setdefault((first.op, first.phase, first.module_type, observed, alert, at.replay()), []).append(first)
    return [_without_rule(key, places) for key, places in groups.items()]


def _without_rule(key: tuple[Any, ...], seen: list[Seen]) -> Finding:
    op, phase, module_type, observed, alert, replay = key
    differed = replay is not None and replay.differing > 0
    return Finding(
        rule=NO_RULE,
        title="observed, and predicted by no rule",
        verdict=observed,
        op=op,
        phase=phase,
        module_type=module_type,
        places=tuple(Place(each.module, each.constructed, each.called, 1) for each in seen),
        default="nondeterministic",
        strict={"raises": "raises", "switches": "deterministic"}.get(observed, "nondeterministic"),  # type: ignore[arg-type]
        warn_only="nondeterministic",
        bits="vary" if differed else "unknown",
        bits_why="It differed when it was run again." if differed else "No replay showed it to differ.",
        alert=alert,
        message=_REPORT,
        replacements=(),
        newer_torch=None,
        predicted=None,
        observed=observed,
        replay=replay,
    )
