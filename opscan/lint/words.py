"""The words of the rules: titles, reasons, evidence and cases, from the TOML files beside the rules' code."""

from __future__ import annotations

import re
import textwrap
import tomllib
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from opscan.lint.rule import RULES, Rule
from opscan.lint.rules import load_all

_MARK = re.compile(r"[ \t]*# <-[ \t]*$", re.MULTILINE)
_KEYS = {"title", "reason", "fix", "evidence", "flag", "ok"}


class Case(NamedTuple):
    """A piece of code, and the lines of it, from 1, where the rule has something to say."""

    why: str
    code: str
    lines: tuple[int, ...]


class Words(NamedTuple):
    """What one rule says of itself."""

    title: str
    reason: str
    fix: str
    evidence: tuple[str, ...]
    flag: tuple[Case, ...]
    ok: tuple[Case, ...]


@cache
def read_words() -> dict[str, Words]:
    """The words of every rule, by code. Raises ValueError where a file and the rules do not agree."""
    load_all()
    found: dict[str, Words] = {}
    for path in sorted((Path(__file__).parent / "rules").glob("*.toml")):
        for code, table in tomllib.loads(path.read_text(encoding="utf-8")).items():
            if code not in RULES or RULES[code].group != path.stem:
                raise ValueError(f"{path.name}: {code} is no rule of {path.stem}.py")
            found[code] = _words(code, table)
    missing = sorted(set(RULES) - set(found))
    if missing:
        raise ValueError(f"rules without words: {', '.join(missing)}")
    return dict(sorted(found.items()))


def _words(code: str, table: dict[str, Any]) -> Words:
    if set(table) != _KEYS or not table["evidence"]:
        raise ValueError(f"{code}: has {sorted(table)}, wants {sorted(_KEYS)}")
    return Words(
        " ".join(table["title"].split()),
        " ".join(table["reason"].split()),
        " ".join(table["fix"].split()),
        tuple(" ".join(each.split()) for each in table["evidence"]),
        tuple(_case(each) for each in table["flag"]),
        tuple(_case(each) for each in table["ok"]),
    )


def _case(table: dict[str, str]) -> Case:
    code = table["code"]
    lines = tuple(number for number, line in enumerate(code.splitlines(), 1) if _MARK.search(line))
    return Case(table["why"], _MARK.sub("", code), lines)


def explain(code: str, width: int = 80) -> str:
    """One rule as a page for a terminal."""
    rule, words = RULES[code], read_words()[code]
    parts = [
        textwrap.fill(f"{code}  {words.title} ({rule.level})", width, subsequent_indent=" " * 8),
        _labelled("name", rule.name, width),
        _labelled("why", words.reason, width),
        _labelled("fix", words.fix, width),
        *(_labelled("source", each, width) for each in words.evidence),
    ]
    return "\n".join(parts) + f"\n\nfound:\n{_shown(words.flag[0])}\n\nnot found:\n{_shown(words.ok[0])}\n"


def _labelled(label: str, text: str, width: int) -> str:
    filled = textwrap.fill(text, width - 10, break_long_words=False, break_on_hyphens=False)
    return "\n".join(f"  {label if not number else '':<8}{line}" for number, line in enumerate(filled.splitlines()))


def _shown(case: Case) -> str:
    return textwrap.indent(case.code.strip("\n"), "    ")


def render_docs() -> str:
    """docs/lint.md: the table of all rules, and each with its reason, evidence and cases."""
    words = read_words()
    rows = [f"| [{code}](#{code.lower()}) | {RULES[code].name} | {RULES[code].level} | {each.title} |"
            for code, each in words.items()]  # fmt: skip
    head = [
        "# The rules of `opscan lint`",
        "",
        "Generated from `opscan/lint/rules/` by `opscan lint --rules --format markdown`. Rules of level info are shown",
        "with `--level info`, or when they are selected.",
        "",
        "| code | name | level | what |",
        "| --- | --- | --- | --- |",
        *rows,
    ]
    return "\n".join(head) + "\n" + "".join(_section(RULES[code], each) for code, each in words.items())


def _section(rule: Rule, words: Words) -> str:
    evidence = "\n".join(f"- {each}" for each in words.evidence)
    return (
        f"\n## {rule.code}\n\n**{words.title}** (`{rule.name}`, {rule.level})\n\n{words.reason}\n\n"
        f"Instead: {words.fix}\n\n{evidence}\n\nFound:\n\n```python\n{words.flag[0].code.strip()}\n```\n\n"
        f"Not found:\n\n```python\n{words.ok[0].code.strip()}\n```\n"
    )
