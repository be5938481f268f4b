"""What SARIF documents of all commands share.

Source: OASIS, Static Analysis Results Interchange Format (SARIF) Version 2.1.0 Plus Errata 01.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from opscan import __version__
from opscan.formats.paths import absolute_uri, relative_path, uri_of
from opscan.formats.text import printable_prose

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
BASE = "%SRCROOT%"
"""The name of the folder that paths are relative to (3.14.14, originalUriBaseIds)."""


def render_run(
    name: str,
    rules: Sequence[dict[str, Any]],
    results: Sequence[dict[str, Any]],
    notifications: Sequence[dict[str, Any]],
    root: Path,
) -> str:
    """A document with one run of the tool `name`; what could not be looked at is a notification of level error."""
    failed = any(each["level"] == "error" for each in notifications)
    run = {
        "tool": {"driver": {"name": name, "semanticVersion": __version__, "rules": list(rules)}},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {BASE: {"uri": f"{root.as_uri().rstrip('/')}/"}},
        "invocations": [{"executionSuccessful": not failed, "toolExecutionNotifications": list(notifications)}],
        "results": list(results),
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [_shown(run)]}, indent=2) + "\n"


def _shown(value: Any, name: str = "") -> Any:
    """The same with texts that act upon nobody who shows them; what a fix inserts stays to the letter.

    `[text](1)` in a message would be a link (3.11.6).
    """
    if isinstance(value, dict):
        return {key: each if key == "insertedContent" else _shown(each, key) for key, each in value.items()}
    if isinstance(value, list):
        return [_shown(each, name) for each in value]
    if isinstance(value, str):
        return printable_prose(value).replace("](", "] (") if name == "text" else printable_prose(value)
    return value


def artifact(file: str, root: Path) -> dict[str, str]:
    """Where a file is: relative to the base if it lies below it, else as a URI of its own."""
    path = relative_path(file, root)
    if path is not None:
        return {"uri": uri_of(path), "uriBaseId": BASE}
    return {"uri": absolute_uri(file) if not file.startswith("<") else uri_of(file)}


def physical(file: str, root: Path, region: dict[str, int] | None = None) -> dict[str, Any]:
    """A location with a file, and a part of it."""
    place: dict[str, Any] = {"artifactLocation": artifact(file, root)}
    return {"physicalLocation": place | ({"region": region} if region else {})}


def notification(text: str, level: str = "error", location: dict[str, Any] | None = None) -> dict[str, Any]:
    """Something that is not a result: what was not looked at."""
    return {"level": level, "message": {"text": text}} | ({"locations": [location]} if location else {})
