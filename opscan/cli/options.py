"""Options that several commands share."""

from __future__ import annotations

import argparse
from pathlib import Path

from opscan.cli.words import DEVICE_WORDS


def add_mode(group: argparse._ActionsContainer) -> None:
    """--mode."""
    group.add_argument(
        "--mode", choices=("train", "eval"), default="train", help="train: forward and backward; eval: forward alone"
    )


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
