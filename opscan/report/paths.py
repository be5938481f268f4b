"""Module paths in few words."""

from __future__ import annotations

from collections.abc import Iterable


def short_paths(paths: Iterable[str]) -> list[str]:
    """Module paths that differ in one number, as one: `layers.{0-23}.self_attn`."""
    families: dict[tuple[str, str], list[int]] = {}
    for path in paths:
        parts = path.split(".")
        at = next((index for index, part in enumerate(parts) if part.isascii() and part.isdigit()), None)
        if at is None:
            families[path, ""] = []
        else:
            head, tail = ".".join(parts[:at]), ".".join(parts[at + 1 :])
            families.setdefault((head, tail), []).append(int(parts[at]))
    return [
        ".".join(part for part in (head, _ranges(numbers), tail) if part) for (head, tail), numbers in families.items()
    ]


def _ranges(numbers: list[int]) -> str:
    """`3` for one number, `{0-2,5}` for several."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    words = [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs]
    return words[0] if words and words[0].isdigit() and len(words) == 1 else f"{{{','.join(words)}}}" if words else ""
