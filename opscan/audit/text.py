"""An audit as text for a terminal."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from opscan.audit.signs import KIND_WORDS, KINDS
from opscan.formats.text import printable_prose

if TYPE_CHECKING:
    from opscan.audit.compare import Audit, Gap


def render_text(audit: Audit, width: int = 80) -> str:
    """Summary, then every gap with its place and the next step, then what this target cannot answer."""
    return printable_prose("\n".join(_lines(audit, width)))


def _lines(audit: Audit, width: int) -> Iterator[str]:
    packages = ", ".join(f"{name} {version}".strip() for name, version in audit.packages.items())
    yield from textwrap.wrap(f"{audit.source}: torch {audit.torch}; read: {packages}", width)
    yield ""
    uncovered = Counter(gap.subject.split(" ")[0] for gap in audit.uncovered)
    yield "  signs  open  kind"
    for kind in KINDS:
        count = audit.covered.get(kind, 0) + uncovered[kind]
        yield f"  {count:5}  {uncovered[kind]:4}  {kind:<7} {KIND_WORDS[kind]}"[:width]
    yield ""
    yield from _gaps("uncovered", "a sign that no row speaks for", audit.uncovered, width)
    yield from _gaps("dangling", "said by the rules, not borne out by this build", audit.dangling, width)
    for why, count in sorted(Counter(each.why for each in audit.unchecked).items()):
        yield from _wrapped(f"{count} not checkable here: {why}", width, "")
    yield from textwrap.wrap(
        f"{len(audit.uncovered)} uncovered, {len(audit.dangling)} dangling, {len(audit.unchecked)} not checkable here"
        f" ({audit.rows} rows, {audit.claims} claims)",
        width,
    )


def _gaps(title: str, words: str, gaps: tuple[Gap, ...], width: int) -> Iterator[str]:
    if not gaps:
        return
    yield f"{title} ({len(gaps)}): {words}"
    for gap in gaps:
        yield from _wrapped(f"{gap.subject}: {gap.what}", width, "  ")
        if gap.where:
            yield from _wrapped(", ".join(gap.where), width, "      ")
        yield from _wrapped(gap.hint, width, "      ")
    yield ""


def _wrapped(text: str, width: int, indent: str) -> list[str]:
    return textwrap.wrap(
        text,
        width,
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_long_words=True,
        break_on_hyphens=False,
    )
