"""Which classes of a file may be models, by its text alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from opscan.files.text import model_classes

PROJECT = {
    "pkg/__init__.py": "from .base import Base as Root\nfrom .late import *\n",
    "pkg/base.py": "import torch\nclass Base(torch.nn.Module): ...\nclass Plain: ...\n",
    "pkg/circle.py": "from pkg.round import B\nclass A(B): ...\n",
    "pkg/round.py": "from pkg.circle import A\nclass B(A): ...\n",
    "pkg/again.py": "from pkg.again import Mine\nclass Net(Mine): ...\n",
    "pkg/broken.py": "class Net(:\n",
    "pkg.py": "class Root: ...\n",
    "neighbour.py": "import torch.nn as tnn\nclass Near(tnn.Module): ...\nclass Far(dict): ...\n",
}
CASES = [
    pytest.param("from torch import nn\nclass Net(nn.Module): ...", ["Net"], id="torch.nn"),
    pytest.param("import torch\nclass Net(torch.nn.Module): ...", ["Net"], id="torch itself"),
    pytest.param("from torch.nn import Module as M\nclass Net(M): ...", ["Net"], id="under another name"),
    pytest.param("class A(B): ...\nfrom torch.nn import Linear as B", ["A"], id="imported after it"),
    pytest.param(
        "from torch.nn import Module\nclass A(Module): ...\nclass B(A): ...", ["A", "B"], id="of the file's own"
    ),
    pytest.param("from torch import nn\ntry:\n  class A(nn.Module): ...\nexcept E: ...", ["A"], id="inside try"),
    pytest.param("from torch import nn\nif x:\n  y\nelse:\n  class A(nn.Module): ...", ["A"], id="inside else"),
    pytest.param("from torch import nn\nclass A(nn.Module, list[int]): ...", ["A"], id="one base of several"),
    pytest.param("from timm.layers import Base\nclass A(Base): ...", ["A"], id="another package's, which may be one"),
    pytest.param("class A(make_base()): ...", ["A"], id="a base that is made"),
    pytest.param("Base = pick()\nclass A(Base): ...", ["A"], id="a base that is assigned"),
    pytest.param("from x import *\nclass A(Base): ...", ["A"], id="a base from a star"),
    pytest.param("from typing import Generic\nfrom torch import nn\nclass A(Generic[T]): ...", [], id="typing"),
    pytest.param("class A: ...\nclass B(A): ...\nclass C(dict, Exception): ...", [], id="plain classes and builtins"),
    pytest.param("import enum, abc\nclass A(enum.Enum): ...\nclass B(abc.ABC): ...", [], id="the standard library's"),
    pytest.param("from torch.utils.data import Dataset\nclass A(Dataset): ...", [], id="a dataset"),
    pytest.param("import torch\nclass A(torch.autograd.Function): ...", [], id="an autograd function"),
    pytest.param("import torch\nclass A(torch.jit.ScriptModule): ...", ["A"], id="a scripted module"),
    pytest.param("class A(A): ...", [], id="its own base"),
    pytest.param(
        "try:\n  from torch.nn import Module as B\nexcept E:\n  from abc import ABC as B\nclass A(B): ...",
        ["A"],
        id="one of two imports",
    ),
    pytest.param(
        "import torch\nif x:\n  class A(torch.nn.Module): ...\nelse:\n  class A: ...", ["A"], id="one of two classes"
    ),
    pytest.param("from abc import ABC\nclass ABC(ABC): ...\nclass A(ABC): ...", [], id="a name bound twice"),
    pytest.param("def f():\n  from torch import nn\n  class A(nn.Module): ...", [], id="inside a function"),
    pytest.param("from pkg.base import Base, Plain\nclass A(Base): ...\nclass B(Plain): ...", ["A"], id="a module's"),
    pytest.param("from pkg import Root\nclass A(Root): ...", ["A"], id="through a package"),
    pytest.param("import pkg.base\nclass A(pkg.base.Base): ...\nclass B(pkg.base.Plain): ...", ["A"], id="dotted"),
    pytest.param("from neighbour import Near, Far\nclass A(Near): ...\nclass B(Far): ...", ["A"], id="a neighbour's"),
    pytest.param("from pkg.circle import A\nclass C(A): ...", [], id="bases in a circle, over two files"),
    pytest.param("from pkg.again import Mine\nclass C(Mine): ...", [], id="an import in a circle"),
    pytest.param("from pkg.broken import Net\nclass C(Net): ...", ["C"], id="from a file that cannot be read"),
    pytest.param("x = 'class A(nn.Module): ...'", [], id="in a string"),
    pytest.param("", [], id="empty"),
]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in PROJECT.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(("text", "found"), CASES)
def test_classes_that_may_be_models(text: str, found: list[str], project: Path) -> None:
    (project / "file.py").write_text(text)
    assert list(model_classes(Path("file.py"))) == found


def test_relative_imports_begin_at_the_file(project: Path) -> None:
    (project / "pkg" / "net.py").write_text(
        "from .base import Base, Plain\nfrom . import base, Root\nclass E(Root): ...\n"
        "class A(Base): ...\nclass B(Plain): ...\nclass C(base.Base): ...\nclass D(base.Plain): ...\n"
    )
    assert model_classes(Path("pkg/net.py")) == ("E", "A", "C")


@pytest.mark.parametrize("text", [b"class A(:\n", b"class A: x = '\0'\n", b"\xffclass A: ...\n"])
def test_what_is_not_python_is_an_error(text: bytes, project: Path) -> None:
    (project / "file.py").write_bytes(text)
    with pytest.raises((SyntaxError, ValueError)):
        model_classes(Path("file.py"))
