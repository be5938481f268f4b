"""Which rules can say something about a file, by the words in it: most files need no parsing."""

from __future__ import annotations

import re
from collections.abc import Iterable

from opscan.lint.rule import Rule, Word

_COOKIE = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)", re.MULTILINE)
_PLAIN = re.compile(rb"utf-?8|latin-?1|iso-?8859|ascii|us-ascii|cp125|windows-125", re.IGNORECASE)


def rules_for(data: bytes, rules: Iterable[Rule], is_notebook: bool) -> list[Rule]:
    """The rules whose words are all in the file; all rules where words may be written in another way.

    Source: PEP 263 (encodings), and Python's lexical analysis: identifiers are compared in their NFKC form.
    """
    if is_notebook and rb"\u" in data:
        return list(rules)
    if not data.isascii():
        if _has_foreign_encoding(data):
            return list(rules)
        data = _normalised(data)
    seen: dict[Word, bool] = {}

    def has(word: Word) -> bool:
        known = seen.get(word)
        if known is None:
            if isinstance(word, bytes):
                known = word in data
            else:
                known = has(word.head) and (is_notebook or re.search(word.text, data) is not None)
            seen[word] = known
        return known

    def concerns(rule: Rule) -> bool:
        for group in rule.needs:
            for word in group:
                if has(word):
                    break
            else:
                return False
        return True

    if data.isascii() and b"coding" in data[:400] and _has_foreign_encoding(data):
        return list(rules)
    return [rule for rule in rules if concerns(rule)]


def _normalised(data: bytes) -> bytes:
    from unicodedata import normalize

    return data + normalize("NFKC", data.decode("utf-8", "replace")).encode("utf-8", "replace")


def _has_foreign_encoding(data: bytes) -> bool:
    """Whether the file says that it is in an encoding in which ASCII may look different, as UTF-7."""
    cookie = _COOKIE.search(data[:400])
    return cookie is not None and _PLAIN.match(cookie.group(1)) is None
