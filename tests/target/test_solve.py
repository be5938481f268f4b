"""The search for inputs, on the little models of `zoo`."""

from __future__ import annotations

import inspect

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from opscan import check
from opscan.errors import InputError, TraceError
from opscan.solving.clues import mismatch_in, nearer_sizes
from opscan.solving.solve import solve_inputs
from opscan.target.build import Target, target_from_object
from opscan.target.inputs import Inputs, make_inputs, parse_input
from opscan.trace.driver import attempt

from . import zoo

SOLVED = {
    zoo.Cnn: ["2x3x32x32"],
    zoo.CnnNoPadding: ["2x3x32x32"],
    zoo.CnnViews: ["2x3x32x32"],
    zoo.LeNet: ["2x1x28x28"],
    zoo.HeadFirst: ["2x1x48x48"],
    zoo.Mlp: ["2x784"],
    zoo.MnistUnpacks: ["2x1x28x28"],
    zoo.StepsMlp: ["2x16x24"],
    zoo.Signal: ["2x1x187"],
    zoo.Video: ["2x3x16x16x16"],
    zoo.Generator: ["2x100x1x1"],
    zoo.LstmTagger: ["int64:2x16<50"],
    zoo.Gpt: ["int64:2x8<65"],
    zoo.Bag: ["int64:16<100", "int64:2<2"],
    zoo.Bag2d: ["int64:2x16<100"],
    zoo.RowsGru: ["16x2x28"],
    zoo.FlatRnn: ["2x12x6"],
    zoo.Attention: ["2x16x32", "2x16x32", "2x16x32"],
    zoo.Series: ["2x16x7"],
    zoo.Translator: ["int64:2x16<40", "int64:2x16<30"],
    zoo.MaskedEncoder: ["2x16x16", "bool:2x16"],
    zoo.Bert: ["int64:2x16<90", "int64:2x16<2"],
    zoo.Hugging: ["input_ids=int64:2x16<90"],
    zoo.BatchNormFirst: ["2x12"],
    zoo.LayerNormFirst: ["2x16x20"],
    zoo.UNet: ["2x1x224x224"],
    zoo.Autoencoder: ["2x784"],
    zoo.Siamese: ["2x1x105x105", "2x1x105x105"],
    zoo.Recommender: ["int64:2x16<30", "int64:2x16<20"],
    zoo.Captioner: ["2x3x64x64", "int64:2x16<70"],
    zoo.Lazy: ["2x3x224x224"],
    zoo.Variadic: ["2x6", "2x6"],
    zoo.OwnWeight: ["2x11"],
    zoo.Vit: ["2x3x48x48"],
    zoo.FixedSize: ["2x3x336x336"],
    zoo.Waveform: ["2x16000"],
    zoo.Clips: ["2x8x3x224x224"],
    zoo.Diffusion: ["2x3x224x224", "int64:2<10"],
    zoo.Conditional: ["2x10", "int64:2<10"],
    zoo.KeywordOnly: ["features=2x6"],
    zoo.NothingNeeded: [],
    zoo.Graph: ["2x9", "int64:2x16<2"],
    zoo.Packed: ["int64:2x16<60", "int64:2=16"],
    zoo.Nerf: ["2x90"],
    zoo.RnnByHand: ["2x12", "2x20"],
    zoo.NoiseAndLabels: ["2x100", "int64:2<2"],
    zoo.Segmenter: ["2x3x224x224", "int64:2x224x224<2"],
    zoo.GraphPool: ["2x9", "int64:2x16<2", "int64:2<2"],
    zoo.PatchVit: ["2x3x64x64"],
    zoo.SaysItsSize: ["2x3x88x88"],
    zoo.Oblong: ["2x3x40x72"],
    zoo.StepsFirst: ["int64:16x2<70", "bool:16x16"],
    zoo.Speech: ["2x16000"],
    zoo.PictureAndCode: ["2x4x28x28", "2x3x224x224"],
    zoo.ClassesInside: ["2x8", "class_labels=int64:2<10"],
}


def make(kind):
    with torch.device("meta"):
        return kind(10) if "num_classes" in inspect.signature(kind).parameters else kind()


def on_meta(value):
    return value.to("meta") if isinstance(value, torch.Tensor) else value


