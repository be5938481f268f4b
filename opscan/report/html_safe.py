"""Text from outside on its way into a page: nothing in it acts, and nothing in it hides."""

from __future__ import annotations

import json
import re
from typing import Any

_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters (ANSI escapes begin with one), marks that reorder text, and halves of surrogate pairs."""

_IN_SCRIPT = {ord("<"): "\\u003c", ord(">"): "\\u003e", ord("&"): "\\u0026", 0x2028: "\\u2028", 0x2029: "\\u2029"}
"""What could end a script element or a line of it, as JSON may write it in strings."""


def visible(text: str) -> str:
    """The text with a replacement character for each that would not be seen; tabs and line ends stay."""
    return _HIDDEN.sub("\ufffd", text)


def json_in_script(value: Any) -> str:
    """A value as JSON that is safe between <script type="application/json"> and its end."""
    text = json.dumps(_visible(value), ensure_ascii=False, separators=(",", ":"))
    return text.translate(_IN_SCRIPT)


def _visible(value: Any) -> Any:
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict):
        return {visible(str(key)): _visible(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_visible(item) for item in value]
    return value
