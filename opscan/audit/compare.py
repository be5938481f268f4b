"""Compare the signs of a build with the rows and the claims: what no row speaks for, and what is no longer there."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property

from packaging.version import Version

from opscan.audit.claims import Claim
from opscan.audit.signs import KINDS, KNOWN_BY_CLAIM, TORCH_NAMESPACES, Kind, Sign, Signs
from opscan.formats.json import json_text
from opscan.rules.load import Ruleset
from opscan.rules.schema import DEVICES, Device, History, Rule


@dataclass(frozen=True, slots=True)
class Gap:
    """Something the rules and the build disagree on. `subject` is what it is about, `hint` the next step."""

    subject: str
    what: str
    hint: str
    where: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unchecked:
    """Something this target cannot answer, and why."""

    subject: str
    why: str


@dataclass(frozen=True, slots=True)
class Audit:
    """What an audit found. `covered` counts, per kind of sign, those that a row or a claim speaks for."""

    source: str
    torch: str
    packages: Mapping[str, str]
    covered: Mapping[Kind, int]
    rows: int
    claims: int
    uncovered: tuple[Gap, ...]
    dangling: tuple[Gap, ...]
    unchecked: tuple[Unchecked, ...]

    @property
    def clean(self) -> bool:
        """Whether every sign is spoken for and nothing dangles; what could not be checked is counted beside it."""
        return not self.uncovered and not self.dangling

    def to_json(self) -> str:
        """The whole outcome as a JSON document (schema 1)."""
        return json_text({"schema": 1, "clean": self.clean, **asdict(self)})

    def to_text(self, width: int = 80) -> str:
        """What a terminal shows, at most `width` columns wide."""
        from opscan.audit.text import render_text

        return render_text(self, width)


def audit(signs: Signs, ruleset: Ruleset, claims: Iterable[Claim]) -> Audit:
    """Compare. Pure: nothing is read, nothing of torch is touched."""
    comparison = _Comparison(signs, ruleset, tuple(claims))
    uncovered = tuple(comparison.uncovered())
    found = [*comparison.rows_without_op(), *comparison.alerts_not_there(), *comparison.claims_not_there()]
    open_signs = {gap.subject for gap in uncovered}
    return Audit(
        source=signs.source,
        torch=str(signs.torch),
        packages=dict(signs.packages),
        covered=dict(
            Counter(sign.kind for sign in comparison.signs if _subject(sign.kind, sign.name) not in open_signs)
        ),
        rows=len(ruleset.rules),
        claims=sum(len(claim.names) for claim in comparison.claims),
        uncovered=uncovered,
        dangling=tuple(each for each in found if isinstance(each, Gap)),
        unchecked=tuple(each for each in found if isinstance(each, Unchecked)),
    )


def entries_for(rule: Rule, version: Version, device: Device) -> Iterator[History]:
    """The history entries that can decide for a version and a device: none below one that always fits."""
    for entry in rule.history:
        if device in entry.devices and entry.torch.contains(version, prereleases=True):
            yield entry
            if not entry.via and not entry.when:
                return


@dataclass(frozen=True)
class _Comparison:
    target: Signs
    ruleset: Ruleset
    claims: tuple[Claim, ...]

    # What the target shows

    @cached_property
    def signs(self) -> tuple[Sign, ...]:
        """All signs, those among them that a claim makes one."""
        known = {(claim.kind, name) for claim in self.claims_here for name in claim.names}
        known |= {("kernel", name) for name in self.target.kernels if "atomic" in name.lower()}
        chosen = {Sign(kind, name) for kind, name in known if kind in KNOWN_BY_CLAIM and name in self.shown[kind]}
        return (*self.target.found, *sorted(chosen))

    @cached_property
    def claims_here(self) -> tuple[Claim, ...]:
        """The claims that speak for this version of torch."""
        return tuple(claim for claim in self.claims if claim.covers(self.target.torch))

    @cached_property
    def shown(self) -> Mapping[Kind, frozenset[str]]:
        found = {kind: self.target.names(kind) for kind in KINDS}
        return found | {"kernel": self.target.kernels, "mps": self.target.mps, "op": self.ops}

    @cached_property
    def ops(self) -> frozenset[str]:
        """Overloads and overload packets."""
        return self.target.ops | {".".join(op.split(".")[:2]) for op in self.target.ops}

    @cached_property
    def modules(self) -> frozenset[str]:
        """What declares ops and calls: the namespace `aten`, the module `torch.nn.functional` and those above it."""
        direct = {op.rpartition(".")[0] for op in self.target.ops}
        return frozenset(".".join(each.split(".")[:end]) for each in direct for end in range(1, each.count(".") + 2))

    def entries(self, rule: Rule) -> Iterator[tuple[Device, History]]:
        for device in DEVICES:
            for entry in entries_for(rule, self.target.torch, device):
                yield device, entry

    # Uncovered

    def uncovered(self) -> Iterator[Gap]:
        """Signs that neither a row nor a claim speaks for."""
        claimed = {(claim.kind, name) for claim in self.claims_here for name in claim.names}
        alerts = {entry.alert for rule in self.ruleset.rules for _, entry in self.entries(rule)}
        for sign in self.signs:
            spoken_for = (
                (sign.kind, sign.name) in claimed
                or (sign.kind == "alert" and sign.name in alerts)
                or (sign.kind == "tag" and self.has_verdict(sign.name))
            )
            if not spoken_for:
                yield Gap(_subject(sign.kind, sign.name), "no row speaks for it", _hint(sign), sign.where)

    def has_verdict(self, op: str) -> bool:
        return any(entry.verdict for rule in self.ruleset.for_op(op) for _, entry in self.entries(rule))

    # Dangling

    def rows_without_op(self) -> Iterator[Gap | Unchecked]:
        """Rows that apply to this torch, none of whose ops or calls is declared."""
        for rule in self.ruleset.rules:
            if not any(entry.verdict for _, entry in self.entries(rule)):
                continue
            answers = [*map(self.is_declared, rule.ops), *map(self.is_defined, rule.calls)]
            if True in answers:
                continue
            names = ", ".join((*rule.ops, *rule.calls))
            if None in answers:
                why = "nothing in this target declares ops of that namespace"
                yield Unchecked(f"{rule.id}: {names}", why if rule.ops else "functions of packages are not listed")
            else:
                yield Gap(
                    f"{rule.id}: {names}",
                    f"torch {self.target.torch} declares none of them",
                    "Narrow the `torch` ranges of the row's history, or name the op that took its place.",
                    (rule.source,),
                )

    def is_declared(self, op: str) -> bool | None:
        """Whether an op exists; None when this target declares none of its namespace."""
        if op in self.ops or op.removesuffix(".default") in self.ops:
            return True
        return False if op.split(".")[0] in self.modules else None

    def is_defined(self, call: str) -> bool | None:
        """Whether a public call exists; None when what its module defines was not read."""
        module, _, last = call.rpartition(".")
        if call in self.ops or (call.startswith("torch.") and f"aten.{last}" in self.ops):
            return True
        return False if module in self.modules else None

    def alerts_not_there(self) -> Iterator[Gap | Unchecked]:
        """Alerts that a row names for this torch and that no call in the binaries prints."""
        for rule in self.ruleset.rules:
            devices: dict[str, set[Device]] = {}
            for device, entry in self.entries(rule):
                if entry.alert is not None and entry.alert not in self.shown["alert"]:
                    devices.setdefault(entry.alert, set()).add(device)
            for alert, where in devices.items():
                subject = f"{rule.id}: alert {alert!r}"
                package = self.package_of(rule)
                if (why := self.cannot_show(where, package)) is not None:
                    yield Unchecked(subject, why)
                else:
                    yield Gap(
                        subject,
                        "no call in these binaries prints it",
                        "Narrow the `torch` range of the history entry, or correct its `alert`.",
                        (rule.source,),
                    )

    def package_of(self, rule: Rule) -> str:
        """The package whose libraries hold a row's ops: torch, or the one named as their namespace."""
        spaces = {name.split(".")[0] for name in (*rule.ops, *rule.calls)}
        return "torch" if spaces & TORCH_NAMESPACES else min(spaces)

    def cannot_show(self, devices: Iterable[Device], package: str) -> str | None:
        """Why this target cannot show what lies in a package's libraries for some devices; None when it can."""
        if package not in self.target.packages and not (package == "torch" and self.target.has_torch):
            return f"{package} is not in this target"
        if set(devices) == {"mps"}:
            return "this build has no Metal libraries"
        if set(devices) <= {"cuda", "mps"} and package == "torch" and not self.target.has_cuda:
            return "this build has no CUDA libraries"
        return None

    def claims_not_there(self) -> Iterator[Gap | Unchecked]:
        """Claims whose sign is not in the target, and claims that name no row."""
        ids = {rule.id for rule in self.ruleset.rules}
        for claim in self.claims:
            for rule in claim.rules:
                if rule not in ids:
                    yield Gap(
                        f"{_subject(claim.kind, claim.names[0])} -> {rule}",
                        "there is no row with this id",
                        "Bring the row back, or name another row (or `cleared`) in the [[sign]].",
                        (claim.source,),
                    )
            if claim.expects(self.target.torch):
                for name in claim.names:
                    if name not in self.shown[claim.kind]:
                        yield self.not_there(claim, name)

    def not_there(self, claim: Claim, name: str) -> Gap | Unchecked:
        subject = _subject(claim.kind, name)
        if (why := self.cannot_show((claim.device,), claim.package)) is not None:
            return Unchecked(subject, why)
        return Gap(
            subject,
            f"torch {self.target.torch} does not show it",
            "Narrow the `torch` range of the [[sign]], and of the rows it stands for.",
            (claim.source,),
        )


def _subject(kind: Kind, name: str) -> str:
    return f"{kind} {name!r}"


def _hint(sign: Sign) -> str:
    claim = f'a [[sign]] with kind = "{sign.kind}", name = {json.dumps(sign.name)}'
    match sign.kind:
        case "alert":
            return f"Write a row whose history names this alert, or {claim} in rules/*.signs.toml."
        case "tag":
            return f"Name the op in a row, or write {claim} in rules/*.signs.toml."
    return f"Write {claim} and the rows it stands for (or `cleared`) in rules/*.signs.toml."
