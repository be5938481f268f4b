"""The official schemas that documents are validated against."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema


@cache
def _sarif() -> Any:
    schema = json.loads(Path(__file__).with_name("sarif-schema-2.1.0.json").read_text(encoding="utf-8"))
    return jsonschema.Draft4Validator(schema)


def validate(document: dict[str, Any]) -> None:
    """Raises jsonschema.ValidationError for a document that is not SARIF 2.1.0."""
    _sarif().validate(document)