class MetaAttempt:
    """Runs a model on the meta device; a lazy one is made anew for each try, since it takes the first shape it sees."""

    def __init__(self, kind):
        self.kind, self.model, self.count = kind, make(kind), 0

    def __call__(self, args, kwargs):
        self.count += 1
        model = make(self.kind) if self.kind is zoo.Lazy else self.model
        with torch.no_grad(), torch.device("meta"):
            return model(*map(on_meta, args), **{name: on_meta(value) for name, value in kwargs.items()})


def solve(kind, **options) -> Inputs:
    attempt = MetaAttempt(kind)
    return solve_inputs(target_from_object(attempt.model), attempt, **options)


@pytest.mark.parametrize(("kind", "words"), SOLVED.items(), ids=[f"{k.__name__}: {k.__doc__}"[:70] for k in SOLVED])
def test_finds(kind, words):
    found = solve(kind)
    specs = [parse_input(word) for word in words]
    given = [(tuple(value.shape), value.dtype) for value in (*found.args, *found.kwargs.values())]
    assert given == [(spec.shape, getattr(torch, spec.dtype)) for spec in specs]
    assert list(found.kwargs) == [spec.name for spec in specs if spec.name]
    assert [line.rpartition("--input ")[2].rstrip(")").strip("'") for line in found.assumptions] == words
    assert found.assumed == bool(words)


def test_the_whole_zoo_is_in_the_table():
    classes = {value for value in vars(zoo).values() if isinstance(value, type) and issubclass(value, nn.Module)}
    assert classes - {zoo.Broken, zoo.Impossible, zoo.OwnLinear, zoo.OneOfSeveralHeads} == set(SOLVED)


@pytest.mark.parametrize(
    "kind",
    [
        *(zoo.Cnn, zoo.LeNet, zoo.Vit, zoo.UNet, zoo.Captioner, zoo.FixedSize, zoo.Packed, zoo.Nerf, zoo.RnnByHand),
        *(zoo.NoiseAndLabels, zoo.Segmenter, zoo.SaysItsSize, zoo.Oblong, zoo.GraphPool),
    ],
    ids=lambda kind: kind.__name__,
)
def test_takes_a_handful_of_tries(kind):
    attempt = MetaAttempt(kind)
    solve_inputs(target_from_object(attempt.model), attempt)
    assert attempt.count <= 5


def test_an_assumption_names_its_flag():
    assert solve(zoo.Cnn).assumptions == ("x = float32 2x3x32x32 (input, assumed; --input 2x3x32x32)",)
    assert solve(zoo.Gpt).assumptions == ("idx = int64 2x8, values below 65 (input, assumed; --input 'int64:2x8<65')",)


def test_says_what_was_tried_when_nothing_fits():
    with pytest.raises(InputError) as caught:
        solve(zoo.Impossible, budget_s=0.5)
    assert "no input found that forward(x) runs on; tried " in caught.value.what
    assert caught.value.where == "Impossible"
    assert "--input 2x17" in caught.value.hint
    assert "[2, 17] X [13, 13]" in caught.value.hint
    assert len(caught.value.hint.splitlines()) <= 4


