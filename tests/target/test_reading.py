"""How a function reads a parameter, and what a batch is made of."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import NamedTuple, TypedDict

import pytest
import torch
from torch import nn

from opscan.steps.batch import Batch, reading_of_annotation
from opscan.steps.reading import WHOLE, read_parameter


def unpacked(batch):
    x, y = batch
    return x, y


def nested(batch):
    (x1, x2), y = batch
    return x1, x2, y["label"]


def moved(batch):
    x, y = (each.to("cpu") for each in batch)
    return x, y


def pairwise(batch):
    x, y = batch[0].to("cpu"), batch[1].to("cpu")
    return x, y


def indexed(batch):
    x = batch[0]
    y = batch[-1]
    return x, y


def keyed(batch):
    return batch["image"].float(), batch["label"]


def moved_then_keyed(batch):
    batch = {key: value.to("cpu") for key, value in batch.items()}
    return batch["image"]


def attributes(data):
    return data.x.size(0), data.edge_index, data.num_nodes, data.x


def of_its_own_name(x):
    return x.x.y, x.weights_of


def spread(model, batch):
    return model(**batch)


def looped(loader):
    for number, (x, y) in enumerate(loader):
        return number, x, y


def also_handed_on(model, batch):
    return model(batch), batch["label"]


class ReadsImage(nn.Module):
    def forward(self, inputs):
        return inputs["image"]


def test_what_is_handed_on_to_a_model_is_read_there_as_well():
    reading = read_parameter(also_handed_on, "batch", {"model": ReadsImage()})
    assert [part.key for part in reading.parts] == ["image", "label"]


def handed_on(batch):
    return unpacked(batch)


def as_a_tensor(x):
    b, c = x.shape
    return x[0], x[:, 1], x.size(0), b, c


class Owner(nn.Module):
    def step(self, batch):
        return self._shared(batch, "train")

    def _shared(self, batch, stage):
        return keyed(batch), stage


READ = {
    "unpacked": (unpacked, "batch", "batch = (x, y)"),
    "nested, with a mapping in it": (nested, "batch", "batch = ((x1, x2), {'label': label})"),
    "moved one by one": (moved, "batch", "batch = (x, y)"),
    "taken out in pairs": (pairwise, "batch", "batch = (x, y)"),
    "by index, the last one from the end": (indexed, "batch", "batch = (x, y)"),
    "by key": (keyed, "batch", "batch = {'image': image, 'label': label}"),
    "a mapping that is moved": (moved_then_keyed, "batch", "batch = {'image': image}"),
    "attributes, counts left out": (attributes, "data", "data = an object with x, edge_index"),
    "an attribute of the same name": (of_its_own_name, "x", "x = an object with x, weights_of"),
    "a loop": (looped, "loader", "loader = [(x, y)]"),
    "handed on to a function": (handed_on, "batch", "batch = (x, y)"),
    "handed on to a method": (Owner().step, "batch", "batch = {'image': image, 'label': label}"),
    "a tensor stays whole": (as_a_tensor, "x", ""),
    "no source": (len, "obj", ""),
}


@pytest.mark.parametrize(("function", "name", "shown"), READ.values(), ids=READ)
def test_reads(function, name, shown):
    assert Batch({name: read_parameter(function, name)}, {}).shown() == shown


def test_keyword_arguments_of_another_call_name_where_they_go():
    reading = read_parameter(spread, "batch")
    assert (reading.kind, reading.callee) == ("keywords", "model")


@dataclass
class Sample:
    image: torch.Tensor
    label: torch.Tensor


class Pair(NamedTuple):
    x: torch.Tensor
    y: torch.Tensor


class Keyed(TypedDict):
    x: torch.Tensor


ANNOTATED = {
    "a dataclass": (Sample, Sample("image", "label")),
    "a named tuple": (Pair, Pair("x", "y")),
    "a typed dict": (Keyed, {"x": "x"}),
}


@pytest.mark.parametrize(("annotation", "made"), ANNOTATED.values(), ids=ANNOTATED)
def test_an_annotation_says_what_a_batch_is_made_of(annotation, made):
    batch = Batch({"batch": reading_of_annotation(annotation)}, {"batch": annotation})
    assert batch.assembled({leaf.name: leaf.name for leaf in batch.leaves}) == {"batch": made}


@pytest.mark.parametrize("annotation", [torch.Tensor, dict, "Batch", None])
def test_other_annotations_say_nothing(annotation):
    assert reading_of_annotation(annotation) is None


def test_leaves_have_names_of_their_own():
    def step(batch):
        (_, x), (_, y) = batch
        return x, y

    batch = Batch({"batch": read_parameter(step, "batch"), "x": WHOLE}, {})
    assert [leaf.name for leaf in batch.leaves] == ["unused", "x", "unused2", "y", "x2"]


def test_a_batch_is_put_together_as_it_is_read():
    readings = {"batch": read_parameter(nested, "batch"), "data": read_parameter(attributes, "data")}
    batch = Batch(readings, {})
    made = batch.assembled({leaf.name: leaf.name for leaf in batch.leaves})
    assert made["batch"] == (("x1", "x2"), {"label": "label"})
    assert isinstance(made["data"], SimpleNamespace) or made["data"].x == "x"
