"""Text from outside on its way into the script of a page: nothing in it acts, and nothing in it hides."""

from __future__ import annotations

import json
from typing import Any

from opscan.formats.text import printable_prose

_IN_SCRIPT = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026", 0x2028: "\\u2028", 0x2029: "\\u2029"}
"""What could end a script element or a line of it, as JSON may write it in strings."""


def json_in_script(value: Any) -> str:
    """A value as JSON that is safe between <script type="application/json"> and its end."""
    text = json.dumps(_visible(value), ensure_ascii=False, separators=(",", ":"))
    return text.translate(_IN_SCRIPT)


def _visible(value: Any) -> Any:
    if isinstance(value, str):
        return printable_prose(value)
    if isinstance(value, dict):
        return {printable_prose(str(key)): _visible(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_visible(item) for item in value]
    return value
