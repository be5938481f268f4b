"""Which classes of a file may be models, read from its text: nothing is imported.

A class may be one unless each of its bases is known to be something else: a builtin, the standard library's, one of
torch's that is no module, or a class of the project's whose own bases are such. Bases are followed through imports into
the project's other files; one of another package's may be a module.
"""

from __future__ import annotations

import ast
import builtins
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path


def model_classes(file: Path) -> tuple[str, ...]:
    """The names of the classes at the top level of a file that may be models, in the order they are written.

    Raises OSError if it cannot be read, and SyntaxError, ValueError or RecursionError if it is not Python.
    """
    text = file.read_bytes()
    if b"class" not in text:
        return ()
    reader = _Reader((_import_root(file), Path.cwd(), Path.cwd() / "src"))
    source = reader.files[file] = _parsed(text, file)
    return tuple(name for name in source.classes if reader.may_be_module(source, name))


@dataclass(frozen=True, slots=True)
class _Source:
    """What stands at the top level of a file: classes and the dotted names that imports bind, each with all it may be.

    A name may be bound several times, as in try and except.
    """

    file: Path
    classes: Mapping[str, list[ast.ClassDef]]
    imports: Mapping[str, list[str]]
    assigned: frozenset[str]


@dataclass(slots=True)
class _Reader:
    """Files read so far; `roots` are the folders that absolute imports of the project's are looked up in."""

    roots: tuple[Path, ...]
    files: dict[Path, _Source | None] = field(default_factory=dict)
    asked: set[tuple[Path, str]] = field(default_factory=set)

    def may_be_module(self, source: _Source, name: str) -> bool:
        """Whether a class of a file may be an nn.Module; False for one that is among its own bases."""
        if (source.file, name) in self.asked:
            return False
        self.asked.add((source.file, name))
        try:
            return any(self._may_be(source, base) for each in source.classes[name] for base in each.bases)
        finally:
            self.asked.discard((source.file, name))

    def _may_be(self, source: _Source, base: ast.expr) -> bool:
        if isinstance(base, ast.Subscript):  # Base[T]
            base = base.value
        parts = _dotted(base)
        if not parts:  # made by a call
            return True
        if parts[0] in source.assigned:
            return True
        imports = source.imports.get(parts[0], ())
        if any(self._imported_may_be(source, (*each.split("."), *parts[1:])) for each in imports):
            return True
        if len(parts) == 1 and parts[0] in source.classes:
            return self.may_be_module(source, parts[0])
        return not imports and not hasattr(builtins, parts[0])

    def _imported_may_be(self, source: _Source, parts: tuple[str, ...]) -> bool:
        if parts[0] == "torch":
            return "nn" in parts or parts[-1].endswith("Module")
        if parts[0] in sys.stdlib_module_names:
            return False
        for end in range(len(parts) - 1, 0, -1):
            home = self._read(source.file, parts[:end])
            if home is not None and end == len(parts) - 1:
                return self._there(home, parts[-1])
        return True

    def _there(self, home: _Source, name: str) -> bool:
        """Whether what a file of the project's calls `name` may be a module."""
        if name in home.classes and self.may_be_module(home, name):
            return True
        if name in home.imports:
            return (home.file, name) not in self.asked and self._followed(home, name)
        return name not in home.classes

    def _followed(self, home: _Source, name: str) -> bool:
        self.asked.add((home.file, name))
        try:
            return any(self._imported_may_be(home, tuple(each.split("."))) for each in home.imports[name])
        finally:
            self.asked.discard((home.file, name))

    def _read(self, importer: Path, module: tuple[str, ...]) -> _Source | None:
        """The source of a module of the project's; a relative one begins with an empty part for each dot."""
        dots = next((at for at, part in enumerate(module) if part), len(module))
        folders: Iterable[Path] = (importer.parents[dots - 1],) if 0 < dots <= len(importer.parents) else self.roots
        for folder in folders:
            place = folder.joinpath(*module[dots:])
            itself = (place.with_suffix(".py"),) if module[dots:] else ()  # `from . import name` means the package
            for file in (place / "__init__.py", *itself):
                if file not in self.files:
                    self.files[file] = _read_or_none(file)
                if (found := self.files[file]) is not None:
                    return found
        return None


def _import_root(file: Path) -> Path:
    """The folder above the outermost package that a file is in."""
    root = file.resolve().parent
    while (root / "__init__.py").is_file():
        root = root.parent
    return root


def _read_or_none(file: Path) -> _Source | None:
    try:
        return _parsed(file.read_bytes(), file)
    except (OSError, SyntaxError, ValueError, RecursionError):
        return None


def _parsed(text: bytes, file: Path) -> _Source:
    classes: dict[str, list[ast.ClassDef]] = {}
    imports: dict[str, list[str]] = {}
    assigned: set[str] = set()
    for node in _top_level(ast.parse(text).body):
        if isinstance(node, ast.ClassDef):
            classes.setdefault(node.name, []).append(node)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                imports.setdefault(alias.asname or top, []).append(alias.name if alias.asname else top)
        elif isinstance(node, ast.ImportFrom):
            home = "." * node.level + (f"{node.module}." if node.module else "")
            for alias in node.names:
                imports.setdefault(alias.asname or alias.name, []).append(f"{home}{alias.name}")
        elif isinstance(node, ast.Assign):
            assigned.update(target.id for target in node.targets if isinstance(target, ast.Name))
    return _Source(file.resolve(), classes, imports, frozenset(assigned))


def _top_level(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements that run when the file is imported, those inside if, try, with and loops among them."""
    for node in body:
        yield node
        if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            for inner in ("body", "orelse", "finalbody"):
                yield from _top_level(getattr(node, inner, ()))
            for handler in getattr(node, "handlers", ()):
                yield from _top_level(handler.body)


def _dotted(node: ast.expr) -> tuple[str, ...]:
    """`nn.Module` as ("nn", "Module"); nothing for what is not a dotted name."""
    if isinstance(node, ast.Name):
        return (node.id,)
    if isinstance(node, ast.Attribute) and (before := _dotted(node.value)):
        return (*before, node.attr)
    return ()
