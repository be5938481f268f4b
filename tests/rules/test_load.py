"""Rule files that are wrong are refused with an error that names file, id and fix."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path

import pytest
import torch

from opscan.errors import RulesError
from opscan.rules.load import builtin_rules_dir, load_rules, make_ruleset, read_folder, read_rules

ROW = """
[[rule]]
id = "OPS001"
title = "a row"
ops = ["aten.erf.default"]
phase = "forward"
mechanism = "made up"
when = ["ndim(self) == 2"]

[[rule.history]]
device = ["cuda"]
torch = ">=2.2,<2.8"
default = "nondeterministic"
strict = "raises"
alert = "erf_cuda"
why = "made up"

[[rule.bits]]
when = ["size(self, 0) == 1"]
at_sizes = ["numel(self) < 9"]
bits = "cannot vary"
why = "one value"

[[rule.replacement]]
name = "another"
same_values = "bitwise"
how = "y = other(x)"

[[rule.evidence]]
kind = "test"
ref = "this test"
"""


def write(folder: Path, text: str, name: str = "mine.toml") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_row_is_read_whole(tmp_path: Path) -> None:
    (rule,) = read_rules(write(tmp_path, ROW))
    assert (rule.id, rule.ops, rule.when[0].text, rule.source) == (
        "OPS001",
        ("aten.erf.default",),
        "ndim(self) == 2",
        "mine.toml",
    )
    assert (rule.history[0].verdict, rule.history[0].alert) == ("raises", "erf_cuda")
    assert rule.history[0].torch.contains("2.6.0")
    assert not rule.history[0].torch.contains("2.8.0")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        pytest.param('title = "a row"', 'titel = "a row"', "title", id="a key misspelt, so one is missing"),
        pytest.param('title = "a row"', 'title = "a row"\ncolour = "red"', "colour", id="an unknown key"),
        pytest.param('title = "a row"', 'title = ""', "title", id="an empty text"),
        pytest.param('id = "OPS001"', 'id = "OP1"', "A-Z", id="an id of another form"),
        pytest.param('phase = "forward"', 'phase = "foward"', "Did you mean `forward`", id="a word nearly right"),
        pytest.param(
            'torch = ">=2.2,<2.8"', 'torch = "2.2 to 2.8"', ">=2.2,<2.8", id="a version range nobody can read"
        ),
        pytest.param('device = ["cuda"]', 'device = ["tpu"]', "cuda, mps, cpu", id="an unknown device"),
        pytest.param('device = ["cuda"]', 'device = "cuda"', "list", id="a text for a list"),
        pytest.param('alert = "erf_cuda"\n', "", "alert", id="raises without its alert"),
        pytest.param('strict = "raises"', 'strict = "deterministic"', "alert", id="an alert without raises"),
        pytest.param('ops = ["aten.erf.default"]', "", "ops nor calls", id="names nothing"),
        pytest.param('ops = ["aten.erf.default"]', 'calls = ["torch.erf"]', "params", id="a call without parameters"),
        pytest.param("ndim(self) == 2", "ndims(self) == 2", "did you mean ndim()", id="an unknown function"),
        pytest.param("ndim(self) == 2", "__import__('os')", "unknown function", id="an escape attempt"),
        pytest.param("ndim(self) == 2", "self.shape == 2", "Attribute", id="not in the condition language"),
        pytest.param("ndim(self) == 2", "ndim(self ==", "expression", id="not an expression"),
        pytest.param('[[rule.evidence]]\nkind = "test"\nref = "this test"', "", "evidence", id="no evidence"),
        pytest.param('bits = "cannot vary"', 'bits = "no"', "vary, cannot vary, unknown", id="unknown bits"),
        pytest.param('why = "one value"', "", "why", id="bits without a reason"),
        pytest.param('alert = "erf_cuda"', 'alert = "e"\nwarn_only = "x"', "raises", id="an unknown warn_only"),
        pytest.param('same_values = "bitwise"', 'same_values = "yes"', "bitwise", id="an unknown likeness"),
    ],
)
def test_an_error_names_file_id_and_fix(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in ROW
    path = write(tmp_path, ROW.replace(old, new))
    with pytest.raises(RulesError) as caught:
        list(read_rules(path))
    text = str(caught.value)
    assert "mine.toml" in text
    assert "OPS001" in text or "OP1" in text
    assert says in text


def test_broken_toml_names_the_file_and_the_line(tmp_path: Path) -> None:
    path = write(tmp_path, "[[rule]\nid = 1")
    with pytest.raises(RulesError, match=r"mine\.toml.*line 1"):
        list(read_rules(path))


def test_an_id_used_twice_names_both_files(tmp_path: Path) -> None:
    write(tmp_path, ROW, "one.toml")
    write(tmp_path, ROW, "two.toml")
    with pytest.raises(RulesError, match=r"(?s)one\.toml and two\.toml.*OPS001"):
        make_ruleset(read_folder(tmp_path))


def test_a_folder_without_rules_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RulesError, match="no rule files"):
        make_ruleset(read_folder(tmp_path))


@cache
def aten_overloads() -> dict[str, tuple[torch._ops.OpOverload, ...]]:
    """Every op packet of torch's own and its overloads: `aten.put_` to (`aten.put_.default`,)."""
    packets: dict[str, list[torch._ops.OpOverload]] = {}
    for full in torch._C._dispatch_get_all_op_names():
        namespace, _, name = full.partition("::")
        packet, _, overload = name.partition(".")
        if namespace == "aten" and hasattr(torch.ops.aten, packet):
            found = getattr(getattr(torch.ops.aten, packet), overload or "default", None)
            packets.setdefault(f"aten.{packet}", []).extend([found] if found is not None else [])
    return {packet: tuple(found) for packet, found in packets.items()}


