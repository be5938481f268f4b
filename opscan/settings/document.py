"""The JSON document of the settings: stable and versioned."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from opscan import __version__
from opscan.formats.json import json_text
from opscan.settings.outlook import Outlook, Stand

SCHEMA = 1


def render_json(outlook: Outlook) -> str:
    """All of it, two-space indented: the settings in the order of the data."""
    document = {
        "schema": SCHEMA,
        "opscan": __version__,
        "environment": {"device": outlook.environment.device, "torch": str(outlook.environment.torch)},
        "machine": asdict(outlook.machine),
        "fresh_process": outlook.fresh,
        "missing": [stand.setting.name for stand in outlook.missing],
        "settings": [_stand(stand) for stand in outlook.stands],
    }
    return json_text(document)


def _stand(stand: Stand) -> dict[str, Any]:
    setting, entry = stand.setting, stand.entry
    return {
        "name": setting.name,
        "kind": setting.kind,
        "about": setting.about,
        "seen": stand.reading.seen,
        "value": stand.reading.value,
        "changes": entry.changes,
        "wants": list(entry.wants),
        "standing": stand.standing,
        "only_if": entry.only_if,
        "moment": entry.moment if stand.lines() else None,
        "lines": list(stand.lines()),
        "why": entry.why,
        "evidence": [{"kind": each.kind, "ref": each.ref} for each in setting.evidence],
    }
