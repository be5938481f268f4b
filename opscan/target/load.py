"""The object a target names: its module imported, its name looked up."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import os
import pkgutil
import sys
from collections.abc import Mapping
from pathlib import Path
from traceback import walk_tb
from types import ModuleType

from opscan.blame import one_line, shown_path, user_line
from opscan.errors import TargetError
from opscan.target.spec import TargetSpec

# Note [sys.path keeps what a target needed]
# The directory a target was imported from stays first on sys.path, as it does for `python file.py`: the user's code may
# import its neighbours later, inside a constructor or a forward.


def load_object(spec: TargetSpec) -> object:
    """Import the target's module and return the object it names.

    The current directory is importable. A file inside a package is imported by its dotted name, any other under its
    stem. Raises TargetError for everything that can go wrong, whatever the user's module raises while it is imported;
    only KeyboardInterrupt passes through.
    """
    return look_up(load_module(spec), spec)


def load_module(spec: TargetSpec) -> ModuleType:
    """Import the module the target stands in. Raises as load_object does."""
    return _import_file(spec) if spec.is_file else _import_name(spec)


def look_up(module: ModuleType, spec: TargetSpec) -> object:
    """The object the target names in its module. Raises TargetError."""
    found: object = module
    for part in spec.path:
        found = _attribute(found, part, spec) if isinstance(part, str) else _item(found, part[0], spec)
    return found


def _import_name(spec: TargetSpec) -> ModuleType:
    put_first(Path.cwd())
    return _import(spec.module, spec)


def _import_file(spec: TargetSpec) -> ModuleType:
    try:
        path = Path(spec.module).expanduser().resolve()
    except (OSError, ValueError, RuntimeError) as error:  # a loop of links, a null byte, nobody's home
        raise TargetError(f"no such file: {spec.module} ({error})", spec.text, "Name a .py file.") from error
    if not os.path.isfile(path):
        raise TargetError(f"no such file: {spec.module}", spec.text, _near_files(path))
    parts, root = _place_in_package(path)
    put_first(root)
    if len(parts) == 1 and path.name != "__init__.py":
        return _import_stem(path, spec)
    module = _import(".".join(parts), spec)
    if Path(module.__file__ or "").resolve() != path:
        hint = f"Name it by module, from a directory where only one {module.__name__} is importable."
        raise TargetError(f"{module.__name__} is already imported from {module.__file__}", spec.text, hint)
    return module


def _place_in_package(path: Path) -> tuple[list[str], Path]:
    """The dotted name's parts, and the directory that has to be on sys.path for it."""
    parts = [] if path.name == "__init__.py" else [path.stem]
    root = path.parent
    while (root / "__init__.py").is_file():
        parts.insert(0, root.name)
        root = root.parent
    return parts, root


def _import_stem(path: Path, spec: TargetSpec) -> ModuleType:
    """Import a lone file under its stem; another module's name is never taken over."""
    name = path.stem
    while (taken := sys.modules.get(name)) is not None:
        if getattr(taken, "__file__", None) == str(path):
            return taken
        name = "_" + name
    found = importlib.util.spec_from_file_location(name, path)
    if found is None or found.loader is None:
        raise TargetError(f"{spec.module} is not a Python file", spec.text, "Name a .py file.")
    module = sys.modules[name] = importlib.util.module_from_spec(found)
    try:
        found.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        raise _import_failure(error, spec, name) from error
    return module


def _import(name: str, spec: TargetSpec) -> ModuleType:
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except BaseException as error:
        raise _import_failure(error, spec, name) from error


def put_first(directory: Path) -> None:
    """See Note [sys.path keeps what a target needed]."""
    here = str(directory)
    if here not in sys.path and not ("" in sys.path and directory == Path.cwd()):
        sys.path.insert(0, here)


