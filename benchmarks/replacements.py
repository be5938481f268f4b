"""What the drop-ins give and cost beside their originals: docs/replacements.md, by `python benchmarks/replacements.py`.

Errors are measured in float32 against the original in float64. Times alternate original and drop-in, forward and
backward, and are medians of ratios; memory is the most that the ops of one forward and backward hold at once. On a
machine with CUDA the same is measured there and kept in columns of its own; what one machine measured stays until the
same kind of machine measures again.
"""

from __future__ import annotations

import argparse
import csv
import platform
import statistics
import sys
import textwrap
import time
import weakref
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from opscan.audit.claims import load_claims  # noqa: E402
from opscan.rules.dropins import DropIn, load_dropins  # noqa: E402
from opscan.rules.load import load_rules  # noqa: E402
from opscan.rules.schema import Rule  # noqa: E402
from tests.replacements.proof import Outcome, Side, in_float64, run, sides  # noqa: E402
from tests.replacements.samples import Sample, gathered  # noqa: E402

CSV, PAGE = ROOT / "docs" / "replacements.csv", ROOT / "docs" / "replacements.md"
COLUMNS = (
    "name", "of", "error", "original_error", "gradient_error", "original_gradient_error",
    "cpu_ratio", "cpu_memory_ratio", "cpu_fallback_ratio", "cpu_machine",
    "cuda_ratio", "cuda_memory_ratio", "cuda_fallback_ratio", "cuda_machine",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=9, help="pairs of runs per row")
    parser.add_argument("--only", nargs="*", help="names of drop-ins")
    parser.add_argument("--page", action="store_true", help="measure nothing, write the page from the table")
    arguments = parser.parse_args()
    rows = {row["name"]: row for row in read_rows()}
    known = load_dropins().by_name
    if not arguments.page:
        for name in arguments.only or known:
            rows[name] = {**rows.get(name, {}), **measured(known[name], arguments.runs)}
            print(name, rows[name], flush=True)
    kept = [{**dict.fromkeys(COLUMNS, ""), **rows[name]} for name in known if name in rows]
    with CSV.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept)
    PAGE.write_text(page(kept), encoding="utf-8")


def read_rows() -> list[dict[str, str]]:
    if not CSV.exists():
        return []
    with CSV.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


# -- measuring


def measured(dropin: DropIn, runs: int) -> dict[str, str]:
    """One row: errors on the CPU, and costs on every kind of device there is here."""
    theirs, mine = sides(dropin, dropin.of[0])
    typical = gathered("TYPICAL")[dropin.name]
    sample = typical(torch.float32, torch.device("cpu"))
    truth = true_outcome(theirs, in_float64(sample))
    row = {"name": dropin.name, "of": dropin.of[0]}
    for who, side in (("", mine), ("original_", theirs)):
        outcome = run(side, sample, second=False)
        row[f"{who}error"] = relative_error(outcome.values, truth.values)
        row[f"{who}gradient_error"] = relative_error(outcome.grads, truth.grads)
    devices = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
    for device in devices:
        there = typical(torch.float32, torch.device(device))
        row[f"{device}_ratio"] = f"{ratio(mine, theirs, there, runs):.2f}"
        row[f"{device}_memory_ratio"] = f"{most_memory(mine, there) / max(most_memory(theirs, there), 1):.2f}"
        row[f"{device}_fallback_ratio"] = fallback_ratio(mine, theirs, there, runs)
        row[f"{device}_machine"] = machine(device)
    return row


def true_outcome(side: Side, sample: Sample) -> Outcome:
    """What the original gives in strict mode, where it knows one: else stores to the same cell may have any winner."""
    torch.use_deterministic_algorithms(True)
    try:
        return run(side, sample, second=False)
    except RuntimeError as error:
        if "does not have a deterministic implementation" not in str(error):
            raise
    finally:
        torch.use_deterministic_algorithms(False)
    return run(side, sample, second=False)


def machine(device: str) -> str:
    name = (
        torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} threads {platform.machine()}"
    )
    return f"{name}, torch {torch.__version__}"


def relative_error(found: tuple[torch.Tensor, ...], truth: tuple[torch.Tensor, ...]) -> str:
    """The largest difference, as a part of the largest true value; "" where nothing floating comes out."""
    worst = None
    for one, other in zip(found, truth, strict=True):
        if one.is_floating_point() and one.numel():
            scale = other.abs().max().item() or 1.0
            worst = max(worst or 0.0, (one.double() - other.double()).abs().max().item() / scale)
    return "" if worst is None else f"{worst:.1e}"


def once(side: Side, sample: Sample) -> float:
    started = time.perf_counter()
    run(side, sample, second=False)
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


def ratio(mine: Side, theirs: Side, sample: Sample, runs: int) -> float:
    once(mine, sample), once(theirs, sample)
    return statistics.median(once(mine, sample) / once(theirs, sample) for _ in range(runs))


def fallback_ratio(mine: Side, theirs: Side, sample: Sample, runs: int) -> str:
    """Against the original in strict mode; "raises" where that raises."""
    torch.use_deterministic_algorithms(True)
    try:
        strict = statistics.median(once(theirs, sample) for _ in range(runs))
    except RuntimeError as error:
        if "does not have a deterministic implementation" not in str(error):
            raise
        return "raises"
    finally:
        torch.use_deterministic_algorithms(False)
    return f"{statistics.median(once(mine, sample) for _ in range(runs)) / strict:.2f}"


