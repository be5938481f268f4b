"""The answer as one versioned JSON document."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any

from opscan.verifying.growth import Row
from opscan.verifying.outcome import Verification

SCHEMA = 1


def render_json(found: Verification) -> str:
    """Numbers that JSON has no words for are texts: "nan", "inf"."""
    cause = None
    if found.cause is not None:
        cause = {
            "kind": found.cause.kind,
            "step": found.cause.step,
            "what": found.cause.what,
            "details": [{"label": label, "text": text} for label, text in found.cause.lines],
            "advice": found.cause.advice,
        }
    document = {
        "schema": SCHEMA,
        "target": found.target,
        "identical": found.identical,
        "cause": cause,
        "failures": list(found.failures),
        "notes": list(found.notes),
        "compared": {"steps": found.steps, **found.counts},
        "growth": {
            "value": found.growth.name,
            "steps": [_row(row) for row in found.growth.rows],
            "epochs": [_row(row) for _, row in sorted(found.growth.epochs.items())],
        },
    }
    return json.dumps(document, indent=2) + "\n"


def _row(row: Row) -> dict[str, Any]:
    content = {**asdict(row), "difference": row.difference}
    content["value"] = None if row.value is None else [_number(each) for each in row.value]
    return {key: _number(value) if isinstance(value, float) else value for key, value in content.items()}


def _number(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)
