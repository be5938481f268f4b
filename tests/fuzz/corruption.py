"""Ways to damage a file: its bytes, its lines, and the values in it. Each takes a random source and what is damaged."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from copy import deepcopy
from random import Random
from typing import Any

ODD_VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 2**63, 10**400, 1.5, float("nan"), float("inf"), "", " ", "x", "\x00", "\ud800",
    "²", "\x1b[31m", "a" * 10_000, [], {}, [None], [[]], {"": {}}, ["x"], [1], {"x": 1},
)  # fmt: skip
ODD_TOML = (
    "true", "0", "-1", "1" * 5000, "1e999", "nan", "2027-03-31", "2027-03-31T00:00:00", "07:00:00", '""', '" "',
    '"\\u0000"', '"²"', '"\\u001b[31m"', "[]", "{}", "[[]]", '["x"]', '["\\u0000"]', "[1]", "{x = 1}", "[{}]",
    '"' + "*a" * 300 + '"', '"' + "(" * 300 + '"', '">=1,<2,==*"', "[" * 3000 + "]" * 3000,
    '"src/net.py:²"', '"src/net.py:' + "1" * 5000 + '"', '"' + "1" * 5000 + '.1"', '"9.٣"', '"../\\u0000:x"',
)  # fmt: skip
ODD_CONDITIONS = (
    "9**9**9**9", "numel(self) < 2 ** 10 ** 10", "(" * 900, "\\u0000", "'a' * 10 ** 9", "[1] * numel(self)", "1 % 'x'",
    "-" * 900 + "1", "-" * 100_000 + "1", "1 if 1 else 2", "self.x()", "~1", ">=2", "1 / 0", "", "numel(9 ** 9)",
)  # fmt: skip
_ODD_BYTES = (b"\0", b"\xff", b"\xef\xbb\xbf", b"\r", b"\x1b", "\u2028".encode(), b'"', b"'''", b"{", b"[", b"=", b"\n")
_ENCODINGS = ("utf-16", "utf-32", "utf-16-le", "utf-7", "cp037", "utf-8-sig")
_ASSIGNED = re.compile(rb"^([\w.\"-]+ *= *)(.+)$", re.MULTILINE)
_NUMBER = re.compile(rb"\d+")


def damaged(data: bytes, random: Random) -> bytes:
    """The file with one to three of its bytes, lines or values otherwise than they were."""
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        data = random.choice(_BYTEWISE)(data, random)
    return data


def damaged_toml(data: bytes, random: Random) -> bytes:
    """As `damaged`, and as often with a value exchanged for one of another type, so that it is still TOML."""
    return _exchange(data, random) if random.random() < 0.6 else damaged(data, random)


def damaged_json(data: bytes, random: Random) -> bytes:
    """As `damaged`, and as often with a key removed, or a value exchanged for another, so that it is still JSON."""
    if random.random() < 0.4:
        return damaged(data, random)
    value = json.loads(data)
    for _ in range(random.choice((1, 1, 2))):
        value = damaged_value(value, random)
    return json.dumps(value).encode()


def damaged_json_line(data: bytes, random: Random) -> bytes:
    """One line of a file of JSON lines, damaged as a document of its own."""
    lines = data.splitlines(keepends=True)
    at = random.randrange(len(lines))
    lines[at] = damaged_json(lines[at], random).rstrip(b"\n") + b"\n"
    return b"".join(lines)


def damaged_value(value: Any, random: Random) -> Any:
    """A value of JSON in which one thing, at any depth, is removed, doubled or exchanged."""
    holders = list(_holders(value))
    if not holders or random.random() < 0.03:
        return deepcopy(random.choice(ODD_VALUES))
    holder, key = random.choice(holders)
    match random.randrange(5):
        case 0:
            del holder[key]
        case 1:
            other, place = random.choice(holders)
            holder[key] = deepcopy(other[place])
        case 2 if isinstance(holder, dict):
            holder[f"{key}x"] = holder.pop(key)
        case 3 if isinstance(holder, list):
            holder.append(deepcopy(holder[key]))
        case _:
            holder[key] = deepcopy(random.choice(ODD_VALUES))
    return value


def _holders(value: Any) -> list[tuple[Any, Any]]:
    """Every dictionary and list with each of its keys."""
    found: list[tuple[Any, Any]] = []
    left = [value]
    while left:
        holder = left.pop()
        keys = list(holder) if isinstance(holder, dict) else range(len(holder)) if isinstance(holder, list) else ()
        for key in keys:
            found.append((holder, key))
            left.append(holder[key])
    return found


def _place(data: bytes, random: Random) -> int:
    return random.randrange(len(data) + 1)


def _flip(data: bytes, random: Random) -> bytes:
    at = _place(data, random)
    return data[:at] + bytes([random.randrange(256)]) + data[at + 1 :]


def _cut(data: bytes, random: Random) -> bytes:
    return data[: _place(data, random)]


def _without(data: bytes, random: Random) -> bytes:
    at = _place(data, random)
    return data[:at] + data[at + random.choice((1, 2, 10, 100)) :]


def _twice(data: bytes, random: Random) -> bytes:
    at, length = _place(data, random), random.choice((1, 5, 50, 500))
    return data[:at] + data[at : at + length] * random.choice((1, 2, 30)) + data[at:]


def _insert(data: bytes, random: Random) -> bytes:
    at = _place(data, random)
    return data[:at] + random.choice(_ODD_BYTES) * random.choice((1, 1, 3, 3000)) + data[at:]


def _line_gone(data: bytes, random: Random) -> bytes:
    lines = data.splitlines(keepends=True)
    if lines:
        del lines[random.randrange(len(lines))]
    return b"".join(lines)


def _lines_swapped(data: bytes, random: Random) -> bytes:
    lines = data.splitlines(keepends=True)
    random.shuffle(lines)
    return b"".join(lines)


def _other_encoding(data: bytes, random: Random) -> bytes:
    return data.decode("utf-8", "replace").encode(random.choice(_ENCODINGS), "replace")


def _huge_number(data: bytes, random: Random) -> bytes:
    return _one(_NUMBER, data, random, lambda found: random.choice((b"1" * 5000, b"99999999999999999999", b"-1")))


def _exchange(data: bytes, random: Random) -> bytes:
    """One `key = value` of TOML with another value; where it is a list of conditions, with an odd one."""

    def other(found: re.Match[bytes]) -> bytes:
        if found[1].startswith((b"when", b"at_s")) and random.random() < 0.7:
            return found[1] + f'["{random.choice(ODD_CONDITIONS)}"]'.encode()
        return found[1] + random.choice(ODD_TOML).encode()

    return _one(_ASSIGNED, data, random, other)


def _one(pattern: re.Pattern[bytes], data: bytes, random: Random, other: Callable[[re.Match[bytes]], bytes]) -> bytes:
    places = list(pattern.finditer(data))
    if not places:
        return data
    found = random.choice(places)
    return data[: found.start()] + other(found) + data[found.end() :]


_BYTEWISE = (
    _flip, _flip, _cut, _without, _twice, _insert, _line_gone, _lines_swapped, _other_encoding, _huge_number, _exchange,
)  # fmt: skip
