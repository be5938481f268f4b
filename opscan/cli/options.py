"""Options that several commands share."""

from __future__ import annotations

import argparse
import shutil
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from opscan.cli.words import AMP_WORDS, DEVICE_WORDS, SHOW_WORDS, TRACE_DEVICE_WORDS

if TYPE_CHECKING:
    from opscan.report.paint import Paint


def add_mode(group: argparse._ActionsContainer) -> None:
    """--mode."""
    group.add_argument(
        "--mode", choices=("train", "eval"), default="train", help="train: forward and backward; eval: forward alone"
    )


def add_call(parser: argparse.ArgumentParser) -> None:
    """What a target is built and called with: --init, --input and the like, and how it is traced."""
    what = parser.add_argument_group("what to call it with (everything left out is solved for, and printed)")
    what.add_argument("--init", action="append", default=[], metavar="NAME=VALUE", help="a constructor argument")
    what.add_argument(
        "--input", action="append", default=[], metavar="SPEC",
        help="an input: [NAME=][DTYPE:]SHAPE[<BOUND or =VALUES], as 2x3x32x32, ids=int64:2x16<1000 or"
        " ids=int64:2x8=5*6,1*2 (target=SPEC is the loss's)",
    )  # fmt: skip
    what.add_argument("--inputs", metavar="MOD:FUNC", help="a function (or a value) that gives one batch")
    what.add_argument(
        "--input-grad", action=argparse.BooleanOptionalAction, default=None,
        help="floating inputs need a gradient (default: those of a module do, those of a step do not)",
    )  # fmt: skip
    what.add_argument("--loss", metavar="LOSS", help="cross_entropy, MSELoss, or mod:function of the model's output")
    what.add_argument(
        "--amp", choices=AMP_WORDS, help="put forward and loss in autocast (regions the code has itself need no flag)"
    )
    add_mode(what)
    what.add_argument(
        "--world-size", type=int, metavar="N",
        help="trace the step of rank 0 of N processes, with torch's fake process group (a bare module is put in DDP)",
    )  # fmt: skip
    what.add_argument(
        "--trace-device", choices=TRACE_DEVICE_WORDS, default="meta",
        help="cpu: run a small model for real instead of on meta, where what depends on values goes one way only",
    )  # fmt: skip


def add_environment(parser: argparse.ArgumentParser) -> None:
    """What the answer is for: --device, --torch, --rules, and --strict, --warn-only or --default."""
    answer = parser.add_argument_group("what the answer is for")
    answer.add_argument(
        "--device",
        choices=DEVICE_WORDS,
        default="auto",
        help="the device it will train on, here or not (default: cuda)",
    )
    answer.add_argument("--torch", metavar="VERSION", help="the torch it will train with (default: the installed one)")
    answer.add_argument(
        "--rules", action="append", default=[], type=Path, metavar="DIR",
        help="a folder of further rules, as for your own ops (also: rules = [...] in [tool.opscan] of pyproject.toml)",
    )  # fmt: skip
    strictness = answer.add_mutually_exclusive_group()
    strictness.add_argument(
        "--strict", dest="strict", action="store_true", default=None,
        help="it will train under torch.use_deterministic_algorithms(True): ops that switch then do not fail the check",
    )  # fmt: skip
    strictness.add_argument(
        "--warn-only", dest="strict", action="store_const", const="warn_only",
        help="it will train under torch.use_deterministic_algorithms(True, warn_only=True), which is not strict mode"
        " with warnings: some ops then stay nondeterministic",
    )  # fmt: skip
    strictness.add_argument("--default", dest="strict", action="store_false", help="it will train without strict mode")


def add_show(group: argparse._ActionsContainer) -> None:
    """--show."""
    group.add_argument(
        "--show",
        type=partial(verdict_words, allowed=SHOW_WORDS),
        default=(),
        metavar="KIND,...",
        help="also list these: config, random, unknown, harmless (the bits cannot vary), all",
    )


def verdict_words(text: str, allowed: tuple[str, ...]) -> tuple[str, ...]:
    """A comma-separated list of some of the allowed words; all of them for `all`."""
    words = tuple(word.strip() for word in text.split(",") if word.strip())
    if "all" in words:
        return allowed
    for word in words:
        if word not in allowed:
            raise argparse.ArgumentTypeError(f"unknown verdict {word!r}; use {', '.join(allowed)}")
    return words


def add_colour(group: argparse._ActionsContainer) -> None:
    """--color."""
    group.add_argument(
        "--color", choices=("auto", "always", "never"), default="auto",
        help="colours in text (default: on a terminal; NO_COLOR and FORCE_COLOR count)",
    )  # fmt: skip


def paint_for(arguments: argparse.Namespace) -> Paint:
    """The colours that the options and the terminal want."""
    from opscan.report.paint import Paint, wants_colour

    return Paint(wants_colour(arguments.color, sys.stdout.isatty()))


def terminal_width() -> int:
    """Columns to print in: those of the terminal, 80 where there is none, at most 120."""
    return min(shutil.get_terminal_size().columns if sys.stdout.isatty() else 80, 120)
