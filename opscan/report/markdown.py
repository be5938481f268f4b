"""Findings as Markdown, for a comment on a pull request: a headline, a table, the rest folded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from opscan.distributed.ranks import rank_words, size_words
from opscan.finding import Finding
from opscan.formats.markdown import block, code, folded, table, text
from opscan.report.acceptance import modules_words, reason_words
from opscan.report.instead import advice_of, other_ways
from opscan.report.message import headline, paragraphs
from opscan.report.outcome import Outcome, unjudged_words
from opscan.report.report import Report
from opscan.report.spots import spots
from opscan.report.words import SAME_VALUES, describe_environment, place_words, short_line, verdict_line

_MOST_ROWS = 50
_MOST_CHARACTERS = 60_000
"""GitHub refuses a comment of more than 65,536 characters."""

Found = tuple[Report, Finding]


def render_markdown(outcome: Outcome) -> str:
    """What fails in a table; verdicts, details, waivers, and what was not looked at below it."""
    listed = [(report, each) for report in outcome.reports for each in outcome.listed(report)]
    shown = [(report, each) for report, each in listed if not each.waived]
    waived = [(report, each) for report, each in listed if each.waived]
    parts = [f"### opscan: {_headline(outcome)}"]
    parts += [text(f"{each.rule}: {each.words}") for each in outcome.stale]
    if shown:
        parts.append(_table(("verdict", "op", "where", "line", "target"), map(_row, shown)))
    parts += [
        f"{code(report.target)}: {text(unjudged_words(op))}"
        for report in outcome.reports
        for op in outcome.unjudged(report)
    ]
    parts += [f"{code(each.target)} was not looked at: {text(each.why)}" for each in outcome.unseen if each.wanted]
    parts += list(_verdicts(outcome))
    if waived:
        parts.append(folded(f"{len(waived)} waived", _table(("op", "where", "target", "reason"), map(_waived, waived))))
    skipped = [(code(each.target), text(each.why)) for each in outcome.unseen if not each.wanted]
    if skipped:
        parts.append(folded(f"{len(skipped)} passed over", _table(("target", "why"), skipped)))
    return "\n\n".join(_cut([*parts, *(_details(*each) for each in shown)]))


def _headline(outcome: Outcome) -> str:
    failing = [
        sum(outcome.failing(report, finding) for finding in report.findings) + len(outcome.unjudged(report))
        for report in outcome.reports
    ]
    targets = f"{len(failing)} target{'' if len(failing) == 1 else 's'}"
    words = f"{sum(failing)} finding{'' if sum(failing) == 1 else 's'} in {targets}" if any(failing) else (
        f"nothing {'new ' * outcome.has_baseline}in {targets}"
    )  # fmt: skip
    missed = sum(each.wanted for each in outcome.unseen)
    words += f", {missed} not looked at" if missed else ""
    return words + (f", {len(outcome.stale)} stale waivers" if outcome.stale else "")


def _row(found: Found) -> Sequence[str]:
    report, finding = found
    lines = [each.line for each in spots(finding) if each.line]
    first = code(short_line(lines[0])) if lines else ""
    more = f" and {len(lines) - 1} more" if len(lines) > 1 else ""
    ranks = f", on {rank_words(finding.ranks)}" if finding.ranks is not None else ""
    op = f"{code(finding.op)} in {finding.phase} ({text(finding.rule)}){ranks}"
    return f"**{finding.verdict}**", op, code(modules_words(finding)), first + more, code(report.target)


def _waived(found: Found) -> Sequence[str]:
    report, finding = found
    op = f"{code(finding.op)} {finding.verdict} ({text(finding.rule)})"
    return op, code(modules_words(finding)), code(report.target), text(reason_words(finding))


def _verdicts(outcome: Outcome) -> Iterator[str]:
    """What each report comes to, in a list."""
    lines = [
        f"- {code(report.target)} ({text(_environment(report))}): {text(verdict_line(report))}"
        for report in outcome.reports
    ]
    if lines:
        yield "\n".join(lines[:_MOST_ROWS] + ([f"- and {len(lines) - _MOST_ROWS} more"] if lines[_MOST_ROWS:] else []))


def _environment(report: Report) -> str:
    ranks = f", {size_words(report.world.size, report.world.real)}" if report.world is not None else ""
    return describe_environment(report.environment) + ranks


def _details(report: Report, finding: Finding) -> str:
    places = [f"{module}  {where}".rstrip() for module, where in place_words(finding.places)]
    if len(places) > _MOST_ROWS:
        places[_MOST_ROWS:] = [f"and {len(places) - _MOST_ROWS} more"]
    instead = [
        f"instead: {each.name} ({each.gives})\n" + _lines(each.imports, each.lines) for each in advice_of(finding)
    ]
    instead += [
        f"instead: {each.name} ({SAME_VALUES[each.same_values]})\n{each.how.strip()}" for each in other_ways(finding)
    ]
    content = "\n\n".join(("\n".join(places), paragraphs(finding, report.environment), *instead))
    return folded(headline(finding), block(content))


def _lines(imports: str, lines: Iterable[tuple[str, str]]) -> str:
    written = [f"{after}  # {where}" for where, after in lines]
    return "\n".join([imports, *written]) if written else "opscan fix writes it"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """At most as many rows as a comment is read for."""
    held = list(rows)
    rest = f"\n\nand {len(held) - _MOST_ROWS} more" if len(held) > _MOST_ROWS else ""
    return table(heads, held[:_MOST_ROWS]) + rest


def _cut(parts: Sequence[str]) -> list[str]:
    """As many parts as a comment has room for."""
    kept: list[str] = []
    for part in parts:
        if sum(map(len, kept)) + len(part) > _MOST_CHARACTERS:
            return [*kept, f"{len(parts) - len(kept)} more do not fit into a comment: opscan check shows them."]
        kept.append(part)
    return kept
