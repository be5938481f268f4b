"""Which files are linted: those named, and the .py, .pyi and .ipynb files below the folders named."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from fnmatch import fnmatch

from opscan.lint.finding import Problem

ENDINGS = (".py", ".pyi", ".ipynb")
EXCLUDED = frozenset(
    {
        ".bzr", ".direnv", ".eggs", ".git", ".hg", ".ipynb_checkpoints", ".mypy_cache", ".nox", ".pytest_cache",
        ".ruff_cache", ".svn", ".tox", ".venv", "__pycache__", "build", "dist", "node_modules", "site-packages", "venv",
    }
)  # fmt: skip
"""Folders that are not entered, unless they are named themselves."""


def find_files(paths: Iterable[str], exclude: Iterable[str], root: str, problems: list[Problem]) -> list[str]:
    """The files to lint, each once, in the order of the paths and by name within a folder.

    `exclude` are patterns of names or of paths relative to `root`. Links to folders are not followed, so that no loop
    is walked; what cannot be read is noted in `problems`.
    """
    patterns = tuple(exclude)
    found: dict[str, None] = {}
    for path in paths:
        if os.path.isdir(path):
            found.update(dict.fromkeys(_below(path, patterns, root, problems)))
        elif os.path.lexists(path):
            found[path] = None
        else:
            problems.append(Problem(path, "no such file or folder"))
    return list(found)


def _below(folder: str, patterns: tuple[str, ...], root: str, problems: list[Problem]) -> Iterator[str]:
    folders = [folder]
    while folders:
        here = folders.pop()
        try:
            with os.scandir(here) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError as error:
            problems.append(Problem(here, f"not linted: {error.strerror}"))
            continue
        inner: list[str] = []
        for entry in entries:
            path = os.path.normpath(entry.path)
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in EXCLUDED and not (patterns and matches(path, patterns, root)):
                    inner.append(entry.path)
            elif not entry.name.endswith(ENDINGS) or _leads_to_folder(entry):
                continue
            elif not (patterns and matches(path, patterns, root)):
                yield path
        folders.extend(reversed(inner))


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_symlink() and os.path.isdir(entry.path)


def matches(path: str, patterns: Iterable[str], root: str) -> bool:
    """Whether a pattern fits a file: its name, its path from `root`, or a folder above it."""
    relative = os.path.relpath(path, root).replace(os.sep, "/")
    parts = relative.split("/")
    return any(
        fnmatch(relative, pattern)
        or fnmatch(relative, f"{pattern.rstrip('/')}/*")
        or any(fnmatch(part, pattern) for part in parts)
        for pattern in patterns
    )
