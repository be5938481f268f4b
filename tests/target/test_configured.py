"""Inputs and labels of models that carry a configuration and take all their arguments by name."""

from __future__ import annotations

import pytest
import torch

from opscan.errors import InputError
from opscan.solving.forms import form
from opscan.solving.slots import Slot
from opscan.solving.solve import solve_inputs
from opscan.solving.tokens import _holding
from opscan.solving.trials import Trial
from opscan.target.build import target_from_object
from opscan.target.configs import configs_of, number, numbers
from opscan.target.inputs import Inputs, make_inputs, parse_input
from opscan.target.missing import missing_arguments
from opscan.trace.driver import attempt

from . import configured

IDS = "input_ids=int64:2x16<50"
FOUND = {
    "an argument two calls further in": (configured.EncoderDecoder, [IDS, "decoder_input_ids=int64:2x16<50"]),
    "an image, of the size in its own part": (configured.TextAndImage, [IDS, "pixel_values=2x1x40x40"]),
    "tokens an image takes the places of": (
        configured.Placeholders,
        ["input_ids=int64:2x20=49*4,7*16", "pixel_values=2x3x16x16", "labels=int64:2x20<50"],
    ),
    "a label for each token": (configured.Tagger, [IDS, "labels=int64:2x16<50"]),
    "two labels at once": (configured.Pretrainer, [IDS, "labels=int64:2x16<50", "next_sentence_label=int64:2<2"]),
    "positions": (configured.Answers, [IDS, "start_positions=int64:2<16", "end_positions=int64:2<16"]),
    "a label for each pixel": (configured.Segments, ["2x3x32x32", "labels=int64:2x32x32<5"]),
    "a token that ends the text": (configured.NeedsEnd, ["input_ids=int64:2x16=3*15,2"]),
    "one at a time": (configured.OneAtATime, ["input_ids=int64:1x16<50"]),
    "several texts for each question": (configured.Choices, ["input_ids=int64:2x4x16<50", "labels=int64:2<4"]),
}
UNLABELLED = {
    "labels that are no tensor": (configured.Detects, ["2x3x32x32"], ""),
    "labels that bring nothing": (configured.Never, [IDS], "labels: none found that the model returns a loss for"),
}


def solve(kind, given: Inputs | None = None, **options) -> Inputs:
    model = kind()
    return solve_inputs(target_from_object(model), attempt(model), given, **options)


def flags_of(found: Inputs) -> list[str]:
    return [line.rpartition("--input ")[2].rstrip(")").strip("'") for line in found.assumptions]


@pytest.mark.parametrize(("kind", "words"), FOUND.values(), ids=FOUND)
def test_finds(kind, words):
    assert flags_of(solve(kind)) == words


@pytest.mark.parametrize(("kind", "words"), FOUND.values(), ids=FOUND)
def test_the_flags_it_prints_say_the_same(kind, words):
    found, made = solve(kind), make_inputs(map(parse_input, words))
    pairs = [
        *zip(found.args, made.args, strict=True),
        *((found.kwargs[name], made.kwargs[name]) for name in made.kwargs),
    ]
    assert list(found.kwargs) == list(made.kwargs)
    assert all(ours.shape == theirs.shape and ours.dtype == theirs.dtype for ours, theirs in pairs)
    assert all(ours.is_meta or torch.equal(ours, theirs) for ours, theirs in pairs)


@pytest.mark.parametrize(("kind", "words", "said"), UNLABELLED.values(), ids=UNLABELLED)
def test_does_without_labels(kind, words, said):
    found = solve(kind)
    assert flags_of(found)[: len(words)] == words
    assert "labels" not in found.kwargs
    assert (said in found.assumptions[-1]) is True


def test_labels_are_found_for_inputs_that_are_given():
    given = make_inputs([parse_input("input_ids=int64:3x5<50")])
    found = solve(configured.Tagger, given)
    assert found.kwargs["input_ids"] is given.kwargs["input_ids"]
    assert found.kwargs["labels"].shape == (3, 5)


def test_labels_that_are_given_stay():
    given = make_inputs(map(parse_input, [IDS, "labels=int64:2x16=4"]))
    assert solve(configured.Tagger, given) is given


