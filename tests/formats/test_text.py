"""Text that cannot act upon what shows it: a terminal, a log of GitHub, a comment in Markdown."""

from __future__ import annotations

import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from opscan.formats.github import command
from opscan.formats.markdown import block, code, folded, table, text
from opscan.formats.paths import find_root, relative_path, uri_of
from opscan.formats.text import printable, printable_prose

ANY = st.text(st.characters(codec=None), max_size=40)
NASTY = "\x1b[31m`|@all\r\n<script>&amp;#1\u202e\udc80\\|"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("plain.name", "plain.name"),
        ("déjà 層", "déjà 層"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\nb\tc\rd", "a\\x0ab\\x09c\\x0dd"),
        ("\x9b31m", "\\x9b31m"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\udc80", "\\udc80"),
        ("\U000e0041", "\\U000e0041"),
    ],
)
def test_what_a_terminal_would_act_upon_is_an_escape(name: str, shown: str) -> None:
    assert printable(name) == shown


@given(ANY)
@example(NASTY)
def test_no_control_character_is_left_and_the_text_can_be_printed(name: str) -> None:
    for shown, kept in ((printable(name), ""), (printable_prose(name), "\n\t")):
        assert not {unicodedata.category(each) for each in shown if each not in kept} & {"Cc", "Cf", "Cs", "Zl", "Zp"}
        shown.encode("utf-8")


@given(ANY, ANY)
@example(NASTY, NASTY)
def test_a_command_is_one_line_with_the_properties_it_was_given(message: str, title: str) -> None:
    line = command("error", message, file="net.py", line=3, title=f"t{title}")
    assert line.count("\n") == 1
    assert "\r" not in line
    head, _, rest = line.removeprefix("::error ").partition("::")
    assert re.fullmatch(r"file=net\.py,line=3,title=t[^,:]*", head)
    assert rest.endswith("\n")


@given(st.lists(ANY, min_size=1, max_size=3))
@example([NASTY, NASTY])
def test_a_table_has_the_cells_it_was_given(names: list[str]) -> None:
    """GitHub ends a cell at each bar that has no backslash before it, in code as well."""
    for cell in (text, code):
        head, rule, row = table(["h"] * len(names), [[cell(each) for each in names]]).split("\n")
        assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) == len(names) + 1 or cell is code
        bare = re.sub(r"\\[\\|]", "", row) if cell is text else row.replace("\\|", "")
        assert bare.count("|") == len(names) + 1
        assert (head.count("|"), rule.count("|")) == (len(names) + 1, len(names) + 1)


@given(ANY)
@example(NASTY)
@example("``` </details>\n````")
def test_a_block_ends_where_its_fence_does(lines: str) -> None:
    fence, *held, last = block(lines).split("\n")
    assert last == fence.removesuffix("text")
    assert not any(set(line.strip()) == {"`"} and len(line.strip()) >= len(last) for line in held)


def test_prose_is_neither_an_element_nor_a_mention() -> None:
    assert text("<b>@team & #12 *x*") == "&lt;b&gt;@&#8203;team &amp; #&#8203;12 \\*x\\*"
    assert folded("<script>", "x") == "<details><summary>&lt;script&gt;</summary>\n\nx\n\n</details>"


@pytest.mark.parametrize(
    ("name", "shown"), [("", ""), ("a", "`a`"), ("a`b", "``a`b``"), ("`", "`` ` ``"), ("a|b", "`a\\|b`")]
)
def test_code_is_fenced_by_what_it_does_not_have(name: str, shown: str) -> None:
    assert code(name) == shown


def test_paths_are_relative_to_the_repository(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    inner = tmp_path / "src" / "a b"
    inner.mkdir(parents=True)
    assert find_root(inner) == tmp_path
    assert relative_path(str(inner / "näme.py"), tmp_path) == "src/a b/näme.py"
    assert uri_of("src/a b/näme.py") == "src/a%20b/n%C3%A4me.py"
    assert relative_path("/elsewhere/x.py", tmp_path) is None
    assert relative_path("<ipython-input-1>", tmp_path) is None
