"""The answer as one versioned JSON document."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any

from opscan.verifying.cause import Cause
from opscan.verifying.growth import Row
from opscan.verifying.outcome import Verification

SCHEMA = 1


def render_json(found: Verification) -> str:
    """Numbers that JSON has no words for are texts: "nan", "inf"."""
    document = {
        "schema": SCHEMA,
        "target": found.target,
        "identical": found.identical,
        "cause": None if found.cause is None else _cause(found.cause),
        "failures": list(found.failures),
        "notes": list(found.notes),
        "drifts": [_cause(each) for each in found.drifts],
        "replicas": list(found.replicas),
        "compared": {"steps": found.steps, **found.counts},
        "growth": {
            "value": found.growth.name,
            "steps": [_row(row) for row in found.growth.rows],
            "epochs": [_row(row) for _, row in sorted(found.growth.epochs.items())],
        },
    }
    return json.dumps(document, indent=2) + "\n"


def _cause(cause: Cause) -> dict[str, Any]:
    return {
        "kind": cause.kind,
        "step": cause.step,
        "what": cause.what,
        "details": [{"label": label, "text": text} for label, text in cause.lines],
        "advice": cause.advice,
    }


def _row(row: Row) -> dict[str, Any]:
    content = {**asdict(row), "difference": row.difference}
    content["value"] = None if row.value is None else [_number(each) for each in row.value]
    return {key: _number(value) if isinstance(value, float) else value for key, value in content.items()}


def _number(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)
