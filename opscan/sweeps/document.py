"""A sweep as a document in Markdown: readable where the table has thousands of rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from opscan.formats.markdown import code, table, text
from opscan.sweeps.row import Row, most_frequent
from opscan.sweeps.summary import total_line, trainings
from opscan.sweeps.table import Sweep, families

_WORST = (
    "strict mode raises", "never repeats", "repeats in default mode", "not known", "repeats in strict mode", "repeats",
)  # fmt: skip
_MEANS = {
    "repeats": "with seeds and settings, in default and in strict mode",
    "repeats in strict mode": "only under `torch.use_deterministic_algorithms(True)`",
    "repeats in default mode": "strict mode would stop at an op whose bits cannot vary",
    "strict mode raises": "it varies by default, and strict mode stops it with a RuntimeError",
    "never repeats": "it varies in strict mode as well, and nothing is said",
    "not known": "there are ops that no rule speaks for",
}


def render_markdown(sweep: Sweep) -> str:
    """Totals, a row per family with the ops in its way, and what was not traced with the reasons."""
    setting = sweep.setting
    parts = [
        f"# {text(setting.source)}",
        "Which of its models can be trained deterministically, and which ops stand in the way: opscan"
        f" {text(setting.opscan)}, for {text(setting.environment)}{', in eval mode' if setting.mode == 'eval' else ''}."
        f" {total_line(sweep)}",
        "Made by `opscan sweep` with default configurations and no weights, and of what a registry lists one model per"
        " family, if not `--all`. The CSV beside it has a row for every target.",
        _shown(("training", "models", "what it means"), [(*each, _MEANS[each[0]]) for each in trainings(sweep.rows)]),
        "## Ops in the way",
        _shown(("op", "verdict", "models"), [(code(op), word, count) for word, op, count in most_frequent(sweep.rows)]),
        "## Families",
        "Training of the family's worst model, with how many of them it is true of; ops in the way of any.",
        _shown(
            ("family", "models", "traced", "training", "ops in the way"), map(_family, families(sweep.rows).items())
        ),
    ]
    if sweep.missed:
        missed = [(code(row.target), text(row.reason)) for row in sweep.missed]
        parts += ["## Not traced", _shown(("target", "reason"), missed)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _family(entry: tuple[str, list[Row]]) -> tuple[object, ...]:
    family, rows = entry
    traced = [row for row in rows if row.training]
    counted = Counter(str(row.training) for row in traced)
    worst = next((each for each in _WORST if counted[each]), "")
    of_them = f" ({counted[worst]})" if worst and counted[worst] < len(traced) else ""
    return text(family), len(rows), len(traced), f"{worst}{of_them}", ", ".join(_ops(traced))


def _ops(rows: Iterable[Row]) -> list[str]:
    return [f"{code(op)} {verdict}" for verdict, op, _ in most_frequent(rows)]


def _shown(heads: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; nothing for no rows."""
    cells = [[str(cell) for cell in row] for row in rows]
    return table(heads, cells) if cells else ""
