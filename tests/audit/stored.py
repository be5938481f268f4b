"""Signs of the 18 builds the rules are audited against, as they were read once, in one small file.

One build for CUDA of every minor release from 1.13 to 2.15, and one without CUDA. Renew it, with the wheels of all of
them at hand in one folder, by

    python -m tests.audit.stored FOLDER

Places are left out. Each name is stored once, with the builds that show it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from packaging.version import Version

from opscan.audit import Sign, Signs, read_signs
from opscan.audit.signs import KINDS, KNOWN_BY_CLAIM

FIELDS = ("ops", "kernels", "mps")
FOUND = tuple(kind for kind in KINDS if kind not in KNOWN_BY_CLAIM)
"""The other kinds are chosen from the fields by the claims."""

FILE = Path(__file__).with_name("data") / "signs.json"

LETTERS = "abcdefghijklmnopqrstuvwxyz"
"""A build is written as a letter: the first is a."""


def pack(builds: list[Signs]) -> str:
    """The builds as JSON, one line per build and per table."""
    heads = [
        {
            "source": build.source,
            "torch": str(build.torch),
            "has_torch": build.has_torch,
            "has_cuda": build.has_cuda,
            "packages": dict(build.packages),
        }
        for build in builds
    ]
    tables = {kind: _by_builds([build.names(kind) for build in builds]) for kind in FOUND}
    tables |= {field: _by_builds([getattr(build, field) for build in builds]) for field in FIELDS}
    lines = [f'"builds": [{", ".join(json.dumps(head) for head in heads)}]']
    lines += [f"{json.dumps(key)}: {json.dumps(table)}" for key, table in tables.items()]
    return "{" + ",\n ".join(lines) + "}\n"


def _by_builds(sets: list[frozenset[str]]) -> dict[str, str]:
    """Letters of the builds that agree -> the names they show, separated by tabs."""
    groups: dict[str, list[str]] = {}
    for name in sorted(frozenset().union(*sets)):
        groups.setdefault("".join(LETTERS[at] for at, each in enumerate(sets) if name in each), []).append(name)
    return {builds: "\t".join(names) for builds, names in groups.items()}


@cache
def stored_builds() -> tuple[Signs, ...]:
    """The builds of the file."""
    content = json.loads(FILE.read_text(encoding="utf-8"))

    def names(key: str, at: int) -> Iterable[str]:
        for builds, group in content[key].items():
            yield from group.split("\t") if LETTERS[at] in builds else ()

    return tuple(
        Signs(
            source=head["source"],
            torch=Version(head["torch"]),
            has_torch=head["has_torch"],
            has_cuda=head["has_cuda"],
            packages=head["packages"],
            found=tuple(Sign(kind, name) for kind in FOUND for name in sorted(names(kind, at))),
            ops=frozenset(names("ops", at)),
            kernels=frozenset(names("kernels", at)),
            mps=frozenset(names("mps", at)),
        )
        for at, head in enumerate(content["builds"])
    )


def in_order(builds: Iterable[Signs]) -> list[Signs]:
    """By version; of one version, the build without CUDA first."""
    return sorted(builds, key=lambda build: (build.torch, build.has_cuda))


if __name__ == "__main__":
    FILE.parent.mkdir(exist_ok=True)
    wheels = Path(sys.argv[1]).rglob("torch-*.whl")
    FILE.write_text(pack(in_order(read_signs(wheel) for wheel in wheels)), encoding="utf-8")