class NoSuchLayer(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1 = nn.Linear(3, 3)

    def forward(self, x):
        return self.fc2(x)


class SameTypeError(nn.Module):
    def forward(self, x):
        return x + None


class DividesByZero(nn.Module):
    def forward(self, x):
        return x * (1 // (len(x) // 10000))


class NeedsAnObject(nn.Module):
    def forward(self, batch):
        return batch.nodes


class NoForward(nn.Module):
    pass


BROKEN = {
    "an undefined name": (zoo.Broken, "NameError: name 'not_defined_anywhere'"),
    "a layer that does not exist": (NoSuchLayer, "has no attribute 'fc2'"),
    "the same error for every shape": (SameTypeError, "TypeError: unsupported operand"),
    "a division by zero": (DividesByZero, "ZeroDivisionError"),
    "an input that is no tensor": (NeedsAnObject, "'Tensor' object has no attribute 'nodes'"),
    "no forward at all": (NoForward, "missing the required"),
}


@pytest.mark.parametrize(("kind", "error"), BROKEN.values(), ids=BROKEN)
def test_blames_the_forward_and_not_the_shapes(kind, error):
    with pytest.raises(InputError) as caught:
        solve(kind)
    assert caught.value.what.startswith("the forward fails, whatever the input")
    assert error in caught.value.what
    assert kind is NoForward or ".py:" in caught.value.where


def test_what_is_missing_has_to_be_installed():
    class Imports(nn.Module):
        def forward(self, x):
            import not_installed_anywhere

            return not_installed_anywhere.run(x)

    with pytest.raises(InputError, match="No module named 'not_installed_anywhere'") as caught:
        solve(Imports)
    assert caught.value.hint.startswith("Install what it needs")


def test_an_error_of_one_branch_does_not_end_the_search():
    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x):
            if x.dim() == 4 and x.shape[2] == 336:
                y = self.conv(x)
            return y

    assert solve(Branches).args[0].shape == (2, 3, 336, 336)


PARTLY = {
    "by name, the first solved": (zoo.Graph, ["edge_index=int64:2x40<10"], ["10x9", "edge_index=int64:2x40<10"]),
    "by place": (zoo.Graph, ["50x9"], ["50x9", "int64:2x16<50"]),
    "of another batch and length": (zoo.Packed, ["int64:3x7<60"], ["int64:3x7<60", "int64:3=7"]),
    "another image": (zoo.Segmenter, ["4x3x40x40"], ["4x3x40x40", "int64:4x40x40<2"]),
    "the first by name": (zoo.RnnByHand, ["input=3x12"], ["input=3x12", "hidden=3x20"]),
    "the last by name": (zoo.Diffusion, ["t=int64:2<9"], ["2x3x224x224", "t=int64:2<9"]),
}


@pytest.mark.parametrize(("kind", "words", "all_words"), PARTLY.values(), ids=PARTLY)
def test_solves_for_what_is_not_given(kind, words, all_words):
    given = make_inputs(map(parse_input, words))
    found = solve(kind, given=given)
    expected = make_inputs(map(parse_input, all_words))
    pairs = [
        *zip(found.args, expected.args, strict=True),
        *((found.kwargs[name], expected.kwargs[name]) for name in {**found.kwargs, **expected.kwargs}),
    ]
    assert [(ours.shape, ours.dtype) for ours, _ in pairs] == [(theirs.shape, theirs.dtype) for _, theirs in pairs]
    assert all(any(value is ours for ours in found.args) for value in given.args)
    assert all(found.kwargs[name] is value for name, value in given.kwargs.items())
    assert found.assumed
    assert len(found.assumptions) == len(all_words) - len(words)


def test_lengths_are_as_long_as_the_sequences():
    class Packs(zoo.Packed):
        def forward(self, src, x_lens):
            packed = pack_padded_sequence(self.embed(src), x_lens.cpu(), batch_first=True, enforce_sorted=False)
            return pad_packed_sequence(self.rnn(packed)[0], batch_first=True)[0]

    model = Packs()
    found = solve_inputs(target_from_object(model), attempt(model))
    assert found.args[1].tolist() == [16, 16]
    assert found.assumptions[1] == "x_lens = int64 2, all 16 (input, assumed; --input int64:2=16)"


def test_the_graphs_of_nodes_are_numbered():
    found = solve(zoo.GraphPool, given=make_inputs([parse_input("50x9")]))
    assert found.args[2].tolist() == [0, 1] * 25
    assert found.args[1].max() < 50


GIVEN = {
    "all by place": (zoo.Graph, ["2x9", "int64:2x4<2"]),
    "all, and both ways": (zoo.Graph, ["2x9", "edge_index=int64:2x4<2"]),
    "more than it takes": (zoo.Mlp, ["2x784", "2x784"]),
    "a name it does not take": (zoo.Mlp, ["2x784", "y=2"]),
    "through *args": (zoo.Variadic, ["2x6"]),
    "nothing is required": (zoo.Hugging, ["past=2"]),
}


@pytest.mark.parametrize(("kind", "words"), GIVEN.values(), ids=GIVEN)
def test_tries_nothing_when_all_is_given(kind, words):
    given = make_inputs(map(parse_input, words))
    found = solve_inputs(target_from_object(make(kind)), lambda args, kwargs: pytest.fail("not tried"), given)
    assert found is given
    assert not found.assumed


def test_given_inputs_of_a_step_are_not_looked_at():
    given = make_inputs([parse_input("2x3")])
    target = target_from_object(lambda model, batch: None)
    assert solve_inputs(target, lambda args, kwargs: pytest.fail("not tried"), given) is given


def train_step(model, batch):
    raise AssertionError("not called")


def score_step(state, reward):
    raise AssertionError("not called")


STEPS = {
    "objects": (train_step, "the step takes model, batch", "(model, batch)", False),
    "tensors": (score_step, "the step takes state, reward", "--input 2x3x32x32", True),
}


@pytest.mark.parametrize(("step", "what", "hint", "by_input"), STEPS.values(), ids=STEPS)
def test_a_step_needs_its_inputs_given(step, what, hint, by_input):
    with pytest.raises(InputError, match=what) as caught:
        solve_inputs(target_from_object(step), lambda args, kwargs: None)
    assert "--inputs mod:make_batch" in caught.value.hint
    assert hint in caught.value.hint
    assert by_input == ("--input " in caught.value.hint)


class Trained(nn.Module):
    """Has a step, as in lightning, and no forward."""

    def training_step(self, batch, batch_idx):
        return batch[0].sum() * (1 + batch_idx)


def test_a_training_step_is_named_where_there_is_no_forward():
    target = target_from_object(Trained(), "lit:Trained")
    with pytest.raises(InputError, match="defines training_step, but no forward") as caught:
        solve_inputs(target, lambda args, kwargs: pytest.fail("not tried"))
    assert "lit:Trained.training_step --inputs" in caught.value.hint


def test_the_batch_of_a_training_step_has_to_be_given_its_number_does_not():
    target = target_from_object(Trained().training_step)
    with pytest.raises(InputError, match="the step takes batch, batch_idx") as caught:
        solve_inputs(target, lambda args, kwargs: pytest.fail("not tried"))
    assert "--inputs mod:make_batch, which returns them all: (batch, batch_idx)" in caught.value.hint
    found = solve_inputs(target, lambda args, kwargs: target.call(*args, **kwargs), Inputs(((torch.ones(2),),)))
    assert found.args[1].item() == 0
    assert found.assumptions == ("batch_idx = int64 scalar, all 0 (input, assumed; --input int64:scalar=0)",)


class TakesMapping(nn.Module):
    def forward(self, batch):
        return batch["x"] * 2


class TakesPair(nn.Module):
    def forward(self, batch):
        image, _text, _label = batch
        return image


class TakesShapeApart(nn.Module):
    def forward(self, x):
        one, _two, _three, _four, _five, _six = x.shape
        return x + one


NO_TENSORS = {
    "indexed with a text": (TakesMapping, "batch is a mapping: it reads batch['x']"),
    "unpacked": (TakesPair, "batch is a tuple, which it unpacks"),
}


@pytest.mark.parametrize(("kind", "what"), NO_TENSORS.values(), ids=NO_TENSORS)
def test_says_what_is_taken_instead_of_a_tensor(kind, what):
    attempt = MetaAttempt(kind)
    with pytest.raises(InputError) as caught:
        solve_inputs(target_from_object(attempt.model), attempt)
    assert caught.value.what.startswith(what)
    assert "test_solve.py:" in caught.value.where
    assert "--inputs mod:make_batch" in caught.value.hint
    assert "--input " not in caught.value.hint
    assert attempt.count <= 8


def test_unpacking_a_shape_is_a_matter_of_shapes():
    with pytest.raises(InputError, match="no input found"):
        solve(TakesShapeApart, budget_s=0.2)


def test_an_error_of_torch_for_a_dtype_is_no_bug_of_the_forward():
    class Rounds(nn.Module):
        def forward(self, x):
            if x.dtype != torch.int64:
                raise NotImplementedError("\"bincount_cpu\" not implemented for 'Float'")
            return x

    assert solve(Rounds).args[0].dtype == torch.int64


def test_gives_up_soon_when_all_fail_alike():
    attempt = MetaAttempt(SameTypeError)
    with pytest.raises(InputError) as caught:
        solve_inputs(target_from_object(attempt.model), attempt)
    assert attempt.count <= 40
    assert "--input " not in caught.value.hint


def test_the_size_of_images_is_read_from_the_constructor():
    class Sized(nn.Module):
        def __init__(self, img_size=48):
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 3)

        def forward(self, x):
            return self.conv(x)

    model = Sized()
    target = Target("Sized", model, model, arguments={"img_size": 56})
    assert solve_inputs(target, lambda args, kwargs: model(torch.zeros(args[0].shape))).args[0].shape == (2, 1, 56, 56)


