"""Files that opscan writes: each is the old one or the new one, whole, whatever happens meanwhile."""

from __future__ import annotations

import errno
import os
import re
import secrets
import signal
import stat
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from opscan.errors import OutputError

_ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
_STREAMS = re.compile(r"/dev/(stdout|stderr)|/(?:dev|proc/self)/fd/(\d+)")

# Note [How a file is written]
# The text goes into a new file in the same folder, down to the disk (fsync), and that file takes the place of the old
# one in one step (os.replace). Until then the old one is not touched, so that a full disk, a Ctrl-C or another opscan
# that writes the same file costs nothing of it. Only a kill (SIGKILL) can leave the new file behind, as .opscan-XXXX.
# A link stays a link: what it names is replaced, with the mode and, as far as that is allowed, the owner it had.


def write_text(path: str | Path, text: str) -> None:
    """Write a text, which ends in a newline then, as UTF-8. See `write_bytes`."""
    write_bytes(path, (text if text.endswith("\n") else f"{text}\n").encode("utf-8", "backslashreplace"))


def write_bytes(path: str | Path, data: bytes) -> None:
    """Put data in place of a file at once; see Note [How a file is written].

    What is no plain file (a pipe, a device) is written to, and so is /dev/stdout, whatever it leads to. Raises
    OutputError, which says whether the old file is still there.
    """
    with _told(path, "written"):
        stream = _stream(path)
        old = _status(path) if stream is None else None
        if stream is None and _is_file(old):
            _replace(os.path.realpath(path), data, old)
            return
        sys.stdout.flush()
        with open(path if stream is None else os.dup(stream), "wb") as plainly:
            plainly.write(data)


def check_writable(path: str | Path) -> None:
    """Raise the OutputError that writing a file would raise, as far as that is known before: there is work to be done.

    Nothing of the file is changed.
    """
    with _told(path, "written"):
        if _stream(path) is not None:
            return
        old = _status(path)
        if old is not None and stat.S_ISDIR(old.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        if _is_file(old):
            _replace(os.path.realpath(path), None, old)


def make_folder(path: str | Path) -> None:
    """Make a folder, and those it is in, where they are not there. Raises OutputError."""
    with _told(path, "made"):
        os.makedirs(path, exist_ok=True)


def _stream(path: str | Path) -> int | None:
    """The descriptor that /dev/stdout and its like stand for: opened by that name, a file would be written over."""
    match = _STREAMS.fullmatch(os.fspath(path))
    if match is None:
        return None
    return {"stdout": 1, "stderr": 2}[match[1]] if match[1] else int(match[2])


def _is_file(old: os.stat_result | None) -> bool:
    """Whether there is a plain file, or nothing yet."""
    return old is None or stat.S_ISREG(old.st_mode)


def _status(path: str | Path) -> os.stat_result | None:
    """What stands at a path, links followed; None if nothing does."""
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None


def _replace(place: str, data: bytes | None, old: os.stat_result | None) -> None:
    """Put data in the place of a plain file; None tries all but the replacing."""
    if old is not None and not os.access(place, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    temporary = os.path.join(os.path.dirname(place), f".opscan-{secrets.token_hex(8)}")
    with _signals_wait():
        try:
            with open(temporary, "xb") as stream:
                if old is not None:
                    _give(temporary, old)
                stream.write(data or b"")
                stream.flush()
                os.fsync(stream.fileno())
            if data is not None:
                os.replace(temporary, place)
        finally:
            with suppress(OSError):  # replaced, or never made
                os.unlink(temporary)


def _give(file: str, old: os.stat_result) -> None:
    """Give a new file the owner and the mode of the old one, before anything is in it."""
    if hasattr(os, "chown"):
        with suppress(OSError):
            os.chown(file, old.st_uid, old.st_gid)
    os.chmod(file, stat.S_IMODE(old.st_mode))


@contextmanager
def _signals_wait() -> Iterator[None]:
    """Signals that ask the process to end are heard when the body is done: it leaves nothing half done behind."""
    if threading.current_thread() is not threading.main_thread():  # where none is heard
        yield
        return
    before = {number: handler for number in _ENDING if callable(handler := signal.getsignal(number))}
    asked: list[int] = []
    try:
        for number in before:
            signal.signal(number, lambda number, _: asked.append(number))
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in asked[:1]:
            signal.raise_signal(number)


@contextmanager
def _told(path: str | Path, done: str) -> Iterator[None]:
    """Say what went wrong, where, and what to do next."""
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        why = getattr(error, "strerror", None) or str(error)
        kept = " What was there before is unchanged." if done == "written" and os.path.isfile(path) else ""
        raise OutputError(f"cannot be {done}: {why}", str(path), f"{_hint(error, path)}{kept}") from error


def _hint(error: Exception, path: str | Path) -> str:
    number = getattr(error, "errno", None)
    folder = os.path.dirname(os.path.abspath(path)) if isinstance(error, OSError) else ""
    if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "Make room there, or name a file on another disk."
    if number == errno.ENOENT:
        return f"There is no folder {folder}: make it first."
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"Name a file in a folder that you may write to; {folder} or the file is not such."
    if number == errno.EISDIR:
        return "A folder has that name: name a file in it."
    if number == errno.ENAMETOOLONG:
        return "Give it a shorter name."
    return "Name another file."
