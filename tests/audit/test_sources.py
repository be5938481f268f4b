"""Signs in Python sources: what reads a flag, and what only mentions one."""

from __future__ import annotations

import textwrap

import pytest

from opscan.audit.sources import read_source, top_level_names


def signs(source: str) -> list[tuple[str, str]]:
    found, _ = read_source("m.py", textwrap.dedent(source).encode())
    return [(sign.kind, sign.name) for sign in found]


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("def f():\n  if torch.are_deterministic_algorithms_enabled(): pass", ("python", "m.py:f")),
        ("class A:\n  def g(self):\n    return torch._C._get_deterministic_algorithms()", ("python", "m.py:A.g")),
        ("x = torch.utils.deterministic.fill_uninitialized_memory", ("python", "m.py:<module>")),
        ("def f(name):\n  utils.alert_not_deterministic(name)", ("python", "m.py:f")),
        ("def f():\n  if config.deterministic: pass", ("python", "m.py:f")),
        ("def f(meta):\n  return meta['are_deterministic_algorithms_enabled']", ("python", "m.py:f")),
        ("def f(meta):\n  return meta.get('deterministic', False)", ("python", "m.py:f")),
        ("def f():\n  return 'if (at::globalContext().deterministicAlgorithms()) {'", ("python", "m.py:f")),
        ("@triton.jit\ndef k(p):\n  tl.atomic_add(p, 1.0)", ("triton", "m.py:k")),
        ("def k(p):\n  triton.language.atomic_cas(p, 0, 1)", ("triton", "m.py:k")),
        ("def k(line):\n  return f'tl.atomic_add({line}, 1)'", ("triton", "m.py:k")),
    ],
)
def test_found(source: str, expected: tuple[str, str]) -> None:
    assert signs(source) == [expected]


@pytest.mark.parametrize(
    "source",
    [
        '"""See torch.are_deterministic_algorithms_enabled()."""',
        'def f():\n  """Uses tl.atomic_add(p, 1)."""',
        "# torch.are_deterministic_algorithms_enabled()",
        "from torch import are_deterministic_algorithms_enabled",
        "__all__ = ['are_deterministic_algorithms_enabled']",
        "torch.utils.deterministic.fill_uninitialized_memory = True",
        "torch.use_deterministic_algorithms(True)",
        "config.deterministic = True",
        "layer.deterministic",
        "def f(x):\n  return x.atomic_add(1)",
        "print 'are_deterministic_algorithms_enabled', torch.are_deterministic_algorithms_enabled()",
    ],
)
def test_not_found(source: str) -> None:
    assert signs(source) == []


def test_alerts_in_the_python_of_a_package_are_alerts() -> None:
    source = "def f():\n  torch._prims_common.alert_not_deterministic('roi_align_backward_kernel')"
    assert ("alert", "roi_align_backward_kernel") in signs(source)
    of_torch, _ = read_source("torch/m.py", source.encode())
    assert [sign.kind for sign in of_torch] == ["python"]


def test_ops_are_known_by_their_qualified_names() -> None:
    _, ops = read_source(
        "m.py", b"@torch.library.custom_op('my_ns::scatter', mutates_args=())\ndef f(): ...\nx = 'a::b c'"
    )
    assert ops == {"my_ns.scatter"}


def test_top_level_names_are_functions_and_variables() -> None:
    assert top_level_names(b"def f(): ...\nclass C: ...\ng = f\nif True:\n  def h(): ...") == {"f", "g"}
