"""A finding in a sentence or two, for documents that have one text for each."""

from __future__ import annotations

from collections.abc import Iterable

from opscan.distributed.ranks import rank_words
from opscan.environment import Environment
from opscan.finding import Finding
from opscan.formats.text import printable
from opscan.report.acceptance import place_names, reason_words
from opscan.report.reaches import reach_words
from opscan.report.words import STRICT_MODE, VARYING, default_words, mode_lines


def headline(finding: Finding, modules: Iterable[str] | None = None) -> str:
    """`aten.cumsum.default is silent, in forward of head, on rank 2 alone`: op, verdict and where it runs."""
    where = place_names(finding.modules if modules is None else modules)
    ranks = f", on {rank_words(finding.ranks)}" if finding.ranks is not None else ""
    return printable(f"{finding.op}: {finding.verdict}, in {finding.phase} of {where}{ranks}")


def sentence(finding: Finding, modules: Iterable[str] | None = None) -> str:
    """The headline, and what each mode does."""
    default = default_words(finding).rstrip(".")
    words = f"{headline(finding, modules)}. By default: {default}. In strict mode: {STRICT_MODE[finding.strict]}."
    if finding.spread is not None and finding.verdict in VARYING:
        words += printable(f" Reaches {reach_words(finding.spread)}.")
    return words + (f" Waived: {printable(reason_words(finding))}" if finding.waived else "")


def paragraphs(finding: Finding, environment: Environment) -> str:
    """All that is said of a finding but its places, a line for each."""
    lines = [f"{label}: {text}" for label, text in mode_lines(finding, environment)]
    if finding.spread is not None:
        lines.append(f"reaches: {reach_words(finding.spread)}")
    return "\n".join([*lines, f"why: {' '.join(finding.message.split())}"])
