"""The rules, a file for each group: the code that judges, and beside it a TOML file with its words and cases."""

from __future__ import annotations

from importlib import import_module

GROUPS = (
    "settings", "cublas", "frameworks",
    "seeding", "order", "generators",
    "loaders", "data", "files",
    "dropout", "model", "parameters", "undefined",
    "ops",
)  # fmt: skip


def load_all() -> None:
    """Declare every rule; see `rule.RULES`."""
    for group in GROUPS:
        import_module(f"{__name__}.{group}")
