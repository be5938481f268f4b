"""Write a file in one piece."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from opscan.errors import OutputError


def write_text(path: Path, text: str) -> None:
    """Put a text, ending in a newline, in place of a file at once: whoever reads it meets the old one or the new one.

    What a link names is replaced, with the mode it had; what is no plain file (/dev/stdout, a pipe) is written to.
    Raises OutputError.
    """
    text = text if text.endswith("\n") else f"{text}\n"
    try:
        if path.exists() and not path.is_file():
            path.write_text(text, encoding="utf-8", newline="\n")
            return
        place = Path(os.path.realpath(path))
        mode = place.stat().st_mode & 0o7777 if place.exists() else 0o666 & ~_umask()
        handle, temporary = tempfile.mkstemp(dir=place.parent, prefix=".opscan-")
        try:
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
                stream.write(text)
            os.chmod(temporary, mode)
            os.replace(temporary, place)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise OutputError(f"cannot be written: {error}", str(path), "Give another file with -o.") from error


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
