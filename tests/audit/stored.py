"""Signs of the five builds the rules are audited against, as they were read once, in one small file.

Renew it, with the wheels of all five builds at hand, by

    python -m tests.audit.stored torch-1.13.1-*.whl torch-2.6.0-*.whl torch-2.11.0-*.whl torch-2.13.0+cpu-*.whl \\
        torch-2.15.0-*.whl

Places are left out. Each name is stored once, with the numbers of the builds that show it.
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
    """Numbers of the builds that agree -> the names they show, separated by tabs."""
    groups: dict[str, list[str]] = {}
    for name in sorted(frozenset().union(*sets)):
        groups.setdefault("".join(str(at) for at, each in enumerate(sets) if name in each), []).append(name)
    return {builds: "\t".join(names) for builds, names in groups.items()}


@cache
def stored_builds() -> tuple[Signs, ...]:
    """The builds of the file."""
    content = json.loads(FILE.read_text(encoding="utf-8"))

    def names(key: str, at: int) -> Iterable[str]:
        for builds, group in content[key].items():
            yield from group.split("\t") if str(at) in builds else ()

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


if __name__ == "__main__":
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text(pack([read_signs(Path(wheel)) for wheel in sys.argv[1:]]), encoding="utf-8")
