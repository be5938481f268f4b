"""JSON as every document of opscan has it."""

from __future__ import annotations

import json
from typing import Any

from opscan.formats.text import suspects


def json_text(value: Any) -> str:
    """Two-space indented, UTF-8 as it is; what a terminal would act upon, and what no file can hold, as JSON's escapes.

    The latter are halves of surrogate pairs: a file's name has them where its bytes are no UTF-8 (PEP 383).
    """
    text = json.dumps(value, indent=2, ensure_ascii=False)
    escapes = {ord(each): json.dumps(each)[1:-1] for each in suspects(text) - {"\n", "\x7f"}}
    return text.translate(escapes | {0x7F: "\\u007f"})  # which json.dumps leaves as it is
