"""What all commands share: exit statuses, the words of the schema (checked against it by a test), complaints."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TextIO

from opscan.formats.text import log_text, printable_prose

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
    """One message on stderr, under opscan's name; what it quotes cannot act upon the terminal.

    Where stderr takes nothing, the exit status has to tell.
    """
    try:
        print(f"opscan: {log_text(printable_prose(message))}", file=sys.stderr, flush=True)
    except OSError:
        forsake(sys.stderr)


def forsake(stream: TextIO) -> None:
    """Let what a stream still holds back go nowhere: Python would try to write it when it ends, and complain."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
