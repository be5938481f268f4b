"""Places, generators and lists in words."""

from __future__ import annotations

from collections.abc import Sequence

from opscan.finding import Line
from opscan.report.words import short_line


def file_line(text: str) -> str:
    """`train.py:5`, with at most the last two names of a path from the root."""
    file, _, number = text.rpartition(":")
    return short_line(Line(file, int(number))) if number.isdigit() else text


def generator_words(generator: str) -> str:
    """A generator as a person calls it."""
    if generator == "torch":
        return "torch's generator of the CPU"
    if generator.startswith("torch "):
        return f"torch's generator of {generator.removeprefix('torch ')}"
    if generator.startswith("own "):
        return f"a {generator.removeprefix('own ')} of the program's own"
    return {"numpy": "numpy's global generator", "random": "Python's global generator"}.get(generator, generator)


def place_words(at: Sequence[str]) -> str:
    """`train.py:5`, or `train.py:5 (in .../torchvision/transforms.py:88)`."""
    own, library = (*at, "", "")[:2]
    if own and library:
        return f"{file_line(own)} (in {file_line(library)})"
    return file_line(own or library) if own or library else "a place unknown"


def few(names: Sequence[str], count: int = 4) -> str:
    """The first of several names, and that there are more."""
    return ", ".join(names[:count]) + (f" and {len(names) - count} more" if len(names) > count else "")
