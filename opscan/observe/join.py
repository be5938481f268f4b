"""Predicted and observed, side by side: what each op was seen to do, put beside what the rules say of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from opscan.finding import Finding, Line, Observed, Place, Replay, disagrees
from opscan.rules.schema import StrictBehaviour
from opscan.trace.graph import Trace, call_of

NO_RULE = "-"
"""Stands for the rule of a finding that no rule predicts."""

_REPORT = (
    "No rule predicts this: one is missing, or has a wrong condition. Please report it, with this finding as JSON, the "
    "torch version and the device; a row of your own (--rules DIR) makes it known here."
)


_Key = tuple[str, str, Line | None]
"""An op or a composite call, the module's path and the line."""


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

    def alert(self) -> str | None:
        """The first of strict mode's errors here."""
        return next((each.alert for each in self.strict if each.alert), None)

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
    seen = {
        key: _AtPlace(tuple(in_strict.get(key, ())), tuple(in_default.get(key, ())))
        for key in dict.fromkeys((*in_strict, *in_default))
    }
    explained: set[_Key] = set()
    result = []
    for finding in findings:
        split: dict[tuple[Observed | None, str | None, Replay | None], list[Place]] = {}
        for place in finding.places:
            key = (finding.op, place.module, place.called)
            explained.add(key)
            at = seen.get(key, _AtPlace((), ()))
            split.setdefault((at.verdict(), at.alert(), at.replay()), []).append(place)
        for (observed, alert, replay), places in split.items():
            result.append(_as_seen(replace(finding, places=tuple(places), observed=observed, replay=replay), alert))
    return (*result, *_unpredicted(seen, explained))


def _as_seen(finding: Finding, alert: str | None) -> Finding:
    """The finding with the verdict of the machine where it did worse than the rules say; `predicted` stays."""
    verdict = finding.observed
    if verdict is None or verdict == "nothing" or not disagrees(finding):
        return finding
    return replace(
        finding, verdict=verdict, default="nondeterministic", strict=_STRICT[verdict], alert=alert, bits="vary"
    )


_STRICT: Mapping[str, StrictBehaviour] = {"raises": "raises", "switches": "deterministic", "silent": "nondeterministic"}


def _by_place(seen: Iterable[Seen]) -> dict[_Key, list[Seen]]:
    """What was seen, by op and place; an op that a composite call runs stands under the composite's name as well."""
    found: dict[_Key, list[Seen]] = {}
    for each in seen:
        for name in (each.op, each.composite):
            if name is not None:
                found.setdefault((name, each.module, each.called), []).append(each)
    return found


def _unpredicted(seen: Mapping[_Key, _AtPlace], explained: set[_Key]) -> list[Finding]:
    """Findings without a rule: ops that raised or differed where nothing said they would."""
    groups: dict[tuple[Any, ...], list[Place]] = {}
    for key, at in seen.items():
        name, module, called = key
        observed = at.verdict()
        first = (at.strict or at.default)[0]
        told = key in explained or (first.composite, module, called) in explained
        if told or name != first.op or observed in (None, "nothing"):
            continue
        groups.setdefault((first.op, first.phase, first.module_type, observed, at.alert(), at.replay()), []).append(
            Place(module, first.constructed, called, max(len(at.strict), len(at.default)))
        )
    return [_without_rule(key, places) for key, places in groups.items()]


def _without_rule(key: tuple[Any, ...], places: list[Place]) -> Finding:
    op, phase, module_type, observed, alert, replay = key
    differed = replay is not None and replay.differing > 0
    return Finding(
        rule=NO_RULE,
        title="observed, and predicted by no rule",
        verdict=observed,
        op=op,
        phase=phase,
        module_type=module_type,
        places=tuple(places),
        default="nondeterministic",
        strict=_STRICT[observed],
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
