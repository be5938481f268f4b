"""Rules for people: the list of all rows, and one row as a page with its history per torch release."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any

from packaging.version import Version
from tabulate import tabulate

from opscan.environment import RELEASES, Environment
from opscan.formats.text import printable_prose
from opscan.report.instead import gives_words
from opscan.report.words import DEFAULT_MODE, SAME_VALUES, STRICT_MODE, WARN_ONLY
from opscan.rules.dropins import load_dropins
from opscan.rules.schema import DEVICES, BitsClaim, Device, History, Rule, Verdict

_INDENT = "  "


def verdicts_of(rule: Rule, environment: Environment) -> tuple[Verdict, ...]:
    """The verdicts a rule can give in this environment, in the order of its history, each once."""
    standing = _standing(rule, environment.device, environment.torch)
    return tuple(dict.fromkeys(entry.verdict for entry in standing if entry.verdict is not None))


def render_rule_list(rules: Sequence[Rule], environment: Environment, width: int = 80) -> str:
    """One line per rule that says something of this environment, and how many there are."""
    rows = [(rule.id, "/".join(verdicts_of(rule, environment)), rule.title) for rule in rules]
    verdicts = max((len(verdict) for _, verdict, _ in rows), default=0)
    titles = max(20, width - len("OPS1001") - max(verdicts, len("verdict")) - 4)
    cells = [(rule_id, verdict, textwrap.fill(title, titles)) for rule_id, verdict, title in rows]
    table = tabulate(cells, headers=("rule", "verdict", "title"), tablefmt="simple", disable_numparse=True)
    where = f"{environment.device}, torch {environment.torch}"
    first = rows[0][0] if rows else "ID"
    return printable_prose(f"{table}\n\n{len(rows)} rules for {where}. `opscan rules show {first}` prints one.")


def render_rule(rule: Rule, width: int = 80, observed: Sequence[str] = ()) -> str:
    """Everything a row knows, as a page, and what devices were seen to do: a text for each."""
    named = rule.ops or rule.calls
    parts = [
        "\n".join(
            [
                textwrap.fill(f"{rule.id}  {rule.title}", width, subsequent_indent=" " * (len(rule.id) + 2)),
                "",
                *_labelled("ops" if rule.ops else "calls", [", ".join(named)], width),
                *_labelled("phase", [rule.phase], width),
                *_labelled("why", [rule.mechanism], width),
                *_labelled("only if", [condition.text for condition in rule.when], width),
                *_labelled("at scale", [rule.scale] if rule.scale else [], width),
                *_labelled("file", [rule.source], width),
            ]
        ),
        "\n".join(_history(rule, width)),
    ]
    if rule.bits:
        parts.append("\n".join(["can the bits vary?", *_bits(rule, width)]))
    instead = [*_drop_ins(rule, width), *_replacements(rule, width)]
    if instead:
        parts.append("\n".join(["what to write instead", *instead]))
    evidence = [
        line
        for kind, found in groupby(rule.evidence, key=lambda each: each.kind)
        for line in _labelled(kind, [each.ref for each in found], width)
    ]
    parts.append("\n".join(["evidence", *evidence]))
    if observed:
        seen = [line for text in observed for line in _hanging(text, width)]
        parts.append("\n".join(["observed (opscan rules calibrate)", *seen]))
    return printable_prose("\n\n".join(parts))


def rule_document(rule: Rule) -> dict[str, Any]:
    """A row as plain values, with the keys of its TOML and the verdict of each entry of its history."""
    return {
        "id": rule.id,
        "title": rule.title,
        "ops": list(rule.ops),
        "calls": list(rule.calls),
        "params": list(rule.params),
        "phase": rule.phase,
        "mechanism": rule.mechanism,
        "when": [condition.text for condition in rule.when],
        "at_scale": [condition.text for condition in rule.at_scale],
        "scale": rule.scale,
        "history": [
            {
                "device": list(entry.devices),
                "torch": str(entry.torch),
                "via": list(entry.via),
                "when": [condition.text for condition in entry.when],
                "default": entry.default,
                "strict": entry.strict,
                "warn_only": entry.warn_only,
                "verdict": entry.verdict,
                "alert": entry.alert,
                "why": entry.why,
            }
            for entry in rule.history
        ],
        "bits": [
            {
                "bits": claim.bits,
                "why": claim.why,
                "device": list(claim.devices),
                "torch": str(claim.torch or ""),
                "via": list(claim.via),
                "when": [condition.text for condition in claim.when],
                "at_sizes": [condition.text for condition in claim.at_sizes],
            }
            for claim in rule.bits
        ],
        "replacements": [
            {"name": each.name, "same_values": each.same_values, "how": each.how} for each in rule.replacements
        ],
        "dropins": [f"opscan.replacements.{each.name}" for each in load_dropins().answering(rule.id)],
        "evidence": [{"kind": each.kind, "ref": each.ref} for each in rule.evidence],
        "file": rule.source,
    }


def _standing(rule: Rule, device: Device, torch: Version) -> tuple[History, ...]:
    return tuple(each for each in rule.history if device in each.devices and each.torch.contains(torch))


def _history(rule: Rule, width: int) -> Iterator[str]:
    """What each release does, device by device; releases that do the same stand together, the newest first."""
    yield "history"
    for device in DEVICES:
        spans = groupby(RELEASES, key=lambda release: _standing(rule, device, release))
        for entries, releases in reversed([(entries, list(found)) for entries, found in spans]):
            if entries:
                yield f"{_INDENT}{device}, torch {_span(releases)}"
                for at, entry in enumerate(entries):
                    yield from _entry(entry, width, "" if len(entries) == 1 else _reach(entry, last=at > 0))


def _span(releases: Sequence[Version]) -> str:
    return f"{releases[0]}" if len(releases) == 1 else f"{releases[0]} to {releases[-1]}"


def _reach(entry: History, last: bool) -> str:
    conditions = [f"through {' or '.join(entry.via)}"] if entry.via else []
    conditions += [f"if {condition.text}" for condition in entry.when]
    return ", ".join(conditions) or ("otherwise" if last else "")


def _entry(entry: History, width: int, reach: str) -> Iterator[str]:
    if not reach and (entry.via or entry.when):
        reach = _reach(entry, last=False)
    head = f"{entry.verdict or 'nothing to report'}{f' {reach}' if reach else ''}"
    yield textwrap.fill(head, width, initial_indent=_INDENT * 2, subsequent_indent=_INDENT * 4)
    lines = [("why", entry.why)]
    if entry.alert:
        lines.insert(0, ("alert", entry.alert))
    if entry.verdict is not None:
        modes = (DEFAULT_MODE[entry.default], STRICT_MODE[entry.strict], WARN_ONLY[entry.warn_only])
        lines = [*zip(("default", "strict", "warn_only"), modes, strict=True), *lines]
    for label, text in lines:
        yield from _labelled(label, [text], width, indent=3)


def _bits(rule: Rule, width: int) -> Iterator[str]:
    for claim in rule.bits:
        yield textwrap.fill(
            f"{claim.bits}{_claim_reach(claim)}", width, initial_indent=_INDENT, subsequent_indent=_INDENT * 3
        )
        yield from _labelled("why", [claim.why], width, indent=2)
    if any(claim.when or claim.at_sizes or claim.via for claim in rule.bits[-1:]):
        yield f"{_INDENT}vary otherwise, where the default mode is nondeterministic"


def _claim_reach(claim: BitsClaim) -> str:
    words = [f"through {' or '.join(claim.via)}"] if claim.via else []
    words += [f"if {condition.text}" for condition in (*claim.when, *claim.at_sizes)]
    if claim.torch is not None:
        words.append(f"torch {claim.torch}")
    if claim.devices != DEVICES:
        words.append("/".join(claim.devices))
    return f" {', '.join(words)}" if words else ""


def _drop_ins(rule: Rule, width: int) -> Iterator[str]:
    """The importable replacements, those that give the same in one line; or why there are none."""
    known = load_dropins()
    groups: dict[str, list[str]] = {}
    for each in known.answering(rule.id):
        groups.setdefault(gives_words(each), []).append(each.name)
    for gives, names in groups.items():
        yield from _hanging(f"opscan.replacements: {', '.join(names)} ({gives})", width)
    if rule.id in known.without:
        yield from _hanging(f"no drop-in: {known.without[rule.id]}", width)


def _replacements(rule: Rule, width: int) -> Iterator[str]:
    for each in rule.replacements:
        yield textwrap.fill(f"{each.name} ({SAME_VALUES[each.same_values]})", width, initial_indent=_INDENT)
        yield textwrap.indent(each.how.strip(), _INDENT * 3)


def _hanging(text: str, width: int) -> Iterator[str]:
    yield textwrap.fill(
        text, width, initial_indent=_INDENT, subsequent_indent=_INDENT * 3, break_on_hyphens=False,
        break_long_words=False,
    )  # fmt: skip


def _labelled(label: str, texts: Iterable[str], width: int, indent: int = 1) -> Iterator[str]:
    """Texts behind a label, wrapped; the second and later ones under the first."""
    margin = _INDENT * indent + " " * 11
    for at, text in enumerate(texts):
        first = f"{_INDENT * indent}{label:11}" if at == 0 else margin
        yield textwrap.fill(
            text, width, initial_indent=first, subsequent_indent=margin, break_on_hyphens=False, break_long_words=False
        )