class Held(TorchDispatchMode):
    """The most bytes that results of ops hold at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.most = 0
        self.seen: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for each in tree_flatten(result)[0]:
            if isinstance(each, torch.Tensor) and each.layout is torch.strided:
                self._hold(each.untyped_storage())
        return result

    def _hold(self, storage: Any) -> None:
        key = storage._cdata
        if key in self.seen:
            return
        self.seen.add(key)
        self.now += storage.nbytes()
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self._free, key, storage.nbytes())

    def _free(self, key: int, size: int) -> None:
        self.seen.discard(key)
        self.now -= size


def most_memory(side: Side, sample: Sample) -> int:
    with Held() as held:
        run(side, sample, second=False)
    return held.most


# -- the page


def page(rows: Iterable[Mapping[str, str]]) -> str:
    """docs/replacements.md: every drop-in, and every rule that raises, switches or is silent with what answers it."""
    rows, dropins = list(rows), load_dropins()
    cpu = next((row["cpu_machine"] for row in rows if row["cpu_machine"]), "nothing")
    cuda = next((row["cuda_machine"] for row in rows if row["cuda_machine"]), "")
    there = f"On CUDA it was measured on: {cuda}." if cuda else "On CUDA it was not measured yet."
    head = ("`replacements.`", "stands for", "values", "gradient", "error", "error of gradient", "time", "memory")
    parts = [
        "# Deterministic replacements\n\n<!-- Written by `python benchmarks/replacements.py`. -->",
        textwrap.fill(_WHAT, 120),
        textwrap.fill(_COLUMNS.format(cpu=cpu, there=there), 120),
        "## The drop-ins",
        table(
            (*head, "time, CUDA", "strict", "rules"),
            (_dropin_cells(dropins.by_name[row["name"]], row) for row in rows),
        ),
        "## What they cost, and what differs",
        "\n".join(_note(dropins.by_name[row["name"]]) for row in rows),
        "## Rule by rule",
        textwrap.fill(_RULES, 120),
        table(("rule", "what", "alert", "answered by"), map(_rule_cells, concerned())),
    ]
    return "\n\n".join(parts) + "\n"


_WHAT = """\
`from opscan import replacements`. Each has the signature of what it stands for, repeats in default mode and in strict
mode, forward and backward, and holds no op that a rule calls raises, switches or silent. Every claim is proven by
`tests/replacements`: on drawn samples in float16, bfloat16, float32 and float64, at the edges, by gradcheck and
gradgradcheck, by a trace for CUDA and for the CPU, and by repeated runs."""
_COLUMNS = """\
*Values* and *gradient* compare with the original: bitwise, up to rounding, or different. *Error* is the largest
difference from the original in float64, as a part of the largest value (in brackets the original's own error), both in
float32. *Time* and *memory* are those of forward and backward in float32 at a usual size, as multiples of the
original's, measured with {cpu}. {there} *Strict* is the time as a multiple of the original's in strict mode. An
error of about 1 is another winner among values stored to one cell: there the original has no one result."""


_RULES = """\
Every rule by which something raises, switches or is silent, with PyTorch's alerts and what answers it. One more alert,
"it uses CuBLAS and you have CUDA >= 10.2", is a setting's and no op's: `opscan env` names CUBLAS_WORKSPACE_CONFIG."""


def concerned() -> list[Rule]:
    """The rules of which something is nondeterministic in a mode."""
    wanted = {"raises", "switches", "silent"}
    return [rule for rule in load_rules().rules if any(each.verdict in wanted for each in rule.history)]


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    cells = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(each.replace("|", "\\|") for each in row) + " |" for row in cells)


def _dropin_cells(dropin: DropIn, row: Mapping[str, str]) -> tuple[str, ...]:
    return (
        f"`{dropin.name}`",
        ", ".join(f"`{of}`" for of in dropin.of),
        dropin.values,
        dropin.gradient,
        _beside(row["error"], row["original_error"]),
        _beside(row["gradient_error"], row["original_gradient_error"]),
        f"{row['cpu_ratio']}x",
        f"{row['cpu_memory_ratio']}x",
        f"{row['cuda_ratio']}x" if row["cuda_ratio"] else "",
        _strict(row),
        ", ".join(dropin.rules),
    )


def _beside(mine: str, original: str) -> str:
    return f"{mine} ({original})" if mine else ""


def _strict(row: Mapping[str, str]) -> str:
    found = row["cuda_fallback_ratio"] or row["cpu_fallback_ratio"]
    return found if found in ("", "raises") else f"{found}x"


def _note(dropin: DropIn) -> str:
    differs = f" Differs: {dropin.differs}" if dropin.differs else ""
    return f"- `{dropin.name}`: {dropin.cost}{differs}"


def alerts_of(rule: Rule) -> list[str]:
    """PyTorch's alerts that a rule speaks for: those its history names, and those of `*.signs.toml`."""
    named = [each.alert for each in rule.history if each.alert]
    claimed = (claim for claim in load_claims() if claim.kind == "alert" and rule.id in claim.rules)
    return list(dict.fromkeys([*named, *(name for claim in claimed for name in claim.names)]))


def _rule_cells(rule: Rule) -> tuple[str, ...]:
    dropins = load_dropins()
    names = ", ".join(f"`{each.name}`" for each in dropins.answering(rule.id))
    return rule.id, rule.title, ", ".join(alerts_of(rule)), names or f"none: {dropins.without.get(rule.id, '')}"


if __name__ == "__main__":
    main()
