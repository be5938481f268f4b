"""What opscan prints: text for people, which cannot act upon what shows it, and documents, which are UTF-8."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from opscan.cli.words import forsake
from opscan.errors import OutputError
from opscan.formats.text import log_text, printable_prose


def say(text: str, end: str = "\n") -> None:
    """Print text for people: of control characters only opscan's colours get through, what else is there is escaped.

    What the encoding of the terminal does not have is an escape too. Raises OutputError if it cannot be written, and
    BrokenPipeError if nobody reads any more.
    """
    with _told():
        encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
        sys.stdout.write(f"{_shown(text)}{end}".encode(encoding, "backslashreplace").decode(encoding))
        sys.stdout.flush()


def hand_out(document: str | bytes) -> None:
    """Print a document byte by byte as -o would write it, whatever the locale says. Raises as `say` does."""
    data = document if isinstance(document, bytes) else document.encode("utf-8", "backslashreplace")
    with _told():
        sys.stdout.flush()
        bare = getattr(sys.stdout, "buffer", None)
        if bare is None:  # a stream of somebody's own
            sys.stdout.write(data.decode("utf-8", "backslashreplace"))
        else:
            bare.write(data)
        sys.stdout.flush()


def show(rendering: str, is_text: bool) -> None:
    """Print what a renderer made, with one line end behind it: text for people, or else a document."""
    if is_text:
        say(rendering.removesuffix("\n"))
    else:
        hand_out(f"{rendering.removesuffix(chr(10))}\n")


def _shown(text: str) -> str:
    if "\x1b" not in text:
        return log_text(printable_prose(text))
    from opscan.report.paint import without_other_controls

    return log_text(without_other_controls(text))


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError:
        forsake(sys.stdout)
        raise
    except OSError as error:
        forsake(sys.stdout)
        why = "it is closed" if error.errno == errno.EBADF else error.strerror or error
        hint = "What was found is not shown: let it go where there is room, as with > FILE."
        raise OutputError(f"cannot be written: {why}", "standard output", hint) from error
