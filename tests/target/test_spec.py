"""The text of a target, read and refused."""

from __future__ import annotations

import subprocess
import sys

import pytest

from opscan.errors import TargetError
from opscan.target.spec import parse_target

READ = {
    "a module": ("mymodel:CNN_v2", ("mymodel", "CNN_v2", False, False, (), {})),
    "a dotted module": ("pkg.mod:Name", ("pkg.mod", "Name", False, False, (), {})),
    "a nested class": ("mod:Outer.Inner", ("mod", "Outer.Inner", False, False, (), {})),
    "a file": ("file.py:Name", ("file.py", "Name", True, False, (), {})),
    "a path": ("a/b c/file.py:Name", ("a/b c/file.py", "Name", True, False, (), {})),
    "a path with parentheses": ("a (1)/file.py:Name(2)", ("a (1)/file.py", "Name", True, True, (2,), {})),
    "a drive letter": (r"C:\models\net.py:Name", (r"C:\models\net.py", "Name", True, False, (), {})),
    "called with nothing": ("mod:make()", ("mod", "make", False, True, (), {})),
    "negative numbers": ("mod:Net(-1, -2.5)", ("mod", "Net", False, True, (-1, -2.5), {})),
    "every literal": (
        "mod:Net((1, 2), [3], {'a:b': 1}, None, x=True, y='s)')",
        ("mod", "Net", False, True, ((1, 2), [3], {"a:b": 1}, None), {"x": True, "y": "s)"}),
    ),
    "spaces around": (" mod:Net (1) ", ("mod", "Net", False, True, (1,), {})),
    "not in ASCII": ("módulo:Réseau", ("módulo", "Réseau", False, False, (), {})),
}


@pytest.mark.parametrize(("text", "expected"), READ.values(), ids=READ)
def test_reads(text, expected):
    spec = parse_target(text)
    assert (spec.module, spec.name, spec.is_file, spec.called, spec.args, spec.kwargs) == expected
    assert spec.text == text.strip()


REFUSED = {
    "no colon": ("mymodel", "mymodel:Name"),
    "no colon, dotted": ("mymodel.CNN", "mymodel:CNN"),
    "no colon, a file": ("dir/mymodel.py", "dir/mymodel.py:Name"),
    "two colons, as for pytest": ("mymodel.py::CNN", "Write one colon: mymodel.py:CNN"),
    "nothing": ("", "pkg.mod:Name"),
    "no name": ("mymodel:", "pkg.mod:Name"),
    "not a module": ("my-model:CNN", "neither a module name nor a .py file"),
    "a name inside": ("mod:Net(size)", "the argument size is not a literal"),
    "a call inside": ("mod:Net(depth=int(3))", "the argument depth=int(3) is not a literal"),
    "double star": ("mod:Net(**{'a': 1})", "**"),
    "star": ("mod:Net(*[1])", "is not a literal"),
    "a parenthesis open": ("mod:Net((1)", "cannot read the arguments"),
    "called twice": ("mod:make()(1)", "cannot read the arguments"),
    "text behind the call": ("mod:Net(1).half", "not a target"),
    "a null byte": ("mod:Net(\0)", "cannot read the arguments"),
}


@pytest.mark.parametrize(("text", "said"), REFUSED.values(), ids=REFUSED)
def test_refuses(text, said):
    with pytest.raises(TargetError) as caught:
        parse_target(text)
    assert said in str(caught.value)
    assert repr(text) in caught.value.where


def test_names_the_file_that_exists(tmp_path, monkeypatch):
    (tmp_path / "net.py").touch()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TargetError, match=r"Say which model in the file: net\.py:Name"):
        parse_target("net")


def test_does_not_load_torch():
    program = "import sys, opscan.target.spec, opscan.target.load; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
