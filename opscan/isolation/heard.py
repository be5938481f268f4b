"""What the code that is looked at prints, on its way to stderr: as it comes, but not more than anyone reads."""

from __future__ import annotations

import codecs
import os
import sys
from contextlib import suppress

from opscan.formats.text import printable

_CHUNK = 1 << 16
MOST_BYTES = 1 << 20


class Heard:
    """The pipe that takes the place of stdout and stderr in a child, seen from the end that shows it.

    What comes is shown on stderr, where it can neither move the cursor nor mix with a report; from MOST_BYTES on it is
    only counted.
    """

    def __init__(self) -> None:
        self.pipe, self.mouth = os.pipe()
        os.set_blocking(self.pipe, False)
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._bytes = 0

    def opened(self) -> None:
        """The other end is held by the child alone from now on."""
        os.close(self.mouth)

    def close(self) -> None:
        """Nothing is heard any more."""
        os.close(self.pipe)

    def hear(self) -> bool:
        """Show the next piece. False where there is none at the moment."""
        try:
            piece = os.read(self.pipe, _CHUNK)
        except BlockingIOError:
            return False
        room = max(MOST_BYTES - self._bytes, 0)
        self._bytes += len(piece)
        _show(self._decode(piece[:room]))
        return bool(piece)

    def rest(self) -> None:
        """Show what is left of one call's, say how much was not shown, and begin anew."""
        while self.hear():
            pass
        _show(self._decode(b"", True))
        if self._bytes > MOST_BYTES:
            left = self._bytes - MOST_BYTES
            _show(f"\nopscan: {left:,} more bytes were printed there, and are not shown\n")
        self._bytes = 0


def _show(text: str) -> None:
    if text:
        with suppress(OSError):  # where stderr takes nothing, it is not shown
            sys.stderr.write(printable(text, keep="\n\t\r"))
            sys.stderr.flush()
