"""What a difference comes from: the seed or the draw that differed before it, and what to do about that."""

from __future__ import annotations

from opscan.verifying.compare import Compared, Parting
from opscan.verifying.stream import Record
from opscan.verifying.words import generator_words, place_words


def origins_of(first: Parting, compared: Compared) -> list[Parting]:
    """Seeds and draws that differ before the first outcome does, and in the same step: the earliest first."""
    found = [
        each
        for each in compared.partings
        if each.kind in ("seed", "draw") and not each.any.get("w") and each.at <= first.at and each.step == first.step
    ]
    return sorted(found, key=lambda each: (_is_of_a_library(each), each.at))


def _is_of_a_library(parting: Parting) -> bool:
    """Whether a library draws from a generator of its own: for names and the like, more often than for data."""
    record = parting.any
    return parting.kind == "draw" and bool(record["at"][1]) and record["g"].startswith("own ")


def origin_lines(origin: Parting, compared: Compared) -> tuple[list[tuple[str, str]], str]:
    """Lines on a seed or a draw that differs, and what to do about it."""
    if origin.kind == "seed":
        return _seed_lines(origin)
    record = origin.any
    generator, place = record["g"], place_words(record["at"])
    lines = [("drawn", f"{record['op']} at {place}, from {generator_words(generator)}")]
    if origin.a is None or origin.b is None or origin.a["op"] != origin.b["op"] or origin.a["n"] != origin.b["n"]:
        lines.append(("draws", f"not the same in both runs: {_draw_words(origin.a)} and {_draw_words(origin.b)}"))
    seeds = [(at, seed) for at, seed in compared.seeds if _is_seed_of(seed["g"], generator)]
    before = [seed for at, seed in seeds if at <= origin.at]
    if generator.startswith("own "):
        lines.append(("seeded", "not seen: a generator of the program's own, which no global seed reaches"))
        return lines, _own_advice(generator, place)
    if before:
        lines.append(("seeded", f"at {place_words(before[-1]['at'])} with {before[-1]['v']}, in both runs alike"))
        return lines, "More was drawn in one run than in the other: see what draws between the seed and this place."
    if seeds:
        lines.append(("seeded", f"only after that, at {place_words(seeds[0][1]['at'])}"))
        return lines, f"Move the seed of {place_words(seeds[0][1]['at'])} above {place}."
    lines.append(("seeded", "never"))
    return lines, f"Seed it before {place}: {_SEED.get(generator.split()[0], 'give it a seed')}"


_SEED = {"torch": "torch.manual_seed(0)", "numpy": "numpy.random.seed(0)", "random": "random.seed(0)"}


def _own_advice(generator: str, place: str) -> str:
    how = "default_rng(0)" if "numpy" in generator else "random.Random(0)"
    how = "torch.Generator().manual_seed(0)" if "torch" in generator else how
    return f"Give the generator that {place} draws from a seed of its own: {how}"


def _is_seed_of(seeded: str, generator: str) -> bool:
    return seeded == generator or (seeded == "torch" and generator.startswith("torch "))


def _draw_words(record: Record | None) -> str:
    return "none" if record is None else f"{record['n']} of {record['op']} at {place_words(record['at'])}"


def _seed_lines(origin: Parting) -> tuple[list[tuple[str, str]], str]:
    record, place = origin.any, place_words(origin.any["at"])
    values = [each["v"] if each else "none" for each in (origin.a, origin.b)]
    words = f"at {place}: {generator_words(record['g'])} with {values[0]} in one run, with {values[1]} in the other"
    return [("seeded", words)], f"Make the seed at {place} a constant, or an argument that both runs are given."