def test_no_labels_where_no_loss_is_wanted():
    assert flags_of(solve(configured.Tagger, with_loss=False)) == [IDS]


def test_an_image_that_is_not_found_is_left_out():
    class NoImage(configured.Placeholders):
        def forward(self, input_ids=None, pixel_values=None):
            assert pixel_values is None, "no images today"
            return self.embed(input_ids)

    assert flags_of(solve(NoImage)) == [IDS]


def test_says_what_was_missing_when_nothing_helps():
    class Stubborn(configured.Model):
        def forward(self, input_ids=None, graph=None):
            return graph.nodes[input_ids]

    with pytest.raises(InputError) as caught:
        solve(Stubborn, budget_s=1.0)
    assert "has no attribute 'nodes'" in str(caught.value)


def failing(call):
    try:
        call()
    except Exception as error:
        return error
    raise AssertionError("it did not fail")


def inner(x, mask=None, scale=None):
    return x * mask.sum()


def outer(x, attention_mask=None, other=None):
    return inner(
        x,
        attention_mask,
        scale=other,
    )


def says(x, image=None, sound=None):
    raise ValueError("You have to specify image")


def says_missing(x, grid=None, kinds=None):
    raise ValueError("grid was passed, but `kinds` is missing")


def another(x, mask=None):
    raise ValueError("sizes 3 and 4 do not match")


MISSING = {
    "by place, under another name": (lambda: outer(1), ["attention_mask", "other"], ["attention_mask"]),
    "named in the message": (lambda: says(1), ["image", "sound"], ["image"]),
    "said to be missing, of two that are named": (lambda: says_missing(1), ["grid", "kinds"], ["kinds"]),
    "none, if it is about sizes": (lambda: another(1), ["mask"], []),
    "none that may be given": (lambda: outer(1), ["other"], []),
}


@pytest.mark.parametrize(("call", "optional", "found"), MISSING.values(), ids=MISSING)
def test_sees_what_was_missing(call, optional, found):
    assert missing_arguments(failing(call), optional) == found


class Unreadable(configured.SmallConfig):
    @property
    def image_size(self):
        raise RuntimeError("not today")


CONFIGS = {
    "its own": ({"image_size": 8}, "image_size", "", (8,)),
    "a pair": ({"image_size": [8, 9]}, "image_size", "", (8, 9)),
    "a height and a width": ({"size": {"height": 8, "width": 9}}, "size", "", (8, 9)),
    "of the part that is meant": ({"image_size": 8, "vision_config": {"image_size": 9}}, "image_size", "vision", (9,)),
    "the outer one otherwise": ({"image_size": 8, "vision_config": {"image_size": 9}}, "image_size", "", (8,)),
    "the next name": ({"n_mels": 80}, "num_mel_bins n_mels", "", (80,)),
    "none that is below 1": ({"size": 0}, "size", "", ()),
    "no truth value": ({"size": True}, "size", "", ()),
}


@pytest.mark.parametrize(("entries", "names", "near", "found"), CONFIGS.values(), ids=CONFIGS)
def test_reads_numbers_of_a_configuration(entries, names, near, found):
    model = torch.nn.Module()
    model.config = entries
    assert numbers(configs_of(model), names, near) == found


def test_a_configuration_that_cannot_be_read_says_nothing():
    model = torch.nn.Module()
    model.config = Unreadable()
    assert number(configs_of(model), "image_size", default=7) == 7


def test_a_size_that_nothing_can_hold_is_not_tried():
    class Asks(configured.Model):
        def forward(self, pixel_values):
            raise RuntimeError(f"shape '[-1, {10**15}]' is invalid for input of size {pixel_values.numel()}")

    with pytest.raises(InputError):
        solve(Asks, budget_s=1.0)


def test_ids_of_a_fixed_length_are_made_longer_by_tokens_that_have_to_be_in_them():
    trial = Trial((Slot("input_ids"),), (form("2x5", "int64", 10),), ())
    held = _holding(trial, token=7, count=3)
    assert [(spec.shape, spec.values[0]) for spec in held.specs] == [((2, 3 + held.specs[0].values[1][1]), (7, 3))]
