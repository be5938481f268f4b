"""Read a build: every sign of (non)determinism in its machine code, its sources and its tables. Nothing is imported."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from packaging.version import InvalidVersion, Version

from opscan.audit.names import qualified_names
from opscan.audit.signs import TORCH_NAMESPACES, Sign, Signs, merge
from opscan.audit.sources import read_source, top_level_names
from opscan.audit.target import Target, open_target, package_of
from opscan.audit.vendor import vendor_calls
from opscan.errors import AuditError
from opscan.progress import progress

if TYPE_CHECKING:
    from opscan.audit.elf import SharedObject

NATIVE_FUNCTIONS = "torchgen/packaged/ATen/native/native_functions.yaml"
TAGS = ("nondeterministic_seeded", "nondeterministic_bitwise")
PUBLIC_MODULES = ("torch/functional.py", "torch/nn/functional.py", "torch/distributed/distributed_c10d.py")
"""Where the public calls are defined that a row may name and that are no op of their own."""

_FLAG_READ = re.compile(rb"_ZNK?2at7Context\d+\w*eterminis\w*")
_ALERT = "alertNotDeterministicE"
_MESSAGE = rb"it uses [^\0]+\. To enable deterministic behavior[^\0]*"
_LINKS_TORCH = re.compile(rb"libc10\.so|libtorch(_cpu)?\.so")
_SCHEMA = rb"(?:\w+::)?[A-Za-z_]\w*(?:\.\w+)?\([^\0]*\) -> [^\0]+"
_QUALIFIED = rb"[A-Za-z_]\w*::[A-Za-z_]\w*(?:\.\w+)?"
_VERSION = re.compile(rb"^__version__ *= *['\"]([^'\"]+)", re.MULTILINE)
_REQUIRED = re.compile(rb"^Requires-Dist: torch *\(?(?:==|>=|~=) *([\w.]+)", re.MULTILINE)


@dataclass(slots=True)
class _Found:
    """What has been found so far."""

    signs: list[Sign] = field(default_factory=list)
    ops: set[str] = field(default_factory=set)
    kernels: set[str] = field(default_factory=set)
    mps: set[str] = field(default_factory=set)
    packages: set[str] = field(default_factory=set)

    def add_ops(self, named: set[str], package: str) -> None:
        """Ops by the names a package's files hold; those of aten are known from native_functions.yaml alone."""
        own = TORCH_NAMESPACES - {"aten"} if package == "torch" else None
        for op in named:
            namespace = op.split(".")[0]
            if namespace in own if own is not None else namespace not in TORCH_NAMESPACES:
                self.ops.add(op)


def read_signs(target: Path) -> Signs:
    """Read an installed torch folder, a wheel, or a site-packages folder.

    Raises AuditError when the target is none of these, its machine code is not of x86-64 Linux, or the libraries
    that read it are not installed.
    """
    _require_libraries()
    with open_target(target) as opened, progress(f"reading {target.name}"):
        torch = _torch_version(opened)
        found = _Found()
        for name in opened.objects:
            _read_object(opened, name, found)
        for name in opened.sources:
            _read_python(opened, name, found)
        if NATIVE_FUNCTIONS in opened.names:
            _read_native_functions(opened.read(NATIVE_FUNCTIONS), found)
        versions = opened.versions()
        return Signs(
            source=target.name,
            torch=torch,
            has_torch="torch/version.py" in opened.names,
            has_cuda=any(name.startswith("torch/lib/libtorch_cuda") for name in opened.names),
            packages={name: versions.get(name, "") for name in sorted(found.packages)},
            found=merge(found.signs),
            ops=frozenset(found.ops),
            kernels=frozenset(found.kernels),
            mps=frozenset(found.mps),
        )


def _require_libraries() -> None:
    try:
        for name in ("capstone", "elftools", "numpy", "yaml"):
            import_module(name)
    except ImportError as error:
        raise AuditError(
            f"reading machine code needs a library that is not installed: {error.name}",
            "opscan rules audit",
            'Install them with: pip install "opscan[audit]"',
        ) from error


def _torch_version(target: Target) -> Version:
    """The version of the torch in the target, or else the one (or the oldest) that its packages require."""
    candidates = [(name, _VERSION) for name in target.names if name == "torch/version.py"]
    candidates += [(name, _REQUIRED) for name in target.names if name.endswith(".dist-info/METADATA")]
    for name, pattern in candidates:
        if match := pattern.search(target.read(name)):
            try:
                return Version(Version(match[1].decode()).base_version)
            except InvalidVersion:
                continue
    raise AuditError(
        "which torch this belongs to cannot be told: there is no torch/version.py, and no package names one",
        str(target.root),
        "Name a site-packages folder that holds torch as well.",
    )


