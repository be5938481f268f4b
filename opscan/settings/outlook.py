"""Settings judged: the value of each beside what strict training wants, and what is still missing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Literal, get_args

from opscan.config import find_config
from opscan.environment import Environment, make_environment
from opscan.settings.load import load_settings
from opscan.settings.machine import Machine, look_at_machine
from opscan.settings.read import Reading, read_setting
from opscan.settings.schema import UNSET, Changes, Entry, Moment, Setting

Standing = Literal["missing", "missing in some cases", "right", "free", "not seen"]
"""`free`: any value will do. `not seen` is no answer: this process does not show it."""

STANDINGS: tuple[Standing, ...] = ("missing", "missing in some cases", "right", "not seen", "free")
"""What concerns the reader most comes first."""


@dataclass(frozen=True, slots=True)
class Stand:
    """One setting in one environment: `value` is text, None for a variable that is not set or what is not seen."""

    setting: Setting
    entry: Entry
    reading: Reading

    @property
    def standing(self) -> Standing:
        if not self.reading.seen:
            return "not seen"
        if not self.entry.wants:
            return "free"
        if self.entry.accepted(self.reading.value):
            return "right"
        return "missing in some cases" if self.entry.only_if else "missing"

    @property
    def changes(self) -> Changes:
        return self.entry.changes

    @property
    def shown_value(self) -> str:
        if not self.reading.seen:
            return "-"
        return UNSET if self.reading.value is None else self.reading.value or '""'

    @property
    def shown_wish(self) -> str:
        if self.setting.kind == "unseen":
            return ""
        return " or ".join(self.entry.wants) if self.entry.wants else "any"

    def lines(self) -> tuple[str, ...]:
        """What to write; a variable in Python and for the shell, unless Python is too late for it."""
        if self.entry.write:
            return tuple(self.entry.write.strip().splitlines())
        if not self.entry.wants:
            return ()
        name, value = self.setting.reads, self.entry.wants[0]
        if self.setting.kind == "python":
            return (f"{name} = {value}",)
        shell, code = _variable_lines(name, value)
        return (shell,) if self.entry.moment == "before Python starts" else (f"{shell}  # shell, or", code)


def _variable_lines(name: str, value: str) -> tuple[str, str]:
    if value == UNSET:
        return f"unset {name}", f'os.environ.pop("{name}", None)'
    return f"export {name}={value}", f'os.environ["{name}"] = "{value}"'


@dataclass(frozen=True, slots=True)
class Outlook:
    """What this machine and process are set to, and what strict training in `environment` still needs.

    `fresh` is True when the process is opscan's own: it has the shell's variables and torch's defaults, and knows
    nothing of what a training script sets.
    """

    environment: Environment
    machine: Machine
    stands: tuple[Stand, ...]
    fresh: bool = False

    @property
    def missing(self) -> tuple[Stand, ...]:
        """What strict training needs in any case, and does not have."""
        return self.of("missing")

    @property
    def missing_in_some_cases(self) -> tuple[Stand, ...]:
        """What it needs only if the model or the script does something certain; `entry.only_if` says what."""
        return self.of("missing in some cases")

    def of(self, standing: Standing) -> tuple[Stand, ...]:
        return tuple(each for each in self.stands if each.standing == standing)

    def lines(self) -> dict[Moment, tuple[str, ...]]:
        """What to write for all that is missing, by the moment it has to be done; each line once."""
        return lines_of(self.missing)

    def to_text(self, width: int = 80, *, everything: bool = False) -> str:
        """A table for `width` columns. `everything` adds what has no influence here, and why each setting matters."""
        from opscan.settings.table import render_outlook

        return render_outlook(self, width, everything)

    def to_json(self) -> str:
        """One document; `schema` is its version."""
        from opscan.settings.document import render_json

        return render_json(self)

    def __repr__(self) -> str:
        names = ", ".join(each.setting.name for each in self.missing) or "nothing"
        return f"<opscan settings: {self.environment.device}, torch {self.environment.torch}: missing {names}>"

    def _repr_html_(self) -> str:
        return f"<pre>{escape(self.to_text())}</pre>"


def lines_of(stands: Iterable[Stand]) -> dict[Moment, tuple[str, ...]]:
    """The lines of several settings by moment, in the order of the moments; each line once."""
    found: dict[Moment, dict[str, None]] = {moment: {} for moment in get_args(Moment)}
    for stand in stands:
        found[stand.entry.moment].update(dict.fromkeys(stand.lines()))
    return {moment: tuple(lines) for moment, lines in found.items() if lines}


def env(device: str = "auto", torch: str | None = None) -> Outlook:
    """What this process and machine are set to, and what strict training would still need.

    `device` is cuda (also "auto"), cpu or mps; `torch` the version asked about, None for the one installed: values
    are always this process's. Nothing is changed, and CUDA is not initialised. Settings of the project's own rule
    folders (`[tool.opscan]`) are read as well. Raises EnvironmentSpecError for a device or version that is not
    covered, RulesError for settings that are not valid.
    """
    return look(make_environment(device, torch))


def look(environment: Environment, *folders: Path, fresh: bool = False) -> Outlook:
    """Read every setting that concerns the environment, and judge it; `folders` hold further settings."""
    settings = load_settings(*find_config(Path.cwd()).folders, *folders)
    machine = look_at_machine()
    return Outlook(environment, machine, tuple(_stands(settings, environment, machine)), fresh)


def _stands(settings: Iterable[Setting], environment: Environment, machine: Machine) -> Iterator[Stand]:
    same_torch = machine.torch.partition("+")[0] == str(environment.torch)
    cuda = machine.cuda if same_torch else None
    for setting in settings:
        entry = next((each for each in setting.history if _fits(each, environment, cuda)), None)
        if entry is not None:
            yield Stand(setting, entry, read_setting(setting))


def _fits(entry: Entry, environment: Environment, cuda: str | None) -> bool:
    """Whether an entry speaks of this environment; a CUDA version that is not known is taken to be any."""
    return (
        environment.device in entry.devices
        and entry.torch.contains(environment.torch)
        and (entry.cuda is None or cuda is None or entry.cuda.contains(cuda))
    )
