"""Read `rules/*.signs.toml`: which rows stand for a sign, or why no row is needed. Strings and dicts end here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.specifiers import SpecifierSet
from packaging.version import Version

from opscan.audit.signs import KINDS, Kind
from opscan.rules.load import Table, builtin_rules_dir, only_rows, read_toml
from opscan.rules.schema import DEVICES, Device

SUFFIX = ".signs.toml"


@dataclass(frozen=True, slots=True)
class Claim:
    """One `[[sign]]`: signs of one kind, and the rows they stand for or the reason why none is needed.

    `torch` is the range in which the signs are there, `perhaps` a range that nobody has read: there the claim speaks
    for its signs where they are, and does not miss them where they are not. With neither, they are in every torch.
    `package` is the package that shows them, `device` the device whose libraries do: a CPU build cannot show what lies
    in the CUDA libraries. `source` is the file.
    """

    kind: Kind
    names: tuple[str, ...]
    torch: SpecifierSet | None
    perhaps: SpecifierSet | None
    package: str
    device: Device
    rules: tuple[str, ...]
    cleared: str
    source: str

    def expects(self, version: Version) -> bool:
        """Whether the signs are said to be in this version."""
        return self.torch is not None and self.torch.contains(version, prereleases=True)

    def covers(self, version: Version) -> bool:
        """Whether the claim speaks for its signs in this version."""
        return self.expects(version) or (self.perhaps is not None and self.perhaps.contains(version, prereleases=True))


def load_claims(*folders: Path) -> tuple[Claim, ...]:
    """The claims of every `*.signs.toml` in the folders, the shipped ones by default.

    Raises RulesError naming the file and the sign: unknown or missing keys, unreadable version ranges, neither rows
    nor a reason.
    """
    return tuple(
        claim
        for folder in folders or (builtin_rules_dir(),)
        for path in sorted(folder.glob(f"*{SUFFIX}"))
        for claim in read_claims(path)
    )


def read_claims(path: Path) -> Iterator[Claim]:
    """The claims of one file, in file order."""
    for row in only_rows(read_toml(path), path.name, "sign"):
        yield _read_claim(row, path.name)


def _read_claim(row: Table, source: str) -> Claim:
    kind = row.choice("kind", KINDS)
    name, names = row.text("name", required=False), row.texts("names")
    row.place = f"{source} {kind} {name or ', '.join(names[:1])}"
    claim = Claim(
        kind=kind,
        names=names or (name,),
        torch=row.specifier("torch") if "torch" in row else None if "perhaps" in row else SpecifierSet(),
        perhaps=row.specifier("perhaps") if "perhaps" in row else None,
        package=row.text("package", required=False) or "torch",
        device=row.choice("device", DEVICES) if "device" in row else _usual_device(kind),
        rules=row.texts("rules"),
        cleared=row.text("cleared", required=False),
        source=source,
    )
    row.done()
    if bool(name) == bool(names):
        raise row.error("has neither `name` nor `names`, or both", "Write one of them.")
    if bool(claim.rules) == bool(claim.cleared):
        raise row.error("has neither `rules` nor `cleared`, or both", "Name the rows, or say why none is needed.")
    return claim


def _usual_device(kind: Kind) -> Device:
    return "cuda" if kind in ("call", "kernel") else "cpu"
