"""Loading the object: what is importable, and one clear error for each way it fails."""

from __future__ import annotations

import sys

import pytest

from opscan.errors import TargetError
from opscan.target.load import load_object
from opscan.target.spec import parse_target


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A current directory of its own; sys.path and sys.modules are put back."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if not name.startswith("torch"):
            del sys.modules[name]


def write(directory, **files):
    """`a__b="..."` writes a/b.py; `a__init="..."` writes a/__init__.py."""
    for name, text in files.items():
        path = directory / (name.replace("__", "/").replace("/init", "/__init__") + ".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def load(text):
    return load_object(parse_target(text))


LOADED = {
    "a module in the current directory": "net_a:VALUE",
    "a file in the current directory": "net_a.py:VALUE",
    "a file elsewhere": "else/net_b.py:VALUE",
    "a file that imports its neighbour": "else/net_c.py:VALUE",
    "a file in a package, with relative imports": "src/pkg_a/sub/net.py:VALUE",
    "a package by its file": "src/pkg_a/sub/init.py:VALUE",
    "a module of the standard library's name": "else/json.py:VALUE",
    "a file whose stem is no identifier": "else/my-net.py:VALUE",
    "an attribute of an attribute": "net_a:Outer.VALUE",
}


@pytest.mark.parametrize("text", LOADED.values(), ids=LOADED)
def test_loads(text, here):
    write(here, net_a="VALUE = 7\nclass Outer:\n    VALUE = 7\n", else__net_b="VALUE = 7\n", else__json="VALUE = 7\n")
    write(here, else__net_c="from net_b import VALUE\n", src__pkg_a__base="VALUE = 7\n")
    write(here, src__pkg_a__sub__net="from ..base import VALUE\n")
    (here / "else" / "my-net.py").write_text("VALUE = 7\n")
    write(here, src__pkg_a__init="", src__pkg_a__sub__init="VALUE = 7\n")
    assert load(text.replace("/init.py", "/__init__.py")) == 7


def test_two_files_of_one_name_are_two_modules(here):
    write(here, one__net_d="VALUE = 1\n", two__net_d="VALUE = 2\n")
    assert [load("one/net_d.py:VALUE"), load("two/net_d.py:VALUE"), load("one/net_d.py:VALUE")] == [1, 2, 1]


MODELS = "from torch import nn\nclass Small(nn.Module): pass\nclass Large(nn.Module): pass\nSIZE = 3\n"

FAILED = {
    "no such module": ("absent:Net", "", "no module named 'absent'", "in the directory that holds it"),
    "a module spelt wrong": ("targt:Net", "", "no module named 'targt'", "Did you mean target_e"),
    "no such submodule": ("target_e.sub:Net", "", "no module named 'target_e.sub'", ""),
    "no such file": ("absent.py:Net", "", "no such file: absent.py", "Looked for"),
    "a file spelt wrong": ("target_f.py:Net", "", "no such file: target_f.py", "Did you mean target_e.py"),
    "a file without .py": ("./target_e:Net", "", "no such file: ./target_e", "Did you mean target_e.py"),
    "a missing dependency": ("target_e:Net", "x = 1\nimport absent_lib", "imports absent_lib, which is", "Install it"),
    "a missing part of a dependency": (
        "target_e:Net",
        "import json.absent",
        "imports json.absent, which is",
        "Install",
    ),
    "a name a module lacks": ("target_e:Net", "from json import absent", "cannot import name 'absent'", "python -c"),
    "a relative import in a lone file": ("target_e.py:Net", "from . import x", "relative import", "__init__.py"),
    "a syntax error": ("target_e:Net", "x = 1\ny = = 2", "SyntaxError: invalid syntax", "The line is: y = = 2"),
    "an indentation error": ("target_e:Net", "if x:\ny = 2", "IndentationError", "The line is: y = 2"),
    "a null byte": ("target_e.py:Net", "x = '\0'", "null bytes", ""),
    "the import raises": ("target_e:Net", "def f():\n    return 1 / 0\nf()", "raised ZeroDivisionError", "Try:"),
    "the import exits": ("target_e:Net", "import sys\nsys.exit(3)", "ends the program: sys.exit(3)", "__main__"),
    "the import raises BaseException": ("target_e:Net", "raise BaseException('no')", "raised BaseException: no", ""),
    "no such name": ("target_e:net", "class Net: pass", "target_e has no name 'net'", "Did you mean Net?"),
    "no such name, models there": ("target_e:Foo", MODELS, "has no name 'Foo'", "Models defined there: Small, Large."),
    "no such name, nothing there": ("target_e:Foo", "", "has no name 'Foo'", "no nn.Module"),
    "no such inner name": ("target_e:Net.Deep", "class Net: pass", "Net has no name 'Deep'", ""),
    "the lookup raises": ("target_e:Net", "def __getattr__(name): raise OSError('gone')", "raised OSError: gone", ""),
}


@pytest.mark.parametrize(("text", "source", "what", "hint"), FAILED.values(), ids=FAILED)
def test_fails_with_one_message(text, source, what, hint, here):
    write(here, target_e=source)
    with pytest.raises(TargetError) as caught:
        load(text)
    assert what in caught.value.what
    assert hint in caught.value.hint
    assert "Traceback" not in str(caught.value)


PLACES = {
    "the line that is no Python": ("x = 1\ny = = 2", 2),
    "the innermost line of the user's": ("import json\ndef f():\n    json.loads('{')\nf()", 3),
    "the import that is missing": ("\n\nimport absent_lib", 3),
    "the exit": ("import sys\nsys.exit()", 2),
}


@pytest.mark.parametrize(("source", "line"), PLACES.values(), ids=PLACES)
def test_says_where(source, line, here):
    write(here, target_g=source)
    with pytest.raises(TargetError) as caught:
        load("target_g:Net")
    assert caught.value.where == f"target_g.py:{line}"


def test_an_error_in_an_imported_file_is_placed_there(here):
    write(here, target_h="import helper_h", helper_h="1 / 0")
    with pytest.raises(TargetError) as caught:
        load("target_h:Net")
    assert caught.value.where == "helper_h.py:1"


def test_a_failed_file_is_imported_anew(here):
    write(here, target_i="1 / 0")
    with pytest.raises(TargetError):
        load("target_i.py:VALUE")
    write(here, target_i="VALUE = 10 ** 3")
    assert load("target_i.py:VALUE") == 1000


def test_a_file_of_another_loaded_package_is_refused(here):
    write(here, one__pkg_j__init="", one__pkg_j__net="", two__pkg_j__init="", two__pkg_j__net="VALUE = 1")
    load("one/pkg_j/net.py:__name__")
    with pytest.raises(TargetError, match="already imported from"):
        load("two/pkg_j/net.py:VALUE")


def test_keyboard_interrupt_passes(here):
    write(here, target_k="raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load("target_k:Net")