def test_a_step_without_parameters_needs_nothing():
    target = Target("step", lambda size=3: size, None)
    assert solve_inputs(target, lambda args, kwargs: pytest.fail("not tried")) == Inputs()


def test_an_attempt_that_returns_nothing_is_believed():
    attempt = MetaAttempt(zoo.CnnViews)

    def silent(args, kwargs):
        attempt(args, kwargs)

    assert solve_inputs(target_from_object(attempt.model), silent).args[0].shape == (2, 3, 224, 224)


def test_a_doubtful_input_is_taken_when_there_is_no_better():
    class Patches(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 8, 8)

        def forward(self, x):
            return self.conv(x).permute(0, 2, 3, 1).reshape(-1, 4)

    assert solve(Patches).args[0].shape == (2, 3, 224, 224)


def test_keyboard_interrupt_passes():
    def interrupted(args, kwargs):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        solve_inputs(target_from_object(nn.Linear(2, 2)), interrupted)


def test_what_cannot_be_traced_says_so_itself():
    def attempt(args, kwargs):
        raise TraceError("a TorchScript module")

    with pytest.raises(TraceError, match="a TorchScript module"):
        solve_inputs(target_from_object(nn.Linear(2, 2)), attempt)


def test_what_the_forward_prints_is_not_repeated(capsys):
    class Prints(nn.Module):
        def forward(self, x):
            print("shape", x.shape)
            raise ValueError("bad size")

    with pytest.raises(InputError):
        solve(Prints, budget_s=0.1)
    assert capsys.readouterr().out == ""


