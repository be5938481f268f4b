"""Paths as documents name them: relative to the repository, so that they mean the same on every machine."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote


def find_root(start: Path) -> Path:
    """The top of the git repository that a folder is in; the folder itself outside of one."""
    start = start.absolute()
    return next((folder for folder in (start, *start.parents) if (folder / ".git").exists()), start)


@lru_cache(maxsize=1024)
def relative_path(file: str, root: Path) -> str | None:
    """The path below `root`, with slashes; None for a file that is not there, and for a cell of a notebook."""
    if file.startswith("<"):
        return None
    for made in (os.path.abspath, os.path.realpath):  # a folder may be a link to another
        try:
            path = os.path.relpath(made(file), made(root))
        except ValueError:  # another drive of Windows
            return None
        if not path.startswith(os.pardir):
            return path.replace(os.sep, "/")
    return None


def uri_of(path: str) -> str:
    """A path as a reference of a URI."""
    return quote(name_bytes(path))


def name_bytes(name: str) -> bytes:
    """The bytes of a file's name: those it has on disk (PEP 383), or for one that can be on none, some."""
    try:
        return name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return name.encode("utf-8", "surrogatepass")


def absolute_uri(file: str) -> str:
    """A file as a URI of its own."""
    path = Path(file).absolute()
    try:
        return path.as_uri()
    except UnicodeEncodeError:
        return f"file://{uri_of(path.as_posix())}"
