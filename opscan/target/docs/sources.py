"""The texts in which a class or factory may be shown, nearest first."""

from __future__ import annotations

import ast
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib import metadata

from opscan.target.docs.blocks import Block, code_blocks

_LONGEST = 2_000_000  # characters of a README that are read


@dataclass(frozen=True, slots=True)
class Source:
    """Code that shows something, and where it stands, in words. `near` says that names in it need no import."""

    statements: Block
    place: str
    near: bool


def sources_for(shown: Callable[..., object]) -> Iterator[Source]:
    """The pieces of code that call `shown` by its name: docstrings, its module's `__main__` part, the README."""
    name = getattr(shown, "__name__", "")
    for text, place in _docstrings(shown):
        yield from (Source(block, place, near=True) for block in code_blocks(text, name))
    yield from _main_part(shown)
    readme = _readme(getattr(shown, "__module__", "").partition(".")[0]) if _is_installed(shown) else ""
    for block in code_blocks(readme, name) if name in readme else ():
        yield Source(block, "its package's README", near=False)


def _docstrings(shown: Callable[..., object]) -> Iterator[tuple[str, str]]:
    module = sys.modules.get(getattr(shown, "__module__", ""))
    methods = [vars(shown).get(name) for name in ("__init__", "forward")] if isinstance(shown, type) else []
    for holder in (shown, *methods):
        yield inspect.cleandoc(getattr(holder, "__doc__", None) or ""), "its docstring"
    yield inspect.cleandoc(getattr(module, "__doc__", None) or ""), "its module's docstring"


def _main_part(shown: Callable[..., object]) -> Iterator[Source]:
    """What the module does when it is run as a script: often a small demonstration."""
    with suppress(OSError, TypeError, SyntaxError, ValueError):  # no source, or one for another Python
        module = sys.modules[getattr(shown, "__module__", "")]
        text = inspect.getsource(module)
        if "__main__" not in text:
            return
        for statement in ast.parse(text).body:
            if isinstance(statement, ast.If) and "__main__" in ast.unparse(statement.test):
                yield Source(tuple(statement.body), "its module's __main__ part", near=True)


def _is_installed(shown: Callable[..., object]) -> bool:
    """Whether it came with a distribution: to look for the one of a module that did not takes long."""
    file = getattr(sys.modules.get(getattr(shown, "__module__", "")), "__file__", None) or ""
    return any(part in file for part in ("site-packages", "dist-packages"))


@lru_cache(maxsize=8)
def _readme(package: str) -> str:
    """The long description of the distribution the package was installed from; empty where there is none."""
    with suppress(metadata.PackageNotFoundError, ValueError):
        return _description(package)
    names = metadata.packages_distributions().get(package, [])
    with suppress(metadata.PackageNotFoundError, ValueError):
        return _description(names[0]) if names else ""
    return ""


def _description(name: str) -> str:
    held = metadata.metadata(name)
    body = held.get_payload() if hasattr(held, "get_payload") else ""
    text = body if isinstance(body, str) and body.strip() else held["Description"] or ""
    return str(text)[:_LONGEST]
