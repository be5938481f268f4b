"""What all commands share: exit statuses, the words of the schema (checked against it by a test), complaints."""

from __future__ import annotations

import sys

from opscan.formats.text import printable_prose

CLEAN, FINDINGS, COULD_NOT_LOOK = 0, 1, 2
VERDICT_WORDS = ("raises", "switches", "silent", "config", "random", "uninitialized", "unknown")
SHOW_WORDS = (*VERDICT_WORDS, "harmless")
AMP_WORDS = ("bf16", "fp16")
REPLAY_WORDS = ("all", "rules", "unknown")
TRACE_DEVICE_WORDS = ("meta", "cpu")
DEVICE_WORDS = ("auto", "cuda", "mps", "cpu")
BACKEND_WORDS = ("loky", "dask", "ray")
DOCUMENT_WORDS = ("json", "sarif", "github", "junit", "markdown", "csv", "html")
FORMAT_WORDS = ("table", "csv", "json", "html", "markdown")


def complain(message: str) -> None:
    """One message on stderr, under opscan's name; what it quotes cannot act upon the terminal."""
    print(f"opscan: {printable_prose(message)}", file=sys.stderr)