MISMATCHES = {
    "matmul on meta": ("a and b must have same reduction dim, but got [2, 8192] X [2048, 128].", ((8192, 2048),)),
    "matmul on a CPU": ("mat1 and mat2 shapes cannot be multiplied (2x8192 and 2048x128)", ((8192, 2048),)),
    "view, the batch open": ("shape '[-1, 400]' is invalid for input of size 1000", ((1000, 800),)),
    "view, the batch fixed": ("shape '[2, 400]' is invalid for input of size 1000", ((1000, 800),)),
    "an addition": (
        "The size of tensor a (197) must match the size of tensor b (65) at non-singleton dimension 1",
        ((197, 65), (65, 197)),
    ),
    "a broadcast on meta": (
        "Attempting to broadcast a dimension of length 65 at -2! Mismatching argument at index 1 had "
        "torch.Size([1, 65, 64]); but expected shape should be broadcastable to [2, 197, 64]",
        ((197, 65), (65, 197)),
    ),
    "a split": (
        "split_with_sizes expects split_sizes to sum exactly to 63 (input tensor's size at dimension -1), but got "
        "split_sizes=[63, 27]",
        ((63, 90),),
    ),
    "nothing about sizes": ("Invalid channel dimensions", ()),
}


@pytest.mark.parametrize(("message", "mismatch"), MISMATCHES.values(), ids=MISMATCHES)
def test_reads_a_mismatch(message, mismatch):
    assert mismatch_in(RuntimeError(message)) == mismatch


def test_judges_the_next_size():
    assert nearer_sizes(((100352, 2048),), 224, 2, (32, 28))[0] == 32
    assert nearer_sizes(((44944, 400),), 224, 2, ())[:2] == [32, 16]
    assert nearer_sizes(((0, 5), (5, 5)), 224, 2, ()) == []


def test_a_whole_number_is_given_where_the_annotation_asks_for_one():
    report = check(zoo.OneOfSeveralHeads())
    assert report.assumptions[0].startswith("which = int64 scalar, all 1 (")
