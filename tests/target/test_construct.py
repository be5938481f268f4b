"""Constructor arguments nobody gave: from documentation, from names and types, and from what errors say."""

from __future__ import annotations

import ast
import socket
import urllib.request

import pytest
import torch
from torch import nn

from opscan.errors import TargetError
from opscan.scan import check
from opscan.target.build import build_target
from opscan.target.docs.blocks import code_blocks
from opscan.target.offline import offline
from opscan.trace.driver import constructing

from . import shown

HERE = shown.__name__

SEEN = {
    shown.Divided: (65, 5),
    shown.Raising: (4, 3),
    shown.Several: 3,
    shown.Chosen: 1,
    shown.Unpacked: (224, 224),
    shown.Typed: ("a", nn.Bilinear, nn.GRUCell),
    shown.Handed: 10,
    shown.Read: (64, 10),
    shown.Configured: (64, 3),
    shown.Swallowing: (64, 10),
    shown.Misfit: 8,
    shown.Pretrained: None,
    shown.Moved: "meta",
}


@pytest.mark.parametrize(("kind", "seen"), SEEN.items(), ids=[f"{k.__name__}: {k.__doc__}"[:60] for k in SEEN])
def test_finds_arguments(kind, seen):
    assert build_target(f"{HERE}:{kind.__name__}", {}, constructing).model.seen == seen


def test_what_is_assumed_instead_of_a_default_is_said():
    (line,) = build_target(f"{HERE}:Pretrained").assumptions
    assert line.startswith("encoder_weights=None (constructor argument, instead of 'imagenet'")
    (line,) = build_target(f"{HERE}:Misfit").assumptions
    assert line.startswith("constructed by misfit() (assumed")


def test_what_is_given_counts():
    assert build_target(f"{HERE}:Divided", {"dim": 60}).model.seen[0] == 60
    assert build_target(f"{HERE}:Doctest", {"sides": (2, 2)}).model.sides == (2, 2)
    with pytest.raises(TargetError, match="would download"):
        build_target(f"{HERE}:Pretrained", {"encoder_weights": "imagenet"})


SHOWN = {
    "after prompts": ("Doctest", {"sides": (3, 5)}, "its docstring"),
    "indented": ("Indented", {"steps": 3}, "its docstring"),
    "in the module's docstring": ("Width", {"sides": (3, 5)}, "its module's docstring"),
    "of another version: guessed instead": ("Outdated", {"num_classes": 10}, ""),
}


@pytest.mark.parametrize(("name", "values", "place"), SHOWN.values(), ids=SHOWN)
def test_reads_examples(name, values, place):
    target = build_target(f"{HERE}:{name}", {}, constructing)
    assert {key: target.arguments[key] for key in values} == values
    assert place in target.assumptions[0]


def test_an_example_may_make_a_part_first():
    model = build_target(f"{HERE}:Wrapping", {}, constructing).model
    assert (type(model.part), model.part.steps, model.scale) == (shown.Indented, 2, 6)


def test_the_call_that_is_shown_gives_the_inputs():
    report = check(f"{HERE}:Indented")
    assert "x = float32" not in str(report.assumptions)
    assert any("--input 2x7)" in line for line in report.assumptions)
    assert any("--input 'ids=int64:2<5'" in line for line in report.assumptions)
    assert report.backward_ops


def test_a_shown_batch_of_one_is_doubled_where_it_is_too_small():
    assert any("--input 2x15)" in line for line in check(f"{HERE}:Doctest").assumptions)


def test_a_documented_call_is_left_out_where_inputs_are_given():
    report = check(f"{HERE}:Doctest", {"x": torch.zeros(6, 15)})
    assert not any("documented" in line for line in report.assumptions)


BLOCKS = {
    "fenced": ("text\n```python\nnet = Net(1)\n```\nNet(2) in prose", ["net = Net(1)"]),
    "a fence that does not call it": ("```\nx = 1\n```", []),
    "prompts, outputs left out": (">>> net = Net(1)\n>>> net.width\n1\n", ["net = Net(1)", "net.width"]),
    "what is no Python is left out": (
        "Example::\n\n    net = Net(1)\n    some words here\n    y = net(2)\n",
        ["net = Net(1)", "y = net(2)"],
    ),
    "a longer name": ("```\nSubNet(1)\nNetwork(2)\n```", []),
}


@pytest.mark.parametrize(("text", "statements"), BLOCKS.values(), ids=BLOCKS)
def test_code_blocks(text, statements):
    found = [ast.unparse(each) for block in code_blocks(text, "Net") for each in block]
    assert found == statements


def test_nothing_is_downloaded_and_the_network_is_there_again():
    before = (socket.getaddrinfo, socket.socket.connect)
    with offline(), pytest.raises(OSError, match="without a network"):
        urllib.request.urlopen("http://192.0.2.1/weights")
    assert (socket.getaddrinfo, socket.socket.connect) == before


PACKAGES = [
    "vit_pytorch.cait:CaiT",
    "vit_pytorch.cross_vit:CrossViT",
    "vit_pytorch.vit_3d:ViT",
    "monai.networks.nets:UNet",
    "monai.networks.nets:DenseNet121",
    "monai.networks.nets:FlexibleUNet",
    "segmentation_models_pytorch:Unet",
    "torch_geometric.nn.models:LINKX",
    "torch_geometric.nn.models:EdgeCNN",
    "x_transformers:TransformerWrapper",
    "x_transformers:XTransformer",
    "timm.models.resnet:ResNet",
    "timm.models.vision_transformer:VisionTransformer",
]


@pytest.mark.packages
@pytest.mark.parametrize("target", PACKAGES)
def test_classes_of_public_packages(target, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    pytest.importorskip(target.partition(".")[0].partition(":")[0])
    report = check(target, run=False)
    assert report.forward_ops
    assert report.backward_ops
