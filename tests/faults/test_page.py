"""docs/faults.md says what the tests show."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import opscan

TESTS = Path(__file__).parents[1]
PAGE = Path(opscan.__file__).parents[1] / "docs" / "faults.md"


def functions_in(*folders: str) -> dict[str, str]:
    """Test functions by name, with the text of their files."""
    found = {}
    for path in (path for folder in folders for path in (TESTS / folder).glob("test_*.py")):
        text = path.read_text(encoding="utf-8")
        found |= {node.name: text for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}
    return {name: text for name, text in found.items() if name.startswith("test_")}


def test_every_row_is_shown_by_the_test_it_names_and_every_test_has_a_row() -> None:
    known = functions_in("faults", "sweep", "verify")
    rows = re.findall(r"^\| (?!---|fault)(.*) \| (.*) \| (\S+) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(rows) > 20
    for _, happens, name in rows:
        if name != "-":
            for said in re.findall('"(.*?)"', happens):
                assert said.replace("opscan: ", "", 1) in known[name].replace('f"', '"'), (name, said)
    unnamed = functions_in("faults").keys() - {name for _, _, name in rows}
    own = functions_in("faults").keys() - unnamed
    assert own
    assert unnamed == {
        "test_every_row_is_shown_by_the_test_it_names_and_every_test_has_a_row",
        "test_nothing_is_written_to_see_whether_it_could_be",
        "test_mode_owner_and_links_stay",
        "test_a_new_file_has_the_mode_that_the_umask_leaves",
    }