def _read_object(target: Target, name: str, found: _Found) -> None:
    from opscan.audit.elf import open_object

    with target.open(name) as stream, open_object(stream) as so:
        if so is None or not so.has_text(".dynstr", _LINKS_TORCH):
            return
        package = package_of(name)
        found.packages.add(package)
        found.signs += [Sign("call", each, (name,)) for each in vendor_calls(so.imported)]
        found.signs += [*_signs_in_code(so, name), *_signs_in_messages(so, name)]
        found.kernels |= _kernels(so)
        if package == "torch":
            found.add_ops(_ops(so.strings(_QUALIFIED), ""), package)
        else:
            found.add_ops(_ops(so.strings(_SCHEMA) | so.strings(_QUALIFIED), package), package)


def _signs_in_code(so: SharedObject, name: str) -> Iterator[Sign]:
    """Alerts by their literals, and the functions that read a flag."""
    from opscan.audit.machine_code import text_argument

    symbols = so.symbols(_FLAG_READ)
    if not symbols:
        return
    if so.machine != "EM_X86_64":
        raise AuditError(
            f"machine code of {so.machine.removeprefix('EM_').lower()} is not read, only that of x86-64",
            name,
            "Audit the wheel for manylinux x86_64 of the same version: the sources are the same.",
        )
    readers = set()
    for address, symbol in so.references(symbols):
        function = so.function_at(address)
        if _ALERT in symbol:
            text = text_argument(so, address, function)
            inside = f" in {function.name}" if function else ""
            yield Sign("alert", text or f"(not decoded: call at {address:#x}{inside})", (name,))
        elif function is not None:
            readers.add(function.name)
        else:
            yield Sign("branch", f"(no symbol) in {name}", (name,))
    for reader in sorted(set(qualified_names(readers).values())):
        yield Sign("branch", reader, (name,))


def _signs_in_messages(so: SharedObject, name: str) -> Iterator[Sign]:
    """Alerts that do not go through alertNotDeterministic: the one of cuBLAS (at::Context, torch 1.7 to 2.9)."""
    for text in so.strings(_MESSAGE):
        yield Sign("alert", text.split(". To enable")[0], (name,))


def _kernels(so: SharedObject) -> set[str]:
    """CUDA kernels: __cudaRegisterFunction takes their mangled names as text, and little else is stored that way."""
    if not so.imports_from_cuda_runtime:
        return set()
    names = set(qualified_names(so.strings(rb"_Z\w+", before=rb"(?<!\w)")).values())
    return {name for name in names if not name.startswith(("_Z", "cuda::", "thrust::", "cub::"))}


def _ops(texts: set[str], namespace: str) -> set[str]:
    """`ns::op.overload(...) -> ...` or, in a package of its own, `op(...) -> ...` as `ns.op.overload`."""
    found = set()
    for text in texts:
        space, _, name = text.split("(")[0].rpartition("::")
        if space or namespace:
            found.add(f"{space or namespace}.{name}")
    return found


def _read_python(target: Target, name: str, found: _Found) -> None:
    source = target.read(name)
    signs, ops = read_source(name, source)
    found.signs += signs
    if signs:
        found.packages.add(package_of(name))
    found.add_ops(ops, package_of(name))
    if name in PUBLIC_MODULES:
        module = "torch.distributed" if "distributed" in name else name.removesuffix(".py").replace("/", ".")
        found.ops |= {f"{module}.{each}" for each in top_level_names(source)}


def _read_native_functions(text: bytes, found: _Found) -> None:
    import yaml

    entries: list[dict[str, Any]] = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    found.packages.add("torch")
    for entry in entries:
        op = _overload(entry["func"].split("(")[0])
        tags = entry.get("tags", [])
        for tag in [tags] if isinstance(tags, str) else tags:
            if tag in TAGS:
                found.signs.append(Sign("tag", op, (NATIVE_FUNCTIONS,)))
        if any("MPS" in keys.replace(" ", "").split(",") for keys in entry.get("dispatch", {})):
            found.mps.add(op)
        # What torchgen writes for `autogen` runs the op itself, so it has the op's signs and no tag of its own.
        found.ops |= {op, *(_overload(each.strip()) for each in entry.get("autogen", "").split(",") if each.strip())}


def _overload(name: str) -> str:
    return f"aten.{name}" if "." in name else f"aten.{name}.default"
