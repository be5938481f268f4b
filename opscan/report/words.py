"""The words all renderings share."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from opscan.blame import shown_path
from opscan.distributed.ranks import rank_words
from opscan.environment import Environment, Strictness
from opscan.finding import Finding, Line, Place, Replay, Run, ScanCost, disagrees
from opscan.report.acceptance import accepted_among, known_findings, waived_lines
from opscan.report.paths import short_paths
from opscan.report.report import Report, varies_in

DEFAULT_MODE = {
    "nondeterministic": "differs from run to run",
    "deterministic": "repeats",
    "setting": "repeats or not, by a setting",
    "seeded": "repeats when seeded",
    "uninitialized": "reads memory nothing wrote",
}
STRICT_MODE = {
    "raises": "raises RuntimeError",
    "deterministic": "repeats: another kernel runs",
    "nondeterministic": "still differs, and nothing is said",
    "setting": "by a setting",
    "seeded": "the same",
    "filled": "the memory is filled first",
}
WARN_ONLY = {
    "nondeterministic": "still differs; at most it warns",
    "deterministic": "repeats",
    "setting": "by a setting",
    "seeded": "the same",
    "filled": "the memory is filled first",
    "uninitialized": "warns, and reads memory nothing wrote",
}
STRICTNESS: dict[Strictness, str] = {
    True: ", strict mode",
    False: ", default mode",
    "warn_only": ", strict mode with warn_only",
    None: "",
}
SAME_VALUES = {
    "bitwise": "same values, bit for bit",
    "rounding": "same values, up to rounding",
    "different": "other values",
}
SUMMARY = {
    "harmless": "whose bits cannot vary, though strict mode may run another kernel",
    "config": "repeatable or not by a setting",
    "random": "drawing random numbers: repeatable when seeded",
    "uninitialized": "reading memory nothing wrote",
    "unknown": "that no rule speaks for: not known to repeat",
    "known": "that the baseline has: they fail nothing",
}
VARYING = ("raises", "switches", "silent")
ALWAYS_SHOWN = (*VARYING, "uninitialized")


def describe_environment(environment: Environment) -> str:
    """The environment in a few words: `cuda, torch 2.13.0, bf16 autocast, strict mode`."""
    amp = f", {environment.amp} autocast" if environment.amp else ""
    return f"{environment.device}, torch {environment.torch}{amp}{STRICTNESS[environment.strict]}"


def mode_lines(finding: Finding, environment: Environment) -> list[tuple[str, str]]:
    """What each mode does here, each with its label, and on which ranks if not on all.

    warn_only is there where it is asked for, or is a trap.
    """
    lines = [("ranks", rank_words(finding.ranks))] if finding.ranks is not None else []
    lines += [("default", default_words(finding)), ("strict", STRICT_MODE[finding.strict])]
    trap = finding.strict == "deterministic" and finding.warn_only != "deterministic"
    if trap or environment.strict == "warn_only":
        lines.append(("warn_only", WARN_ONLY[finding.warn_only]))
    if finding.alert:
        lines.append(("alert", alert_text(finding)))
    if finding.observed is not None:
        lines.append(("observed", _observed_words(finding)))
    if finding.newer_torch is not None:
        since, default, _ = finding.newer_torch
        lines.append(("newer", f"from torch {since} it repeats" + " in strict mode" * (default == "nondeterministic")))
    return lines


def _observed_words(finding: Finding) -> str:
    """What the device was seen to do, and whether the rules said so."""
    words = "raised RuntimeError" if finding.observed == "raises" else "did not raise"
    if finding.replay is not None:
        words += f"; {replay_words(finding.replay)}"
    if finding.predicted is None:
        words += ": no rule predicts it"
    elif disagrees(finding):
        words += f": not as predicted ({finding.predicted})"
    return words


def replay_words(replay: Replay) -> str:
    """`differed in 19 of 20 runs (20 results, at most 3 ulps apart, seen by run 2)`."""
    if not replay.differing:
        return f"the same bits in {replay.runs} runs"
    apart = f"at most {replay.max_ulps} ulps apart, " if replay.max_ulps is not None else ""
    return (
        f"differed in {replay.differing} of {replay.runs - 1} replays ({replay.distinct} results, {apart}"
        f"first in run {replay.first_at})"
    )


def run_words(run: Run, findings: Iterable[Finding]) -> str:
    """What was run, what it cost beside a plain step, and how much of it was not predicted."""
    if run.failure is not None:
        return f"on {run.device}: {run.failure}"
    words = f"{run.ops} ops in strict mode on {run.device}"
    if run.replays > 1:
        words += f", then in default mode, each {run.replays} times"
    if run.cost is not None and run.plain is not None:
        words += f"; {run.cost.seconds:.2f} s, a plain step {run.plain.seconds:.2f} s"
        if run.cost.memory is not None and run.plain.memory is not None:
            words += f"; {run.cost.memory >> 20} MiB, a plain step {run.plain.memory >> 20} MiB"
    surprises = sum(disagrees(finding) for finding in findings)
    return (
        f"{words}; {surprises} {'finding' if surprises == 1 else 'findings'} not as predicted" if surprises else words
    )


def cost_words(cost: ScanCost) -> str:
    """`1,234,567 parameters (4.7 MiB), 0.31 s, at most 612 MiB of memory`."""
    words = [f"{cost.seconds:.2f} s"]
    if cost.parameters is not None and cost.parameter_bytes is not None:
        words.insert(0, f"{cost.parameters:,} parameters ({bytes_words(cost.parameter_bytes)})")
    if cost.peak_bytes is not None:
        words.append(f"at most {bytes_words(cost.peak_bytes)} of memory")
    return ", ".join(words)


def bytes_words(count: int) -> str:
    """Bytes in the largest unit that leaves at least one: `4.7 MiB`."""
    size, units = float(count), ["bytes", "KiB", "MiB", "GiB", "TiB"]
    while size >= 1024 and len(units) > 1:
        size, units = size / 1024, units[1:]
    return f"{size:.0f} {units[0]}" if units[0] == "bytes" or size >= 100 else f"{size:.1f} {units[0]}"


def default_words(finding: Finding) -> str:
    """What default mode does, and why that does not matter, or is not known to, where it does not."""
    if finding.default != "nondeterministic" or finding.bits == "vary":
        return DEFAULT_MODE[finding.default]
    known = "repeats: the bits cannot vary" if finding.bits == "cannot vary" else "not known to repeat"
    return f"{known}. {finding.bits_why}"


def alert_text(finding: Finding) -> str:
    """What PyTorch's RuntimeError says first."""
    return f"RuntimeError: {finding.alert} does not have a deterministic implementation"


