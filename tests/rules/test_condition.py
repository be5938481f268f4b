"""The condition language: what each function says, and that what is not known counts as met."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from opscan.rules.condition import parse_condition
from opscan.trace.recorder import tensor_info

X = tensor_info(torch.empty(2, 3, 4, 5))
IDS = tensor_info(torch.empty(2, 16, dtype=torch.int64))


@pytest.mark.parametrize(
    ("text", "arguments", "holds"),
    [
        ("floating(x)", {"x": X}, True),
        ("floating(x)", {"x": IDS}, False),
        ("complex(x)", {"x": tensor_info(torch.empty(2, dtype=torch.complex64))}, True),
        ("integral(x)", {"x": IDS}, True),
        ("integral(x)", {"x": tensor_info(torch.empty(2, dtype=torch.bool))}, False),
        ("boolean(x)", {"x": tensor_info(torch.empty(2, dtype=torch.bool))}, True),
        ("quantized(x)", {"x": X}, False),
        ("dtype(x) in ('float32', 'float16')", {"x": X}, True),
        ("layout(x) == 'strided'", {"x": X}, True),
        ("layout(x) == 'sparse_coo'", {"x": tensor_info(torch.eye(2).to_sparse())}, True),
        ("ndim(x) == 4 and numel(x) == 120", {"x": X}, True),
        ("size(x, -1) == 5 and shape(x)[0] == 2", {"x": X}, True),
        ("size(x, 0) == 1", {"x": tensor_info(torch.empty(()))}, True),
        ("channels_last(x)", {"x": X}, False),
        ("channels_last(x)", {"x": tensor_info(torch.empty(2, 3, 4, 5).to(memory_format=torch.channels_last))}, True),
        ("channels_last(x)", {"x": tensor_info(torch.empty(2, 1, 4, 5))}, False),
        ("channels_last(x)", {"x": tensor_info(torch.empty(1, 2, 3, 4, 5))}, False),
        ("unique(i)", {"i": SimpleNamespace(distinct=True)}, True),
        ("unique(i)", {"i": SimpleNamespace(distinct=False)}, False),
        ("unique(i)", {"i": [None, SimpleNamespace(distinct=True)]}, True),
        ("unique(i)", {"i": [SimpleNamespace(distinct=True)] * 2}, False),
        ("given(w)", {"w": None}, False),
        ("given(w)", {"w": X}, True),
        ("reduction != 0", {"reduction": 1}, True),
        ("not accumulate", {"accumulate": True}, False),
        ("ceil(n / 2) > 2 or min(n, 9) == 9", {"n": 5}, True),
        ("requires_grad(x)", {"x": X}, False),
        ("requires_grad(x)", {"x": tensor_info(torch.empty(2, requires_grad=True))}, True),
        ("read_before_written()", {"read_before_written": False}, False),
        ("read_before_written()", {}, True),
        ("reduction != 0", {}, True),
        ("numel(x) > 5", {"x": None}, True),
        ("size(x, 9) == 1", {"x": X}, True),
    ],
)
def test_a_condition(text: str, arguments: dict[str, Any], holds: bool) -> None:
    assert parse_condition(text).holds(arguments) is holds
