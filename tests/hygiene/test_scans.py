"""Hundreds of models, scanned in every way there is: all that can be observed is afterwards as it was."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

import opscan
from opscan.errors import OpscanError
from tests.hygiene.layers import MODELS
from tests.hygiene.snapshot import Watch

WAYS: dict[str, dict[str, Any]] = {
    "meta, forward and backward": {},
    "meta, forward alone": {"mode": "eval"},
    "traced, run and replayed on the CPU": {"device": "cpu", "trace_device": "cpu", "run": True, "replay": 2},
}


EACH = {name: 4 if way else 1 for name, way in WAYS.items()}
"""All models the first way, every fourth the others."""


@pytest.mark.parametrize("name", WAYS)
def test_nothing_is_changed(name: str) -> None:
    way = WAYS[name]
    made = {name: (make(), inputs()) for name, (make, inputs) in list(MODELS.items())[:: EACH[name]]}
    watch, changed = Watch(), {}
    for name, (model, args) in made.items():

        def scan(model: Any = model, args: Any = args) -> None:
            with contextlib.suppress(OpscanError):
                opscan.check(model, args, **way)

        if changes := watch.changes(scan, model, args):
            changed[name] = changes
    assert changed == {}
    assert watch.scans == len(made)
