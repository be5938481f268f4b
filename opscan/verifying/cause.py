"""The first difference, in words: what differs, where, and what it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from opscan.verifying.compare import Compared, Parting
from opscan.verifying.kernels import rule_lines
from opscan.verifying.origin import origin_lines, origins_of
from opscan.verifying.stream import Record
from opscan.verifying.words import few, file_line, place_words


@dataclass(frozen=True, slots=True)
class Cause:
    """Where runs part. `kind` is one of KINDS; `what` is a sentence; `lines` are labels and words; `advice` is a step.

    `step` is the training step, counted from 0; `explained` is whether the record itself says what it comes from.
    """

    kind: str
    step: int
    what: str
    lines: tuple[tuple[str, str], ...] = ()
    advice: str = ""
    explained: bool = True
    key: str = ""

    def with_line(self, label: str, words: str, advice: str = "") -> Cause:
        """The same with one line more."""
        return replace(self, lines=(*self.lines, (label, words)), advice=advice or self.advice)


KINDS = {
    "weights": "initial weights",
    "data": "data",
    "random": "random numbers",
    "op": "an op",
    "memory": "memory",
    "control flow": "control flow",
    "value": "a logged value",
    "step": "a training step",
    "resume": "the checkpoint",
    "replicas": "replicas",
}


def explain(compared: Compared) -> Cause | None:
    """The cause of the first parting; None where the runs agree."""
    first = compared.first
    if first is None:
        return None
    return _EXPLAIN[first.kind](first, compared)


# -- one for each kind of outcome


def _weights(first: Parting, compared: Compared) -> Cause:
    a, b = first.a, first.b
    if a is None or b is None:
        return Cause("weights", 0, "One run has an optimizer that the other has not.", explained=False)
    if a["names"] != b["names"] or a["shapes"] != b["shapes"]:
        counts = f"{len(a['names'])} in one run, {len(b['names'])} in the other"
        what = "The models are not the same: their parameters differ."
        return Cause("weights", 0, what, (("parameters", counts),), explained=False)
    differing = [at for at, pair in enumerate(zip(a["p"], b["p"], strict=True)) if pair[0] != pair[1]]
    names = [a["names"][at] for at in differing]
    built = list(dict.fromkeys(place_words(a["built"][at]) for at in differing if any(a["built"][at])))
    lines = [("parameters", f"{len(names)} of {len(a['names'])}: {few(names)}")]
    if built:
        lines.append(("built", few(built)))
    what = "Before step 0 the initial weights differ."
    origins = origins_of(first, compared)
    lines_built = [at for number in differing for at in a["built"][number] if at]
    fitting = [each for each in origins if each.kind == "seed" or set(each.any["at"]) & set(lines_built)]
    for origin in (fitting or origins)[:1]:
        more, advice = origin_lines(origin, compared)
        late = any(words.startswith("only after") for label, words in more if label == "seeded")
        if late:
            what = "Before step 0 the initial weights differ: seeded after the model was built."
        return Cause("weights", 0, what, (*lines, *more), advice)
    unwritten = {at: place for at, place in a.get("unwritten", {}).items() if int(at) in differing}
    if unwritten:
        places = few([file_line(each) for each in dict.fromkeys(unwritten.values())])
        lines.append(("memory", f"allocated at {places}, and nothing wrote to it since"))
        what = "Before step 0 the initial weights differ: they are memory that nothing wrote."
        return Cause("memory", 0, what, tuple(lines), "Initialise them, as with nn.init or a reset_parameters() call.")
    return Cause("weights", 0, what, tuple(lines), explained=False)


def _loader(first: Parting, compared: Compared) -> Cause:
    a, b = first.a, first.b
    if a is None or b is None:
        what = "One run goes through a DataLoader that the other does not."
        return Cause("data", first.step, what, (("loader", place_words(first.any["at"])),), explained=False)
    names = {
        "workers": "num_workers",
        "batch": "batch_size",
        "sampler": "sampler",
        "dataset": "dataset",
        "size": "size",
    }
    differing = [
        f"{word} {a[key]} in one run, {b[key]} in the other" for key, word in names.items() if a[key] != b[key]
    ]
    lines = [("loader", place_words(a["at"])), ("differs", "; ".join(differing))]
    advice = ""
    if a["workers"] != b["workers"]:
        advice = "Fix num_workers: each worker draws from a seed of its own, so augmentation depends on their number."
    return Cause("data", first.step, "The data loaders are not set alike.", tuple(lines), advice)


def _index(first: Parting, compared: Compared) -> Cause:
    record = first.any
    what = f"In step {first.step} the order of the data differs: the sampler gave other indices."
    lines = [("indices", f"{(first.a or {}).get('few', 'none')} and {(first.b or {}).get('few', 'none')}")]
    loader = _loader_words(record["l"], compared)
    lines += [("loader", loader)] if loader else []
    for origin in origins_of(first, compared)[:1]:
        more, advice = origin_lines(origin, compared)
        return Cause("data", first.step, what, (*lines, *more), advice)
    return Cause("data", first.step, what, tuple(lines), explained=False)


def _loader_words(number: int, compared: Compared) -> str:
    found = compared.loaders.get(number)
    return f"{place_words(found['at'])}: {found['sampler']}, {found['workers']} workers" if found else ""


def _batch(first: Parting, compared: Compared) -> Cause:
    record, step = first.any, first.step
    if first.a is None or first.b is None:
        what = f"In step {step} one run draws a batch more than the other."
        return Cause("data", step, what, (("loader", place_words(record["at"])),), explained=False)
    parts = [a[0] for a, b in zip(first.a["d"], first.b["d"], strict=False) if a != b]
    what = f"In step {step} a batch differs, though the sampler gave the same indices."
    lines = [("batch", f"drawn at {place_words(record['at'])}" + (f", in {few(parts)}" if any(parts) else ""))]
    origins = origins_of(first, compared)
    if record["workers"]:  # of what the main process draws, only torch's generator reaches workers: as their seeds
        origins = [each for each in origins if each.any["g"] == "torch"] or _in_workers(compared)
        workers = dict.fromkeys(each.any["w"].removeprefix("worker ") for each in origins if each.any.get("w"))
        lines += [("workers", few(list(workers)))] if workers else []
    for origin in origins[:1]:
        more, advice = origin_lines(origin, compared)
        return Cause("data", step, what, (*lines, *more), advice)
    lines.append(("drawn", "nothing that differs: the values come from outside of all generators"))
    return Cause("data", step, what, tuple(lines), explained=False)


def _in_workers(compared: Compared) -> list[Parting]:
    found = [each for each in compared.partings if str(each.any.get("w", "")).startswith("worker")]
    return sorted((each for each in found if each.kind == "draw"), key=lambda each: each.at)


def _ways(first: Parting, compared: Compared) -> Cause:
    words = [_op_words(each) if each else "nothing more" for each in (first.a, first.b)]
    what = f"In step {first.step} the runs take different ways: their sequences of ops part."
    lines = [("one run", words[0]), ("the other", words[1])]
    for origin in origins_of(first, compared)[:1]:
        more, advice = origin_lines(origin, compared)
        return Cause("control flow", first.step, what, (*lines, *more), advice)
    advice = "See what decides there: a condition on a value, the time, a length, or the order of a set."
    return Cause("control flow", first.step, what, tuple(lines), advice, explained=False)


def _op(first: Parting, compared: Compared) -> Cause:
    a, b = first.a, first.b
    if a is None or b is None or a["site"][:2] != b["site"][:2]:
        return _ways(first, compared)
    name, module, own, library, phase, foreign, device = a["site"]
    lines = [("op", f"{name}, in {phase}" if phase else name)]
    lines += [("module", module)] if module else []
    lines.append(("called", place_words((own, library))))
    if a["in"] != b["in"]:
        return _op_inputs(first, compared, lines, foreign.split("|"))
    origins = [each for each in origins_of(first, compared) if each.kind == "seed" or each.any["op"] == name]
    if origins:
        more, advice = origin_lines(origins[-1], compared)
        what = f"In step {first.step} the random numbers differ that {name} draws."
        return Cause("random", first.step, what, (*lines, *more), advice)
    lines.append(("inputs", "bit-equal in both runs; the outputs are not: it is this op itself"))
    more, advice = rule_lines(name, device)
    return Cause("op", first.step, f"In step {first.step} an op gives other bits for the same inputs.",
                 (*lines, *more), advice, key=f"{name} {module}")  # fmt: skip


def _op_words(record: Record) -> str:
    name, module, own, library = record["site"][:4]
    return f"{name} at {place_words((own, library))}" + (f", in {module}" if module else "")


def _op_inputs(first: Parting, compared: Compared, lines: list[tuple[str, str]], foreign: Sequence[str]) -> Cause:
    """An op whose inputs differ though everything before it agreed: something other than an op wrote them."""
    assert first.a is not None
    assert first.b is not None
    pairs = zip(first.a["in"], first.b["in"], strict=False)
    at = next((each for each, pair in enumerate(pairs) if pair[0] != pair[1]), 0)
    word = foreign[at] if at < len(foreign) else ""
    step = first.step
    if word.startswith("unwritten "):
        lines.append(
            ("memory", f"allocated at {file_line(word.removeprefix('unwritten '))}, not wholly written before")
        )
        what = f"In step {step} an op reads memory that nothing wrote."
        return Cause("memory", step, what, tuple(lines), "Use torch.zeros, or write all of it before it is read.")
    origins = [
        each for each in origins_of(first, compared) if each.kind == "seed" or not each.any["g"].startswith("torch")
    ]
    if origins:
        more, advice = origin_lines(origins[0], compared)
        what = f"In step {step} numbers that come from outside torch differ."
        return Cause("random", step, what, (*lines, *more), advice)
    name = f"the parameter or buffer {word}" if word else f"input {at + 1} of those that no op made"
    lines.append(("input", f"{name} has other values already, and no op wrote them"))
    what = f"In step {step} an op is given values that something outside of torch's ops wrote."
    advice = "See who writes to that memory: numpy, another thread or process, or data made without torch."
    return Cause("memory", step, what, tuple(lines), advice, explained=False)


def _value(first: Parting, compared: Compared) -> Cause:
    record = first.any
    values = [str(each["v"]) if each else "none" for each in (first.a, first.b)]
    lines = [("value", f"{record['name']}: {values[0]} and {values[1]}")]
    if any(record["at"]):
        lines.append(("told", place_words(record["at"])))
    what = f"In step {first.step} the value {record['name']} differs."
    for origin in origins_of(first, compared)[:1]:
        more, advice = origin_lines(origin, compared)
        return Cause("random", first.step, what, (*lines, *more), advice)
    return Cause("value", first.step, what, tuple(lines), explained=False)


def _step(first: Parting, compared: Compared) -> Cause:
    a, b = first.a, first.b
    if a is None or b is None:
        what = f"One run ends after {first.step} steps, the other goes on."
        return Cause("control flow", first.step, what, explained=False)
    names = compared.names.get(a.get("o", 0), [])
    parts = []
    for key, word in (("p", "parameters"), ("g", "gradients")):
        differing = [
            at for at, pair in enumerate(zip(a.get(key, ()), b.get(key, ()), strict=False)) if pair[0] != pair[1]
        ]
        if differing:
            told = few([names[at] if at < len(names) else str(at) for at in differing])
            parts.append((word, f"{len(differing)} of {len(a[key])}: {told}"))
    if not parts:
        parts = [("optimizer", "what it keeps beside the parameters differs")]
    what = f"After step {first.step} the parameters differ."
    for origin in origins_of(first, compared)[:1]:
        more, advice = origin_lines(origin, compared)
        return Cause("random", first.step, what, (*parts, *more), advice)
    return Cause("step", first.step, what, tuple(parts), explained=False)


def _draw(first: Parting, compared: Compared) -> Cause:
    lines, advice = origin_lines(first, compared)
    return Cause("random", first.step, "The random numbers differ.", tuple(lines), advice)


_EXPLAIN = {
    "weights": _weights,
    "loader": _loader,
    "index": _index,
    "batch": _batch,
    "op": _op,
    "value": _value,
    "step": _step,
    "draw": _draw,
}
