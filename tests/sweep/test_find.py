"""Which targets a package, a file or a list holds: packages written here, with one class per reason."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from opscan.errors import OpscanError, TargetError
from opscan.sweeps.find import find
from opscan.sweeps.search import search

HEAD = "import torch\nfrom torch import nn\n"


def module(name: str, *, body: str = "return x", base: str = "nn.Module", init: str = "pass") -> str:
    return (
        f"class {name}({base}):\n    def __init__(self):\n        super().__init__()\n        {init}\n"
        f"    def forward(self, x):\n        {body}\n"
    )


def package(folder: Path, files: dict[str, str], name: str = "zoo") -> None:
    for path, text in {"__init__.py": "", **files}.items():
        file = folder / name / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        (file.parent / "__init__.py").touch()


def targets(what: str, every: bool = False) -> list[str]:
    return [each.target for each in find(what, every).listed]


BLOCKS = HEAD + module("Block") + module("Net", init="self.block = Block()")
CASES = {
    "a class that another builds itself from is a block": (BLOCKS, ["Net"]),
    "a block may be reached through a function": (
        HEAD
        + module("Block")
        + "def layers():\n    return nn.Sequential(*(Block() for _ in range(3)))\n"
        + module("Net", init="self.blocks = layers()"),
        ["Net"],
    ),
    "a block may be looked up in a table": (
        HEAD + module("Block") + "KINDS = {'block': Block}\n" + module("Net", init="self.block = KINDS['block']()"),
        ["Net"],
    ),
    "a block may be a default": (
        HEAD
        + module("Block")
        + "class Net(nn.Module):\n    def __init__(self, kind=Block):\n        super().__init__()\n"
        + "    def forward(self, x):\n        return x\n",
        ["Net"],
    ),
    "a base is no block of what is derived from it": (
        HEAD + module("Net") + module("Wider", base="Net", init="super(Net, self).__init__()"),
        ["Net", "Wider"],
    ),
    "a private class": (HEAD + module("_Net") + module("Net"), ["Net"]),
    "what __all__ leaves out": ("__all__ = ['Net']\n" + HEAD + module("Other") + module("Net"), ["Net"]),
    "a class without a forward": (HEAD + "class Base(nn.Module):\n    pass\n" + module("Net"), ["Net"]),
    "an abstract class": (
        "from abc import ABC, abstractmethod\n" + HEAD + module("Base", base="nn.Module, ABC")
        + "    @abstractmethod\n    def head(self): ...\n" + module("Net"),
        ["Net"],
    ),
    "a loss": (HEAD + module("Far", base="nn.MSELoss") + module("DiceLoss") + module("Net"), ["Net"]),
    "an import": (HEAD + "from torch.nn import Linear, Transformer\n" + module("Net"), ["Net"]),
    "a block that can be loaded by itself is a model": (
        HEAD + module("Base") + "    @classmethod\n    def from_pretrained(cls, name): ...\n"
        + module("Net", init="self.base = Base()"),
        ["Base", "Net"],
    ),
    "a model that trains itself, without a forward": (
        HEAD + "class Lit(nn.Module):\n    def training_step(self, batch, index): ...\n", ["Lit"]
    ),
    "a factory": (HEAD + module("Net") + "def net_small(width=3) -> Net:\n    return Net()\n", ["Net", "net_small"]),
    "a function with another result, or that needs arguments": (
        HEAD + module("Net") + "def count() -> int:\n    return 3\ndef pick(name) -> nn.Module:\n    return Net()\n",
        ["Net"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_a_model_is(case: str, workplace: Path) -> None:
    text, names = CASES[case]
    package(workplace, {"nets.py": text})
    assert targets("zoo") == [f"zoo.nets:{name}" for name in names]
    (workplace / "alone.py").write_text(text)
    assert targets("alone.py") == [f"alone.py:{name}" for name in names]


def test_a_package_is_walked_and_what_cannot_be_imported_is_told(workplace: Path) -> None:
    files = {
        "__init__.py": "from zoo.vision.vit import ViT\n",
        "vision/vit.py": HEAD + module("ViT"),
        "text/bert.py": HEAD + module("Bert"),
        "broken.py": f"import not_there\n{HEAD}{module('Broken')}",
        "leaves.py": f"raise SystemExit(2)\n{HEAD}{module('Leaves')}",
        "tests/test_it.py": HEAD + module("Fixture"),
        "_private.py": HEAD + module("Hidden"),
        "words.py": "raise ValueError('a file that speaks of no models is not imported')\n",
    }
    package(workplace, files)
    found = find("zoo", False)
    assert [(each.target, each.family) for each in found.listed] == [("zoo.text.bert:Bert", "bert"), ("zoo:ViT", "vit")]
    assert dict(found.skipped) == {
        "zoo.broken": "ModuleNotFoundError: No module named 'not_there'",
        "zoo.leaves": "SystemExit: 2",
    }
    assert targets("zoo.text") == ["zoo.text.bert:Bert"]


def test_a_lazy_package_names_all_that_is_public(workplace: Path) -> None:
    lazy = (
        "import importlib\n_HOMES = {'BertModel': 'bert.modeling_bert', 'GptModel': 'gpt.modeling_gpt'}\n"
        "def __getattr__(name):\n"
        "    if name not in _HOMES:\n        raise AttributeError(name)\n"
        "    return getattr(importlib.import_module(f'zoo.{_HOMES[name]}'), name)\n"
    )
    use = "from zoo.shared import scale\n" + HEAD
    files = {
        "__init__.py": lazy,
        "shared.py": "def scale(x):\n    return x\n",
        "bert/modeling_bert.py": use + module("BertModel") + module("Helper"),
        "bert/modular_bert.py": use + module("BertModel"),
        "gpt/modeling_gpt.py": use + module("GptModel"),
    }
    package(workplace, files)
    found = find("zoo", False)
    assert [(each.target, each.family) for each in found.listed] == [("zoo:BertModel", "bert"), ("zoo:GptModel", "gpt")]
    assert found.preload == ("zoo", "zoo.shared")


REGISTRY = HEAD + module("Net") + (
    "def list_models():\n    return ['vgg11', 'resnet50', 'resnet18', 'vgg16']\n"
    "def create_model(name):\n    return Net()\n"
)  # fmt: skip


def test_a_registry_gives_one_of_each_family_or_all(workplace: Path) -> None:
    package(workplace, {"__init__.py": REGISTRY, "models.py": HEAD + module("Inner")})
    assert targets("zoo") == ["zoo:create_model('resnet18')", "zoo:create_model('vgg11')"]
    assert [(each.target, each.family) for each in find("zoo", True).listed] == [
        ("zoo:create_model('resnet18')", "resnet"),
        ("zoo:create_model('resnet50')", "resnet"),
        ("zoo:create_model('vgg11')", "vgg"),
        ("zoo:create_model('vgg16')", "vgg"),
    ]


def test_a_text_file_has_a_target_per_line(workplace: Path) -> None:
    (workplace / "targets.txt").write_text("# ours\nmymodel:CNN_v2\nmymodel:CNN_v3\n\n  mymodel4:CNN_v4  # clean\n")
    found = search(["targets.txt", "zoo:make(num_classes=3)", "targets.txt"])
    assert [each.target for each in found.listed] == [
        "mymodel:CNN_v2",
        "mymodel:CNN_v3",
        "mymodel4:CNN_v4",
        "zoo:make(num_classes=3)",
    ]
    assert found.preload == ("mymodel",)
    assert [each.target for each in search(["targets.txt"], select="*4").listed] == ["mymodel4:CNN_v4"]


@pytest.mark.parametrize(
    ("write", "what", "message"),
    [
        pytest.param(lambda folder: None, "not_there", "no module named 'not_there'", id="no such package"),
        pytest.param(lambda folder: None, "not_there.py", "no such file", id="no such file"),
        pytest.param(lambda folder: package(folder, {}), "zoo", "zoo: no model in it", id="no model"),
        pytest.param(
            lambda folder: package(folder, {"net.py": "import torch_none\nclass Net: ..."}),
            "zoo",
            "no model in it (1 of its modules cannot be imported)",
            id="none that can be imported",
        ),
    ],
)
def test_nothing_found_is_an_error(write: Callable[[Path], None], what: str, message: str, workplace: Path) -> None:
    write(workplace)
    with pytest.raises(OpscanError, match=re.escape(message)) as caught:
        find(what, False)
    assert isinstance(caught.value, TargetError)
    assert caught.value.hint
