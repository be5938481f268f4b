"""Names of C++ functions, as people write them: demangled, without arguments, templates and anonymous namespaces."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable
from functools import cache

from opscan.errors import AuditError

_ABI_LIBRARIES = ("libstdc++.so.6", "libc++abi.so.1", "libc++abi.dylib")
_CLONE = re.compile(r"(\.(cold|part|isra|constprop|lto_priv|localalias)(\.\d+)*)+$")
_ANONYMOUS = re.compile(r"\(anonymous namespace\)::|(?<![\w$])(_GLOBAL__N_|_INTERNAL_)\w*::")
_OPERATOR = re.compile(r"\boperator *(\(\)|\[\]|->\*?|<<=?|>>=?|<=>|<=?|>=?) *")
_DECLTYPE = re.compile(r"\bdecltype *\(([^()]|\([^()]*\))*\) *")


def qualified_names(mangled: Iterable[str]) -> dict[str, str]:
    """`_ZN2at6native4put_ERNS_6TensorE...` -> `at::native::put_`, for many names at once.

    A lambda or a local class goes by the name of the function it stands in; a name of C keeps its spelling.
    Raises AuditError when nothing on this machine can demangle.
    """
    names = list(dict.fromkeys(mangled))
    demangled = _demangler()([_CLONE.sub("", name) for name in names])
    return {name: qualified_name(text) for name, text in zip(names, demangled, strict=True)}


def qualified_name(demangled: str) -> str:
    """A demangled name without return type, arguments, template arguments, lambdas and anonymous namespaces."""
    text = _OPERATOR.sub("operator", _ANONYMOUS.sub("", _DECLTYPE.sub("", demangled)))
    return re.split(r"[({]", _without_templates(text), maxsplit=1)[0].rstrip(":").split(" ")[-1] or demangled


def _without_templates(text: str) -> str:
    """Drop `<...>`; a `>` within parentheses is a comparison, as in `enable_if<(N)>(3), void>`."""
    open_brackets: list[str] = []
    kept = []
    for letter in text:
        if letter in "<(":
            open_brackets.append(letter)
        if "<" not in open_brackets:
            kept.append(letter)
        if open_brackets and open_brackets[-1] + letter in ("<>", "()"):
            open_brackets.pop()
    return "".join(kept)


@cache
def _demangler() -> Callable[[list[str]], list[str]]:
    """`__cxa_demangle` of the C++ runtime (Itanium C++ ABI, 3.4), which torch itself needs; or c++filt."""
    for library in _ABI_LIBRARIES:
        try:
            return _runtime_demangler(ctypes.CDLL(library))
        except (OSError, AttributeError):
            continue
    for tool in ("c++filt", "llvm-cxxfilt"):
        if (path := shutil.which(tool)) is not None:
            return lambda names: _filter(path, names)
    raise AuditError(
        "nothing here demangles the names of C++ functions",
        "opscan rules audit",
        "Install a C++ runtime (libstdc++ or libc++abi) or binutils (c++filt).",
    )


def _runtime_demangler(runtime: ctypes.CDLL) -> Callable[[list[str]], list[str]]:
    function, free = runtime["__cxa_demangle"], ctypes.CDLL(None)["free"]
    function.restype = ctypes.c_void_p
    function.argtypes = [ctypes.c_char_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
    free.argtypes = [ctypes.c_void_p]

    def one(name: str) -> str:
        pointer = function(name.encode(), None, None, None) if name.startswith("_Z") else None
        if pointer is None:
            return name
        try:
            return ctypes.string_at(pointer).decode(errors="replace")
        finally:
            free(pointer)

    return lambda names: [one(name) for name in names]


def _filter(tool: str, names: list[str]) -> list[str]:
    done = subprocess.run([tool], input="\n".join(names), capture_output=True, text=True, check=True)
    return done.stdout.split("\n")[: len(names)]
