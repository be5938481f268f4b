"""What ranks drifted apart by, in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest

from opscan.verifying.cause import Cause
from opscan.verifying.drift import Drift, Ranks
from opscan.verifying.stream import Record
from opscan.verifying.watch.digests import SAMPLES, read_samples
from opscan.verifying.words import few, generator_words, place_words

KEPT = {
    "ddp": "by DistributedDataParallel",
    "ddp without init_sync": "by DistributedDataParallel(init_sync=False)",
    "ddp, late": "by DistributedDataParallel, but they came into the module after it was made",
    "ddp, frozen": "by DistributedDataParallel, but they needed no gradient when it was made",
    "dtensor": "as DTensors: their placement is Replicate over these ranks",
    "by hand": "by an all-reduce of their gradients that the program calls",
}
"""Why parameters are to be equal, by the word that a record has for it."""

_LEFT_OUT = ("ddp, late", "ddp, frozen")
_DDP = ("ddp", "ddp without init_sync")


def drift_causes(found: Ranks) -> tuple[Cause, ...]:
    """Each drift with what it comes from."""
    return tuple(_cause(drift, found) for drift in found.drifts)


def replica_words(found: Ranks) -> list[str]:
    """What was compared of the ranks of one run, and what was not because nobody keeps it equal."""
    words = []
    if found.compared:
        count = len(found.compared)
        words.append(
            f"{count} {'parameter' if count == 1 else 'parameters'} on {_ranks(found.ranks)}, {found.steps} steps"
        )
    if found.shards:
        words.append(f"not compared: {len(found.shards)} parameters of which each rank has a part of its own")
    unkept = found.unkept - found.compared
    if unkept:
        differing = sorted(name for _, name in found.differing & unkept)
        told = f"; {len(differing)} of them differ between ranks: {few(differing)}" if differing else ""
        words.append(f"not compared: {len(unkept)} parameters that nothing seen keeps equal{told}")
    return words


def _cause(drift: Drift, found: Ranks) -> Cause:
    when, why, advice = _EXPLAIN[drift.stage](drift)
    lines = [
        ("parameters" if drift.stage != "buffers" else "buffers", f"{len(drift.names)}: {few(drift.names)}"),
        ("kept equal", f"{KEPT[drift.why]}, over {_ranks(drift.ranks)}"),
        ("ranks", _parted(drift)),
        ("when", when),
        ("because", why),
    ]
    lines += list(_seeds(drift, found)) if drift.stage == "weights" else []
    at = sorted({each["ranks"]["at"] for each in drift.records.values() if "ranks" in each and "at" in each["ranks"]})
    lines += [("stepped", f"at {few([place_words((each,)) for each in at])}")] if any(at) else []
    return Cause(
        "replicas", drift.step, _WHAT[drift.stage].format(step=drift.step, name=drift.names[0]), tuple(lines), advice
    )


_WHAT = {
    "weights": "Before step {step} the weight {name} is not the same on all ranks that are to have it alike.",
    "buffers": "In step {step} the buffer {name} is not the same on all ranks that are to have it alike.",
    "steps": "From step {step} on the ranks do not make the same steps: {name} is stepped on some of them alone.",
    "gradient": "In step {step} the gradient of {name} is not the same on all ranks that are to have it alike.",
    "parameter": "In step {step} the parameter {name} is no longer the same on all ranks, though its gradient is.",
}

Words = tuple[str, str, str]
"""When it happens as seen from the all-reduce, what it comes from, and what to do."""


def _weights(drift: Drift) -> Words:
    when = "before the first all-reduce: they began with other values"
    if drift.why == "ddp":
        why = "DistributedDataParallel copied those of its first rank when it was made; something wrote to them since"
        return when, why, "Load checkpoints and initialise before DistributedDataParallel is made, or on every rank."
    if drift.why == "ddp without init_sync":
        why = "init_sync=False: nothing copied the weights of one rank to the others, and they were not made alike"
        return when, why, "Leave init_sync out, or call torch.manual_seed with one value on all ranks first."
    if drift.why in _LEFT_OUT:
        return when, _LEFT_OUT_WHY[drift.why], _LEFT_OUT_ADVICE
    if drift.why == "dtensor":
        why = "each rank made its own part from its own values; fully_shard and DTensor.from_local copy nothing"
        return when, why, "Call torch.manual_seed with one value on all ranks before the model is made, or broadcast."
    why = "gradients are added up, but nothing copied the weights of one rank to the others at the start"
    return when, why, "Broadcast each parameter before the first step: dist.broadcast(p.data, src=0)."


_LEFT_OUT_WHY = {
    "ddp, late": "left out of the reducer: DistributedDataParallel adds up what the module had when it was made",
    "ddp, frozen": "left out of the reducer: DistributedDataParallel adds up what needed a gradient when it was made",
}
_LEFT_OUT_ADVICE = "Make DistributedDataParallel when the module has all its parameters and requires_grad is set."


def _buffers(drift: Drift) -> Words:
    return (
        "no all-reduce is about buffers",
        "broadcast_buffers=False: each rank keeps the statistics of its own data, as of BatchNorm",
        "Leave broadcast_buffers out, or use torch.nn.SyncBatchNorm.convert_sync_batchnorm(model).",
    )


def _steps(drift: Drift) -> Words:
    passes = {rank: each["ranks"]["passes"] for rank, each in drift.records.items() if "ranks" in each}
    after = "; ".join(f"rank {rank} after backward pass {count}" for rank, count in sorted(passes.items()))
    lacking = [rank for rank in drift.ranks if rank not in passes]
    missing = f"{'; ' if after else ''}{_ranks(lacking)} not at all" if lacking else ""
    return (
        "after the all-reduce: in optimizer.step()",
        f"a step on some ranks alone: it comes on {after}{missing}",
        "Call optimizer.step() on every rank: see what decides on it (the rank, a local loss, a GradScaler).",
    )


def _gradient(drift: Drift) -> Words:
    if drift.why in _LEFT_OUT:
        return "before the all-reduce: it came to none", _LEFT_OUT_WHY[drift.why], _LEFT_OUT_ADVICE
    if drift.why in _DDP:
        return _gradient_of_ddp(drift)
    if drift.why == "by hand":
        lacking = [rank for rank, each in drift.records.items() if not _is_summed(drift, each)]
        if lacking:
            why = f"not added up before this step on {_ranks(lacking)}"
            return "before the all-reduce: it came to none", why, "Add gradients up before every step, on every rank."
    return "after the all-reduce", _changed(drift), _CHANGED_ADVICE


def _gradient_of_ddp(drift: Drift) -> Words:
    since = [each["ranks"]["since"] for each in drift.records.values()]
    none = "before the all-reduce: it came to none"
    if not any(reduced for _, reduced, _ in since):
        if all(unsynced for _, _, unsynced in since):
            why = "every backward pass since the last step ran under no_sync(): nothing was added up"
            return none, why, "Let the last forward and backward before a step be outside of no_sync()."
        why = "no reducer was at work: the module was called, and not the DistributedDataParallel around it"
        return none, why, "Call the wrapper: ddp(x), never ddp.module(x), where there is a backward."
    after = {
        each["after"][drift.at] if "after" in each else None for each in (r["ranks"] for r in drift.records.values())
    }
    if len(after) == 1 and None not in after:
        return "after the all-reduce, which gave all ranks the same", _changed(drift), _CHANGED_ADVICE
    why = "right after backward it differs already: a communication hook, a backward pass more, or a hook on a tensor"
    return "at the all-reduce, or after it within backward", why, "See register_comm_hook and register_hook."


_CHANGED_ADVICE = "Do to gradients after backward what is the same on all ranks: clip and scale by reduced values."


def _changed(drift: Drift) -> str:
    """What became of a gradient between the all-reduce and the step, on some ranks otherwise than on others."""
    ratio = _ratio(drift)
    if ratio is None:
        return "something wrote to the gradient on each rank by itself: clipped, added to, or set"
    one, other = (part[0] for part in drift.parts[:2])
    return f"scaled by each rank itself: on rank {other} it is {ratio:.6g} times what it is on rank {one}"


def _ratio(drift: Drift) -> float | None:
    """How many times a gradient is on one rank what it is on another, where that is one number for all samples."""
    one, other = (
        read_samples(drift.records[part[0]]["y"])[drift.at * SAMPLES : (drift.at + 1) * SAMPLES]
        for part in drift.parts[:2]
    )
    ratios = [b / a for a, b in zip(one, other, strict=True) if a == a and b == b and a]
    if not ratios or any(abs(each - ratios[0]) > 1e-4 * abs(ratios[0]) for each in ratios):
        return None
    return ratios[0]


def _is_summed(drift: Drift, record: Record) -> bool:
    return drift.at in record["ranks"]["by_hand"]


def _parameter(drift: Drift) -> Words:
    when = "after the all-reduce: in optimizer.step(), or between two steps"
    settings = {rank: each["ranks"]["set"] for rank, each in drift.records.items()}
    one, other = (settings[part[0]] for part in drift.parts[:2])
    names = [name for name in one if one[name] != other.get(name)]
    if names:
        values = "; ".join(f"{name} {_by_rank(drift, settings, name)}" for name in names)
        why = f"the optimizer is set otherwise: {values}"
        return when, why, "Set it by what is the same on all ranks: reduce the metric that a scheduler looks at."
    why = "gradients and settings are the same: the optimizer's state differs, or something else wrote to the parameter"
    return when, why, "Load the optimizer's state on every rank; see what writes to parameters outside of step()."


def _by_rank(drift: Drift, settings: dict[int, dict[str, list[object]]], name: str) -> str:
    return ", ".join(f"{_plain(settings[part[0]].get(name))} on {_ranks(part)}" for part in drift.parts)


def _plain(values: object) -> str:
    found = list(dict.fromkeys(map(str, values))) if isinstance(values, list) else [str(values)]
    return "/".join(found)


_EXPLAIN = {
    "weights": _weights,
    "buffers": _buffers,
    "steps": _steps,
    "gradient": _gradient,
    "parameter": _parameter,
}


def _seeds(drift: Drift, found: Ranks) -> Iterator[tuple[str, str]]:
    """Seeds that are not the same on all ranks, or that there is none."""
    told = {rank: found.seeds.get(rank, []) for rank in drift.ranks if rank in found.ranks}
    if not any(told.values()):
        yield "seeded", "never"
    for same in zip_longest(*told.values()):
        values = {rank: each["v"] if each else "none" for rank, each in zip(told, same, strict=True)}
        if len(set(values.values())) > 1:
            first = next(each for each in same if each)
            words = ", ".join(f"with {value} on rank {rank}" for rank, value in list(values.items())[:4])
            yield "seeded", f"{generator_words(first['g'])} at {place_words(first['at'])}: {words}"
            return


def _ranks(ranks: Iterable[int]) -> str:
    """`rank 2`, `ranks 0 to 3`, `ranks 0, 2`."""
    found: Sequence[int] = sorted(ranks)
    if len(found) == 1:
        return f"rank {found[0]}"
    if len(found) > 2 and found[-1] - found[0] == len(found) - 1:
        return f"ranks {found[0]} to {found[-1]}"
    return f"ranks {few([str(each) for each in found], 8)}"


def _parted(drift: Drift) -> str:
    """`ranks 0, 2, 3 agree; rank 1 differs`."""
    if len(drift.parts) == len(drift.ranks):
        return f"{_ranks(drift.ranks)} all differ" if len(drift.ranks) > 2 else f"{_ranks(drift.ranks)} differ"
    first, *others = drift.parts
    return f"{_ranks(first)} agree; " + "; ".join(
        f"{_ranks(part)} differ{'s' * (len(part) == 1)}" for part in others[:4]
    )
