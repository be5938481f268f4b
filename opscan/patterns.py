"""Patterns of targets and files, as settings write them."""

from __future__ import annotations

import fnmatch
import os
from pathlib import Path


def is_pattern(text: str) -> bool:
    """Whether it is more than one name."""
    return any(mark in text for mark in "*?[")


def fits_target(pattern: str, label: str, root: Path) -> bool:
    """Whether a target is meant: as it was written, and a file also relative to the project at `root`."""
    name = label.partition("(")[0].strip()
    path, colon, rest = name.rpartition(":")
    relative = os.path.relpath(path, root) if path.endswith(".py") else path
    return any(fnmatch.fnmatchcase(each, pattern) for each in (name, f"{relative}{colon}{rest}"))


def fits_file(pattern: str, file: str | Path, root: Path) -> bool:
    """Whether a file is meant; the pattern is relative to `root`."""
    return fnmatch.fnmatchcase(Path(os.path.relpath(file, root)).as_posix(), pattern)
