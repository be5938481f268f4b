"""Messages over pipes: a length of eight bytes, then as many bytes."""

from __future__ import annotations

import os
import select
import time

_HEAD = 8
_CHUNK = 1 << 20
MOST_BYTES = 1 << 28
"""The longest message that is taken: ten times the report on a step of 300,000 ops."""


class ClosedError(Exception):
    """The other end is gone."""


class LateError(Exception):
    """The message did not come in time."""


class TooLongError(Exception):
    """The message is longer than any that is meant."""


def send(pipe: int, message: bytes) -> None:
    """Write one message. Raises ClosedError if nobody reads any more."""
    rest = memoryview(len(message).to_bytes(_HEAD, "little") + message)
    try:
        while rest:
            rest = rest[os.write(pipe, rest) :]
    except OSError as error:
        raise ClosedError from error


class Reader:
    """Reads messages from a pipe piece by piece, as they come."""

    def __init__(self, pipe: int) -> None:
        self.pipe = pipe
        self._buffer = bytearray()

    def message(self) -> bytes | None:
        """The next message, if all of it has been read. Raises TooLongError."""
        length = int.from_bytes(self._buffer[:_HEAD], "little")
        if length > MOST_BYTES:
            raise TooLongError
        if len(self._buffer) < _HEAD + length:
            return None
        taken = bytes(self._buffer[_HEAD : _HEAD + length])
        del self._buffer[: _HEAD + length]
        return taken

    def read_some(self) -> None:
        """Read what there is, waiting for the first byte. Raises ClosedError at the end."""
        try:
            piece = os.read(self.pipe, _CHUNK)
        except OSError as error:
            raise ClosedError from error
        if not piece:
            raise ClosedError
        self._buffer += piece

    def wait(self, timeout_s: float | None = None) -> bytes:
        """The next message. Raises ClosedError at the end, and LateError after `timeout_s` seconds."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while (message := self.message()) is None:
            left = None if deadline is None else max(deadline - time.monotonic(), 0)
            if not select.select([self.pipe], [], [], left)[0]:
                raise LateError
            self.read_some()
        return message
