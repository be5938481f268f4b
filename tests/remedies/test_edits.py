"""Edits change the name or the receiver of a call and nothing else, whatever way it is written."""

from __future__ import annotations

import ast
import textwrap

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opscan.lint.fix import apply_edits
from opscan.remedies.edits import Editor

CONV, PAD, ADD = "torch.nn.Conv2d", "torch.nn.functional.pad", "torch.Tensor.index_add_"


def edited(text: str, of: str, line: int, importing: bool = False) -> str:
    """The text with one drop-in written into it; `!` and the reason where none is."""
    editor = Editor(text)
    edits = editor.edits(of, of.rpartition(".")[2], line)
    if isinstance(edits, str):
        return f"!{edits}"
    return apply_edits(text, (*edits, *(editor.importing() if importing else ())))


NN, FROM_NN = "import torch.nn as nn", "from torch import nn"
EDITED = {
    "alias of the package": (CONV, NN, "c = nn.Conv2d(3, 8, 3)", "c = replacements.Conv2d(3, 8, 3)"),
    "whole name": (CONV, "import torch", "c = torch.nn.Conv2d(3)", "c = replacements.Conv2d(3)"),
    "name by itself": (CONV, "from torch.nn import Conv2d", "c = Conv2d(3)", "c = replacements.Conv2d(3)"),
    "renamed": (CONV, "from torch.nn import Conv2d as C", "c = C(3)", "c = replacements.Conv2d(3)"),
    "home": (CONV, "from torch.nn.modules.conv import Conv2d", "c = Conv2d(3)", "c = replacements.Conv2d(3)"),
    "comprehension": (CONV, NN, "c = [nn.Conv2d(i) for i in n]", "c = [replacements.Conv2d(i) for i in n]"),
    "two": (CONV, NN, "nn.Conv2d(3), nn.Conv2d(4)", "replacements.Conv2d(3), replacements.Conv2d(4)"),
    "spaces and comment": (CONV, NN, "c = nn . Conv2d (3)  # why", "c = replacements.Conv2d (3)  # why"),
    "columns are bytes": (CONV, NN, "ö = 'ä'; c = nn.Conv2d(3)", "ö = 'ä'; c = replacements.Conv2d(3)"),
    "function": (PAD, "import torch.nn.functional as F", "F.pad(x, (1, 1))", "replacements.pad(x, (1, 1))"),
    "star import": (PAD, "from torch.nn.functional import *", "pad(x, (1, 1))", "replacements.pad(x, (1, 1))"),
    "method": (ADD, NN, "x.index_add_(0, i, v)", "replacements.index_add_(x, 0, i, v)"),
    "method of a bracket": (ADD, NN, "(a + b).index_add_(0, v)", "replacements.index_add_((a + b), 0, v)"),
    "over lines": (ADD, NN, "self.x[0].index_add_ (\n  0, v)", "replacements.index_add_(self.x[0], \n  0, v)"),
    "no arguments": (ADD, NN, "x.index_add_()", "replacements.index_add_(x)"),
    "chain": (ADD, NN, "x.t().index_add_(dim=0).sum()", "replacements.index_add_(x.t(), dim=0).sum()"),
}


@pytest.mark.parametrize(("of", "head", "before", "after"), EDITED.values(), ids=EDITED)
def test_only_the_name_changes(of: str, head: str, before: str, after: str) -> None:
    assert edited(f"{head}\n{before}", of, 2) == f"{head}\n{after}"


LEFT = {
    "getattr": (CONV, f"{FROM_NN}\nc = getattr(nn, 'Conv2d')(3)", "not called by its name"),
    "a helper built it": (CONV, f"{FROM_NN}\nc = make(3)", "not called by its name"),
    "another's class": (CONV, "from mine import Conv2d\nc = Conv2d(3)", "not called by its name"),
    "a function, not the method": (ADD, "import torch\ntorch.index_add_(x)", "not called by its name"),
    "keep": (CONV, f"{FROM_NN}\nc = nn.Conv2d(3)  # opscan: keep", "kept"),
    "keep within the call": (CONV, f"{FROM_NN}\nc = nn.Conv2d(\n    3,  # opscan: keep, measured\n)", "kept"),
}


@pytest.mark.parametrize(("of", "text", "why"), LEFT.values(), ids=LEFT)
def test_what_cannot_be_edited_says_why(of: str, text: str, why: str) -> None:
    assert edited(text, of, 2).startswith("!")
    assert why in edited(text, of, 2)


def test_a_call_over_lines_is_found_by_any_of_them() -> None:
    text = "from torch import nn\nc = nn.Conv2d(\n    3,\n    padding_mode='replicate',\n)\n"
    assert {edited(text, CONV, line) for line in (2, 3, 4, 5)} == {text.replace("nn.Conv2d", "replacements.Conv2d")}


def test_a_subclass_gets_another_base() -> None:
    text = textwrap.dedent(
        """\
        from torch import nn
        class Same(nn.Conv2d):
            def __init__(self, n):
                super().__init__(n, n, 3, padding=1, padding_mode="replicate")
        """
    )
    assert edited(text, CONV, 4) == text.replace("(nn.Conv2d)", "(replacements.Conv2d)")


DOCUMENTED = '"""Net."""\nfrom __future__ import annotations\nimport torch.nn as nn\n'
IMPORT = "from opscan import replacements\n"
HEADS = {
    "below the imports": (f"{FROM_NN}\n", f"{FROM_NN}\n{IMPORT}"),
    "below the future": (DOCUMENTED, DOCUMENTED + IMPORT),
    "there under a name": (f"from opscan import replacements as det\n{NN}\n",) * 2,
    "there as a package": (f"import opscan.replacements as r\n{NN}\n",) * 2,
    "the name is taken": (
        f"{NN}\nreplacements = 3\n",
        f"{NN}\nfrom opscan import replacements as opscan_replacements\nreplacements = 3\n",
    ),
}


@pytest.mark.parametrize(("head", "after"), HEADS.values(), ids=HEADS)
def test_the_import_is_added_once(head: str, after: str) -> None:
    line = head.count("\n") + 1
    result = edited(f"{head}c = nn.Conv2d(3)\n", CONV, line, importing=True)
    assert result.startswith(after)
    alias = Editor(f"{head}c = nn.Conv2d(3)\n").alias
    assert result == f"{after}c = {alias}.Conv2d(3)\n"


@given(
    st.integers(0, 3),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["x", "f(x)[0]", "(x)", "'é'.y"]),
    st.text("ab #", max_size=5),
)
def test_what_is_around_a_call_stays(blank: int, newline: str, receiver: str, comment: str) -> None:
    lines = ["import torch", *[""] * blank, f"y = {receiver}.index_add_(0, i, v)  # {comment}", "z = 1"]
    text = newline.join(lines)
    result = edited(text, ADD, blank + 2)
    ast.parse(result)
    assert result == text.replace(f"{receiver}.index_add_(", f"replacements.index_add_({receiver}, ")
