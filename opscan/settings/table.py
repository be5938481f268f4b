"""The settings for a terminal: plain text, 80 columns unless there are more."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence

from tabulate import tabulate

from opscan.environment import NEWEST
from opscan.formats.text import printable_prose
from opscan.settings.outlook import STANDINGS, Outlook, Stand, lines_of
from opscan.settings.schema import Moment

_GAP = 2  # tabulate puts it between columns
_VALUE, _WISH, _MARK = 14, 22, len("needed if")
_MARKS = {"missing": "needed", "missing in some cases": "needed if"}

_HEADS = {
    "repeatability": "Decides whether two runs agree",
    "bits": "Decides which bits come out, not whether they repeat: keep it the same in every run",
    "neither": "Without influence on either",
}


def render_outlook(outlook: Outlook, width: int = 80, everything: bool = False) -> str:
    """The machine, the settings by what they change, and what is still to be written."""
    width = max(width, 60)
    parts = [_head(outlook, width)]
    for changes, head in _HEADS.items():
        stands = [each for each in outlook.stands if each.changes == changes and _shown(each, everything)]
        if stands:
            parts.append(f"{textwrap.fill(head, width)}\n{_table(stands, width)}")
    if everything:
        parts.append("\n".join(_reason(each, width) for each in outlook.stands))
    hidden = sum(not _shown(each, everything) and each.setting.kind != "unseen" for each in outlook.stands)
    if hidden:
        rest = f"{hidden} more are not set or have no influence here; --all lists them, with reasons and sources."
        parts.append(textwrap.fill(rest, width))
    parts.extend(part for part in (_unseen(outlook, width, everything), _cases(outlook, width)) if part)
    parts.append(_needed(outlook, width))
    return printable_prose("\n\n".join(parts))


def _head(outlook: Outlook, width: int) -> str:
    machine = outlook.machine
    libraries = (("CUDA", machine.cuda), ("HIP", machine.hip), ("cuDNN", machine.cudnn), ("NCCL", machine.nccl))
    built = ", ".join(f"{name} {version}" for name, version in libraries if version) or "no CUDA"
    facts = (
        ("for", f"{outlook.environment.device}, torch {outlook.environment.torch}"),
        ("here", f"torch {machine.torch} ({built}), Python {machine.python}"),
        ("on", machine.system),
        ("GPUs", ", ".join(machine.gpus) or "none found"),
    )
    lines = [_labelled(label, text, width) for label, text in facts]
    lines.extend(_labelled("note", note, width) for note in _notes(outlook))
    return "\n".join(lines)


def _notes(outlook: Outlook) -> Iterable[str]:
    if outlook.fresh:
        yield (
            "A process of its own: environment variables are this shell's, Python flags are torch's defaults. What "
            "your script sets is not seen; ask there, with opscan.env().to_text(), or here with --after MOD:FUNC."
        )
    if outlook.machine.torch.partition("+")[0] != str(outlook.environment.torch):
        yield "The values are those of the torch that is installed here, not of the one asked about."
    if outlook.environment.is_newer_than_the_rules:
        yield f"The rules end with torch {NEWEST}: what is newer is answered as that."
    if outlook.machine.cuda_initialised and any(each.setting.kind == "variable" for each in outlook.missing):
        yield "CUDA is already initialised in this process: a variable set now comes too late. Set it and start again."


def _shown(stand: Stand, everything: bool) -> bool:
    """Whether the table lists it: what strict training has a wish about, what is set, and every flag with influence."""
    if stand.setting.kind == "unseen":
        return False
    if everything or stand.entry.wants:
        return True
    is_set = stand.reading.seen and stand.reading.value is not None
    return is_set and (stand.changes != "neither" or stand.setting.kind == "variable")


def _table(stands: list[Stand], width: int) -> str:
    """One row for each setting, those that are missing first; what is wanted only where something is."""
    stands = sorted(stands, key=lambda stand: STANDINGS.index(stand.standing))
    if not any(each.entry.wants for each in stands):
        names = width - _VALUE - _GAP
        return _plain([(broken(each.setting.name, names), broken(each.shown_value, _VALUE)) for each in stands], 2)
    names = width - _VALUE - _WISH - _MARK - 3 * _GAP
    rows = [
        (
            broken(each.setting.name, names),
            broken(each.shown_value, _VALUE),
            broken(each.shown_wish, _WISH),
            _MARKS.get(each.standing, ""),
        )
        for each in stands
    ]
    return _plain(rows, 4)


def _plain(rows: Sequence[tuple[str, ...]], columns: int) -> str:
    headers = ("setting", "now", "strict training wants", "")[:columns]
    table = tabulate(rows, headers=headers, tablefmt="simple", disable_numparse=True)
    return "\n".join(line.rstrip() for line in table.splitlines())


def broken(name: str, width: int) -> str:
    """A dotted name over as many lines as it needs, broken after dots, underscores, commas and spaces if possible."""
    lines = [""]
    for piece in re.findall(r"[^._, ]*[._, ]?", name):
        while len(piece.rstrip()) > width:
            lines.append(piece[:width])
            piece = piece[width:]
        if lines[-1] and len(lines[-1]) + len(piece.rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    return "\n".join(line.rstrip() for line in lines if line)


def _needed(outlook: Outlook, width: int) -> str:
    missing = outlook.missing
    if not missing:
        return "Nothing is missing for strict training."
    reasons = (
        textwrap.fill(f"{each.setting.name}: {each.entry.why}", width, initial_indent="  ", subsequent_indent="    ")
        for each in missing
    )
    return "\n".join(("Still needed for strict training", *_moments(lines_of(missing)), "", *reasons))


def _cases(outlook: Outlook, width: int) -> str:
    """What is needed only if something holds, one block for each condition."""
    groups: dict[str, list[Stand]] = {}
    for each in outlook.missing_in_some_cases:
        groups.setdefault(each.entry.only_if, []).append(each)
    parts = ["Needed only in some cases (they do not count as missing)"] if groups else []
    for only_if, stands in groups.items():
        parts.append(textwrap.fill(f"if {only_if}", width, initial_indent="  ", subsequent_indent="    "))
        parts.extend("  " + line for line in _moments(lines_of(stands)))
    return "\n".join(parts)


def _moments(lines: Mapping[Moment, tuple[str, ...]]) -> Iterable[str]:
    for moment, code in lines.items():
        yield f"  {moment}:"
        yield from (f"    {line}" for line in code)


def _unseen(outlook: Outlook, width: int, everything: bool) -> str:
    parts = ["What no process shows: look in your code"]
    for each in outlook.stands:
        if each.setting.kind == "unseen":
            text = f"{each.setting.name}: {each.setting.about}"
            parts.append(textwrap.fill(text, width, initial_indent="  ", subsequent_indent="    "))
            if everything:
                parts.extend(f"      {line}" for line in each.lines())
    return "\n".join(parts) if len(parts) > 1 else ""


def _reason(stand: Stand, width: int) -> str:
    text = f"{stand.setting.name}: {stand.setting.about} {stand.entry.why}"
    if stand.entry.only_if and stand.entry.wants:
        text += f" It matters only if {stand.entry.only_if}."
    evidence = "; ".join(f"{each.kind}: {each.ref}" for each in stand.setting.evidence)
    filled = textwrap.fill(text, width, subsequent_indent="  ")
    source = textwrap.fill(f"[{evidence}]", width, initial_indent="  ", subsequent_indent="  ")
    return f"{filled}\n{source}"


def _labelled(label: str, text: str, width: int) -> str:
    return textwrap.fill(text, width, initial_indent=f"{label:5} ", subsequent_indent=" " * 6, break_on_hyphens=False)
