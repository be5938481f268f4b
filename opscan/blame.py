"""Which line of the user's an exception comes from, and the exception in one line."""

from __future__ import annotations

import linecache
import os
import sysconfig
import traceback
from collections.abc import Iterable
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from types import FrameType

_OPSCAN = Path(__file__).resolve().parent


@cache
def _torch_home() -> str:
    found = find_spec("torch")
    return str(Path(found.origin).resolve().parent) + "/" if found and found.origin else "<no torch>"


@cache
def _distance(file: str) -> int:
    """0 for the user's own file, 1 for an installed library's, 2 for Python's, torch's and opscan's own."""
    if file.startswith(("<frozen", _torch_home())):
        return 2
    path = Path(file)
    if path.is_relative_to(_OPSCAN):
        return 0 if path.is_relative_to(_OPSCAN / "examples") else 2
    if {"site-packages", "dist-packages"} & set(path.parts):
        return 1
    return 2 if path.is_relative_to(sysconfig.get_path("stdlib")) else 0


def is_users_own(file: str) -> bool:
    """Whether a file is the user's: not an installed package's, Python's, torch's or opscan's."""
    return _distance(file) == 0


def shown_path(file: str) -> str:
    """The path relative to the current directory if it lies below it."""
    return _path_from(file, os.getcwd())


@lru_cache(maxsize=4096)
def _path_from(file: str, folder: str) -> str:
    path = Path(file)
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else file


def is_librarys(frame: FrameType) -> bool:
    """Whether a frame runs code of an installed library, and not the user's, Python's, torch's or opscan's."""
    return _distance(frame.f_code.co_filename) == 1


def source_lines(file: str) -> list[str]:
    """The lines of a source file, each with its end; none where it cannot be read, or no file can have such a name."""
    try:
        return linecache.getlines(file)
    except ValueError:  # a null byte, or half of a surrogate pair
        return []


def lines_of(frame: FrameType | None) -> tuple[str, str]:
    """`file:line` of the innermost frame in the user's code and of one in an installed library below it, "" for none.

    Seen from `frame` outwards; frames of Python, torch and opscan are passed over.
    """
    library = ""
    while frame is not None:
        distance = _distance(frame.f_code.co_filename)
        if distance == 0:
            return f"{shown_path(frame.f_code.co_filename)}:{frame.f_lineno}", library
        if distance == 1 and not library:
            library = f"{frame.f_code.co_filename}:{frame.f_lineno}"
        frame = frame.f_back
    return "", library


def user_line(error: BaseException) -> str:
    """`file:line` of the innermost frame in the user's code, else in an installed library, else ""."""
    frames = reversed(traceback.extract_tb(error.__traceback__))
    return nearest_line((frame.filename, frame.lineno or 0) for frame in frames)


def nearest_line(frames: Iterable[tuple[str, int]]) -> str:
    """The same of frames as (file, line), innermost first."""
    near = [(file, line) for file, line in frames if _distance(file) < 2]
    if not near:
        return ""
    file, line = min(near, key=lambda frame: _distance(frame[0]))  # min is stable: the innermost of the nearest
    return f"{shown_path(file)}:{line}"


def one_line(error: BaseException, limit: int = 200) -> str:
    """`ValueError: message`, the first line only, cut to about `limit` characters."""
    lines = said_by(error).strip().splitlines()
    text = f"{type(error).__name__}: {lines[0].strip()}" if lines else type(error).__name__
    return text if len(text) <= limit else text[: limit - 3] + "..."


def said_by(error: BaseException) -> str:
    """The message of an error; in words, where asking for it is one more."""
    try:
        return str(error)
    except Exception as second:
        return f"(its message raises {type(second).__name__})"