def _import_failure(error: BaseException, spec: TargetSpec, name: str) -> TargetError:
    """What to say about an exception raised by importing module `name`. KeyboardInterrupt goes on its way."""
    if isinstance(error, KeyboardInterrupt):
        raise error
    where = user_line(error) or spec.text
    if isinstance(error, SyntaxError):
        return _syntax_failure(error, spec)
    if isinstance(error, SystemExit):
        hint = 'Move what the script runs below: if __name__ == "__main__":'
        return TargetError(f"importing {name} ends the program: sys.exit({error.code!r})", where, hint)
    if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
        return TargetError(f"no module named {error.name!r}", spec.text, _near_modules(name))
    if isinstance(error, ImportError) and _is_of_keras_backend(error):
        hint = "opscan traces Keras on its torch backend: KERAS_BACKEND=torch opscan check ..."
        return TargetError(
            f"{name} imports Keras, whose backend needs {error.name}, which is not installed", where, hint
        )
    if isinstance(error, ModuleNotFoundError) and error.name:
        hint = "Install it in the environment opscan runs in, or import it only where it is used."
        return TargetError(f"{name} imports {error.name}, which is not installed", where, hint)
    if isinstance(error, ImportError) and "relative import" in str(error):
        hint = "Name the file by module from the directory above its package (pkg.mod:Name), or add an __init__.py."
        return TargetError(f"importing {name} raised {one_line(error)}", where, hint)
    return TargetError(f"importing {name} raised {one_line(error)}", where, f'Try: python -c "import {name}"')


def _is_of_keras_backend(error: ImportError) -> bool:
    """Whether Keras itself asked for what is not there: it imports its backend when it is imported."""
    files = (frame.f_code.co_filename for frame, _ in walk_tb(error.__traceback__))
    return any("keras" in Path(file).parts and "backend" in Path(file).parts for file in files)


def _syntax_failure(error: SyntaxError, spec: TargetSpec) -> TargetError:
    file = shown_path(error.filename) if error.filename else spec.module
    where = f"{file}:{error.lineno}" if error.lineno else file
    text = (error.text or "").strip()
    return TargetError(
        f"{type(error).__name__}: {error.msg}", where, f"The line is: {text}" if text else "Correct the file."
    )


def _near_modules(name: str) -> str:
    """The hint for a module that does not exist: what the current directory offers."""
    there = [module.name for module in pkgutil.iter_modules([str(Path.cwd())])]
    near = difflib.get_close_matches(name.split(".")[0], there, n=3)
    if near:
        return f"Did you mean {' or '.join(near)}?"
    return (
        f"Run opscan in the directory that holds it, or name the file: path/to/file.py:Name (looked in {Path.cwd()})."
    )


def _near_files(path: Path) -> str:
    there = [file.name for file in path.parent.glob("*.py")] if os.path.isdir(path.parent) else []
    near = difflib.get_close_matches(path.name if path.suffix else path.name + ".py", there, n=3)
    return f"Did you mean {' or '.join(near)}?" if near else f"Looked for {path}."


def _attribute(owner: object, part: str, spec: TargetSpec) -> object:
    label = type(owner).__name__
    try:
        label = getattr(owner, "__name__", label)
        found: object = getattr(owner, part)
    except AttributeError as error:
        raise TargetError(f"{label} has no name {part!r}", spec.text, _near_names(owner, part)) from error
    except Exception as error:  # a lazy module imports here, and may fail as any import does
        where = user_line(error) or spec.text
        hint = "Install what it needs, or name another object."
        raise TargetError(f"looking up {label}.{part} raised {one_line(error)}", where, hint) from error
    return found


def _item(owner: object, key: int | str, spec: TargetSpec) -> object:
    try:
        found: object = owner[key]  # type: ignore[index]  # whatever it raises is told
    except Exception as error:
        keys = list(owner) if isinstance(owner, Mapping) else list(range(len(owner))) if isinstance(owner, list) else []
        hint = f"It has {', '.join(map(repr, keys[:8]))}." if keys else "Name a dict or a list before the brackets."
        raise TargetError(f"nothing at [{key!r}]: {one_line(error)}", spec.text, hint) from error
    return found


def _near_names(owner: object, part: str) -> str:
    """The hint for a name that does not exist: close names, and the models defined there."""
    public = [name for name in dir(owner) if not name.startswith("__")]
    near = difflib.get_close_matches(part, public, n=3)
    models = _models_in(owner)
    hints = [f"Did you mean {' or '.join(near)}?"] if near else []
    hints += (
        [f"Models defined there: {', '.join(models[:8])}{' and others' if len(models) > 8 else ''}."] if models else []
    )
    return " ".join(hints) or "It defines no nn.Module subclass."


def _models_in(owner: object) -> list[str]:
    nn = sys.modules.get("torch.nn")  # a module that has not imported torch has no models
    if nn is None:
        return []
    classes = [(name, value) for name, value in getattr(owner, "__dict__", {}).items() if isinstance(value, type)]
    home = getattr(owner, "__name__", None) if isinstance(owner, ModuleType) else getattr(owner, "__module__", None)
    return [name for name, value in classes if issubclass(value, nn.Module) and value.__module__ == home]
