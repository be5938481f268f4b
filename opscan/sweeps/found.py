"""What a search finds, as values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Listed:
    """A target, as `opscan check` takes it, and the family of models it belongs to: the module it comes from."""

    target: str
    family: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """The targets, the modules that could not be imported with the reason, and what is worth importing only once."""

    listed: tuple[Listed, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()
    preload: tuple[str, ...] = ()

    def __add__(self, other: Found) -> Found:
        return Found(
            tuple(dict.fromkeys((*self.listed, *other.listed))),
            tuple(dict.fromkeys((*self.skipped, *other.skipped))),
            tuple(dict.fromkeys((*self.preload, *other.preload))),
        )
