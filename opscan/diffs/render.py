"""What changed, as text, JSON, or Markdown for a pull request."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from opscan import __version__
from opscan.diffs.compare import Change, TargetDiff
from opscan.diffs.groups import SIGNS, Group, counted, groups_of
from opscan.diffs.read import ReadReport, Spotted
from opscan.distributed.ranks import rank_words, size_words
from opscan.formats import markdown
from opscan.formats.json import json_text
from opscan.formats.text import printable
from opscan.report.paint import Paint
from opscan.report.words import ALWAYS_SHOWN, STRICTNESS, short_path

SCHEMA = 1
_COLOURS = {"added": "bad", "changed": "odd", "removed": "good"}


def render_text(
    diffs: Sequence[TargetDiff], width: int = 80, show: Sequence[str] = (), paint: Paint | None = None
) -> str:
    """A block for each target that changed, and a sentence."""
    paint = paint or Paint(False)
    listed = listed_changes(diffs, show)
    parts = [text for diff in listed if (text := _block(diff, width, paint))]
    parts.append(textwrap.fill(_sentence(diffs, listed), width))
    return "\n\n".join(parts)


def listed_changes(diffs: Sequence[TargetDiff], show: Sequence[str]) -> list[TargetDiff]:
    """The differences with the changes that a report would list; of the others a sentence says how many there are."""
    shown = (*ALWAYS_SHOWN, *show)
    return [replace(diff, changes=tuple(each for each in diff.changes if _is_listed(each, shown))) for diff in diffs]


def _is_listed(change: Change, shown: Sequence[str]) -> bool:
    sides = [each for each in (change.old, change.new) if each is not None]
    return any("harmless" in shown if each.is_harmless else each.verdict in shown for each in sides)


def _block(diff: TargetDiff, width: int, paint: Paint) -> str:
    lines = [f"  {note}" for note in _notes(diff)]
    for group in groups_of(diff.changes):
        place = group.first
        head = f"{SIGNS[group.kind]} {place.op}: {place.verdict}, in {place.phase} ({place.rule}){_on_ranks(place)}"
        lines.append(paint.text(f"  {printable(head)}", _COLOURS[group.kind]))
        lines += [_indented(printable(each), width) for each in (f"where  {group.modules}", group.says) if each]
        lines += [_indented(printable(f"{_short(each.line)}  {each.code}".rstrip()), width) for each in _lined(group)]
    return "\n".join([paint.text(printable(diff.target), "head"), *lines]) if lines else ""


def _on_ranks(place: Spotted) -> str:
    return f", on {rank_words(place.ranks)}" if place.ranks is not None else ""


def _lined(group: Group) -> list[Spotted]:
    """A place for each line that is known, at most three."""
    return list({each.line: each for each in group.places if each.line}.values())[:3]


def _short(line: str) -> str:
    file, _, number = line.rpartition(":")
    return f"{short_path(file)}:{number}"


def _indented(text: str, width: int) -> str:
    lines = textwrap.wrap(text, width, initial_indent=" " * 6, subsequent_indent=" " * 8, break_on_hyphens=False)
    return "\n".join(lines)


def _notes(diff: TargetDiff) -> list[str]:
    notes = []
    if diff.old is None:
        notes.append("this target is new")
    elif diff.new is None:
        notes.append("this target is there no more")
    elif diff.old.target != diff.new.target:
        notes.append(printable(f"it was {diff.old.target}"))
    if diff.old and diff.new and diff.is_for_other_environment:
        notes.append(f"for {_environment(diff.old.environment)}, now for {_environment(diff.new.environment)}")
    if diff.old and diff.new and diff.old.world != diff.new.world:
        notes.append(f"for {_world(diff.old)}, now for {_world(diff.new)}")
    if diff.new_ops:
        notes.append(printable(f"no rule speaks for {', '.join(diff.new_ops)}: new"))
    return notes


def _world(report: ReadReport) -> str:
    return size_words(*report.world) if report.world is not None else "a single process"


def _environment(given: Mapping[str, Any]) -> str:
    strict = given.get("strict")
    words = next((each for key, each in STRICTNESS.items() if key is strict or key == strict == "warn_only"), "")
    amp = f", {given['amp']} autocast" if given.get("amp") else ""
    return printable(f"{given.get('device')}, torch {given.get('torch')}{amp}{words}")


def _sentence(diffs: Sequence[TargetDiff], listed: Sequence[TargetDiff]) -> str:
    """`2 places added, 1 removed, 0 judged otherwise.`, and how many are not listed."""
    counts = counted(listed)
    words = f"{counts['added']} added, {counts['removed']} removed, {counts['changed']} judged otherwise."
    rest = sum(counted(diffs).values()) - sum(counts.values())
    return f"{words} Not listed: {rest} that fail nothing (--show all)." if rest else words


def render_json(diffs: Sequence[TargetDiff]) -> str:
    """All changes as one versioned document."""
    document = {
        "schema": SCHEMA,
        "opscan": __version__,
        "adds": sum(change.adds for diff in diffs for change in diff.changes),
        "targets": [_target(diff) for diff in diffs],
    }
    return json_text(document)


def _target(diff: TargetDiff) -> dict[str, Any]:
    return {
        "old": _whose(diff.old),
        "new": _whose(diff.new),
        "unknown_added": diff.new_ops,
        "changes": [
            {"kind": each.kind, "adds": each.adds, "old": _side(each.old), "new": _side(each.new)}
            for each in diff.changes
        ],
    }


def _whose(report: ReadReport | None) -> dict[str, Any] | None:
    if report is None:
        return None
    world = None if report.world is None else dict(zip(("size", "real"), report.world, strict=True))
    return {"target": report.target, "environment": report.environment, "world": world}


def _side(place: Spotted | None) -> dict[str, Any] | None:
    if place is None:
        return None
    verdict, default, strict, warn_only, bits = place.behaviour
    return {
        "rule": place.rule, "verdict": verdict, "op": place.op, "phase": place.phase, "module": place.module,
        "line": place.line, "code": place.code, "count": place.count, "default": default, "strict": strict,
        "warn_only": warn_only, "bits": bits, "waived": place.reason, "fingerprint": place.fingerprint,
        "ranks": None if place.ranks is None else list(place.ranks),
    }  # fmt: skip


def render_markdown(diffs: Sequence[TargetDiff], show: Sequence[str] = ()) -> str:
    """A headline, and a table of what changed for each target that did."""
    listed = listed_changes(diffs, show)
    added = sum(change.adds for diff in listed for change in diff.changes)
    head = f"### opscan: {added} new" if added else "### opscan: nothing new"
    parts = [head, markdown.text(_sentence(diffs, listed))]
    for diff in listed:
        notes = _notes(diff)
        if not diff.changes and not notes:
            continue
        parts.append(f"**{markdown.code(diff.target)}**" + "".join(f"\\\n{markdown.text(note)}" for note in notes))
        if diff.changes:
            heads = ("", "verdict", "op", "where", "rule")
            parts.append(markdown.table(heads, _rows(groups_of(diff.changes))))
    return "\n\n".join(parts)


def _rows(groups: Iterable[Group]) -> Iterable[Sequence[str]]:
    for group in groups:
        place = group.first
        what = f"{group.kind}: {group.says}" if group.says else group.kind
        yield (
            markdown.text(what),
            place.verdict,
            f"{markdown.code(place.op)} in {markdown.text(place.phase)}{_on_ranks(place)}",
            markdown.code(group.modules),
            markdown.text(place.rule),
        )