def place_words(places: Iterable[Place]) -> list[tuple[str, str]]:
    """Modules and lines, those with the same lines together: `conv1`, `built cnn.py:18, called cnn.py:36`."""
    modules: dict[str, dict[str, None]] = {}
    for place in places:
        modules.setdefault(_lines(place), {})[place.module or "(the model itself)"] = None
    return [(name, lines) for lines, paths in modules.items() for name in short_paths(paths)]


def _lines(place: Place) -> str:
    words = [
        f"{word} {short_line(line)}"
        for word, line in (("built", place.constructed), ("called", place.called))
        if line is not None
    ]
    if place.count > 1:
        words.append(f"{place.count} times")
    if place.for_inputs:
        words.append("only if the input needs a gradient")
    return ", ".join(words)


def short_line(line: Line) -> str:
    """file:line, the file as `short_path` shows it."""
    return f"{short_path(line.file)}:{line.line}"


def short_path(file: str) -> str:
    """A file relative to the current directory when it lies below it, else its last two names."""
    parts = Path(shown_path(file)).parts
    return "/".join(("...", *parts[-2:]) if parts[0] == "/" and len(parts) > 3 else parts)


def summaries(report: Report, shown: Iterable[str]) -> list[str]:
    """One line for each kind of finding that is not listed, saying what it is; `harmless` is a kind of its own."""
    lines = waived_lines(report)
    if known := known_findings(report):
        lines.append(_summary("known", _counted(known), [_packet(finding.op) for finding in known]))
    harmless = [finding for finding in report.findings if finding.harmless and not finding.accepted]
    if harmless and "harmless" not in shown:
        lines.append(_summary("harmless", _counted(harmless), [_packet(finding.op) for finding in harmless]))
    for verdict in report.counts():
        if verdict not in shown:
            left = [finding for finding in report.findings if finding.verdict == verdict and not finding.waived]
            count = sum(report.unknown.values()) if verdict == "unknown" else _counted(left)
            if count:
                lines.append(_summary(verdict, count, [_packet(each.op) for each in left] or list(report.unknown)))
    return lines


def _summary(kind: str, count: int, ops: Iterable[str]) -> str:
    different = sorted(set(ops))
    names = ", ".join(different[:4]) + (", ..." if len(different) > 4 else "")
    return f"{kind}: {count} {'op' if count == 1 else 'ops'} {SUMMARY[kind]} ({names})"


def _packet(op: str) -> str:
    return op.split(".")[1] if op.startswith("aten.") else op.rpartition(".")[2]


def is_listed(finding: Finding, shown: Iterable[str]) -> bool:
    """Whether a finding is listed with all there is to say, or only summed up, as what is accepted."""
    if finding.accepted:
        return False
    return "harmless" in shown if finding.harmless else finding.verdict in shown


def _counted(findings: Iterable[Finding]) -> int:
    return sum(finding.count for finding in findings)


def verdict_line(report: Report) -> str:
    """The report in one or two sentences."""
    total = f"{report.forward_ops + report.backward_ops} ops"
    split = f"({report.forward_ops} forward, {report.backward_ops} backward)"
    listed = [finding for finding in report.findings if finding.verdict in VARYING]
    unwritten = _counted(finding for finding in report.findings if finding.verdict == "uninitialized")
    varying = [finding for finding in listed if finding.bits != "cannot vary"]
    stopped = _counted(finding for finding in listed if finding.verdict == "raises" and finding.bits == "cannot vary")
    if not varying:
        text = f"Nothing {'else ' * bool(unwritten)}nondeterministic in {total} {split}."
    else:
        found = {verdict: _counted(each for each in varying if each.verdict == verdict) for verdict in VARYING}
        each = ", ".join(f"{count} {verdict}" for verdict, count in found.items() if count)
        text = f"{_counted(varying)} of {total} {split} nondeterministic: {each}."
        if not any(varies_in(finding, report.environment.strict) for finding in report.findings):
            text += " In strict mode all of them repeat."
        text += accepted_among(varying)
    if stopped:
        text += f" Strict mode raises at {stopped}{' more' * bool(varying)} whose bits cannot vary."
    if unwritten:
        text = f"{unwritten} uninitialized: memory that nothing wrote is read. {text}"
    return text
