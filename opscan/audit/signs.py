"""What an audit looks at: signs of (non)determinism that a build of torch, or a package beside it, shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from packaging.version import Version

Kind = Literal["alert", "branch", "python", "tag", "call", "kernel", "triton", "mps", "op"]
KINDS: tuple[Kind, ...] = get_args(Kind)

KIND_WORDS: Mapping[Kind, str] = {
    "alert": "a call that raises in strict mode, by what it prints",
    "branch": "a compiled function that reads a determinism flag",
    "python": "a Python function that reads a determinism flag",
    "tag": "an op tagged as nondeterministic",
    "call": "an imported vendor function that can vary",
    "kernel": "a CUDA kernel with atomics",
    "triton": "a Python function that writes a Triton atomic",
    "mps": "an op with a kernel for MPS that a claim knows",
    "op": "an op that a claim knows",
}

KNOWN_BY_CLAIM = frozenset[Kind]({"kernel", "mps", "op"})
"""Kinds that a build shows by the thousand: one is a sign when a claim knows it (or its name says atomic)."""

TORCH_NAMESPACES = frozenset(
    {
        *("aten", "prim", "prims", "rngprims", "quantized", "_quantized", "quantized_decomposed", "onednn", "mkldnn"),
        *("mkldnn_prepacked", "inductor", "symm_mem", "torch_attn", "profiler", "c10d", "c10d_functional"),
        *("_c10d_functional", "_c10d_functional_autograd", "torch"),
    }
)
"""Namespaces whose ops torch itself registers, and `torch` for its public functions."""


@dataclass(frozen=True, slots=True, order=True)
class Sign:
    """One sign. `where` names the files that show it, relative to the target; it does not count for equality."""

    kind: Kind
    name: str
    where: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Signs:
    """Everything read from one target.

    `torch` is the version the signs belong to. `packages` are the top-level packages that were read.
    `has_cuda`: whether the target holds CUDA libraries of torch. `has_torch`: whether it holds torch at all.
    `ops` are the overloads the target declares (`aten.mm.default`, `torchvision.nms`).
    `kernels` are all CUDA kernels, `mps` all ops that native_functions.yaml gives a kernel for MPS; most of them are
    no sign, and which are is what rules/*.signs.toml knows.
    """

    source: str
    torch: Version
    has_torch: bool
    has_cuda: bool
    packages: Mapping[str, str]
    found: tuple[Sign, ...]
    ops: frozenset[str]
    kernels: frozenset[str]
    mps: frozenset[str]

    def names(self, kind: Kind) -> frozenset[str]:
        """The names of all signs of one kind."""
        return frozenset(sign.name for sign in self.found if sign.kind == kind)


def merge(signs: Iterable[Sign]) -> tuple[Sign, ...]:
    """One sign per kind and name, with all places it was seen in."""
    places: dict[tuple[Kind, str], list[str]] = {}
    for sign in signs:
        places.setdefault((sign.kind, sign.name), []).extend(sign.where)
    return tuple(sorted(Sign(*key, tuple(sorted(set(where)))) for key, where in places.items()))