def overloads_of(op: str) -> list[torch._ops.OpOverload]:
    """The overloads a rule's `ops` entry stands for, in this torch."""
    return [each for each in aten_overloads().get(".".join(op.split(".")[:2]), ()) if f"{each}.".startswith(f"{op}.")]


NEWER_OR_OLDER = {"aten._cudnn_attention_forward", "aten._cudnn_attention_backward"}
"""Ops of the rules that some supported torch does not have."""


def test_every_op_of_the_rules_exists_in_torch() -> None:
    named = {op for rule in load_rules().rules for op in rule.ops if op.startswith("aten.")}
    assert {op for op in named if not overloads_of(op)} <= NEWER_OR_OLDER


def test_conditions_name_arguments_the_ops_have() -> None:
    for rule in load_rules().rules:
        conditions = [*rule.when, *rule.at_scale, *(each for entry in rule.history for each in entry.when)]
        conditions += [each for claim in rule.bits for each in (*claim.when, *claim.at_sizes)]
        names = {name for condition in conditions for name in condition.names}
        for op in rule.ops:
            for overload in overloads_of(op):
                missing = names - {each.name for each in overload._schema.arguments}
                assert not missing or "out" in overload._overloadname, f"{rule.id} {overload}: {missing}"
        if rule.calls:
            assert names <= set(rule.params), rule.id


DRAWS_NOTHING_ITSELF = {
    "_fused_sdp_choice", "_fill_mem_eff_dropout_mask_", "_nested_tensor_softmax_with_shape",
    "_cudnn_init_dropout_state",
    "fused_dropout", "lstm", "gru", "rnn_tanh", "rnn_relu", "scaled_dot_product_attention",
}  # fmt: skip
"""Tagged as seeded, but an inner op draws (and is matched itself), or a rule names the public call."""


def test_every_op_torch_tags_as_drawing_random_numbers_has_a_rule() -> None:
    rules = load_rules()
    tagged = {
        packet.removeprefix("aten.")
        for packet, overloads in aten_overloads().items()
        if any(torch.Tag.nondeterministic_seeded in each.tags for each in overloads) and not rules.for_op(f"{packet}.x")
    }
    drawing = {packet for packet in tagged - DRAWS_NOTHING_ITSELF if "backward" not in packet}
    assert {packet for packet in drawing if not packet.endswith(("_no_dropout_inplace", "_for_cpu"))} == set()


def test_evidence_and_texts_are_real() -> None:
    for path in builtin_rules_dir().glob("*.toml"):
        for word in ("TODO", "FIXME", "XXX", "/work/", "/tmp/"):
            assert word not in path.read_text(), path.name


def test_a_row_goes_back_and_forth_between_toml_and_rule(tmp_path: Path) -> None:
    for path in sorted(builtin_rules_dir().glob("*.toml")):
        if "." in path.stem:
            continue
        rows = tomllib.loads(path.read_text(encoding="utf-8"))["rule"]
        rules = list(read_rules(path))
        assert [rule.id for rule in rules] == [row["id"] for row in rows]
        for rule, row in zip(rules, rows, strict=True):
            assert [condition.text for condition in rule.when] == row.get("when", [])
            assert [(str(e.torch), e.default, e.strict) for e in rule.history] == [
                (str(entry.torch), new["default"], new["strict"])
                for entry, new in zip(rule.history, row["history"], strict=True)
            ]
            assert len(rule.replacements) == len(row.get("replacement", []))
