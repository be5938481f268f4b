"""The grammar of --input, the tensors made from it, --init and --inputs."""

from __future__ import annotations

from collections import UserDict

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from opscan.errors import InputError, TargetError
from opscan.target import inputs
from opscan.target.inputs import InputSpec, call_batch_maker, inputs_from_object, make_inputs, parse_init, parse_input

READ = {
    "a shape": ("2x3x32x32", InputSpec((2, 3, 32, 32))),
    "one dimension": ("64", InputSpec((64,))),
    "an empty dimension": ("0x3", InputSpec((0, 3))),
    "a dtype": ("float16:2x3", InputSpec((2, 3), "float16")),
    "a name, a dtype and a bound": ("ids=int64:2x16<1000", InputSpec((2, 16), "int64", 1000, "ids")),
    "a name only": ("x=2x3", InputSpec((2, 3), name="x")),
    "booleans": ("bool:2x16", InputSpec((2, 16), "bool")),
    "integers without a bound": ("int64:2", InputSpec((2,), "int64")),
    "a scalar": ("scalar", InputSpec(())),
    "an integer scalar": ("t=int64:scalar<10", InputSpec((), "int64", 10, "t")),
    "all of one value": ("lengths=int64:2=16", InputSpec((2,), "int64", name="lengths", value=16)),
    "a value below zero": ("int64:2=-1", InputSpec((2,), "int64", value=-1)),
    "values in turn": ("int64:1x3=1,16,16", InputSpec((1, 3), "int64", values=((1, 1), (16, 1), (16, 1)))),
    "values, some of them repeated": (
        "ids=int64:2x8=9*7,2",
        InputSpec((2, 8), "int64", None, "ids", None, ((9, 7), (2, 1))),
    ),
    "one value so many times": ("int64:4=-1*3", InputSpec((4,), "int64", values=((-1, 3),))),
}


@pytest.mark.parametrize(("text", "spec"), READ.values(), ids=READ)
def test_reads(text, spec):
    assert parse_input(text) == spec
    assert str(spec) == text


REFUSED = {
    "nothing": ("", "cannot read the input ''"),
    "commas": ("2,3,32,32", "cannot read the input '2,3,32,32'"),
    "a negative size": ("2x-1", "cannot read"),
    "no shape": ("float32:", "cannot read"),
    "no name": ("=2x3", "cannot read"),
    "an unknown dtype": ("float99:2x3", "unknown dtype 'float99'"),
    "a bound for floats": ("2x3<10", "only integers take a bound"),
    "a bound for booleans": ("bool:2<2", "only integers take a bound"),
    "a value for floats": ("2x3=1", "only integers take a value"),
    "a value the dtype cannot hold": ("uint8:2=-1", "not between 0 and 255"),
    "a bound and a value": ("int64:2<3=1", "cannot read"),
    "values for floats": ("2x3=1,2", "only integers take a value"),
    "one of the values too large": ("uint8:2=1,256", "not between 0 and 255"),
    "a value that stands no time": ("int64:2=1*0,2", "stands no time"),
    "no value after the comma": ("int64:2=1,", "cannot read"),
    "a bound of nothing": ("int64:2<0", "not between 1 and"),
    "a bound the dtype cannot hold": ("int8:2<1000", "not between 1 and 127"),
}


@pytest.mark.parametrize(("text", "said"), REFUSED.values(), ids=REFUSED)
def test_refuses(text, said):
    with pytest.raises(InputError) as caught:
        parse_input(text)
    assert said in caught.value.what
    assert caught.value.hint


_VALUE = st.tuples(st.integers(-9, 9), st.integers(1, 9))
specs = st.builds(
    lambda shape, kind, name: InputSpec(tuple(shape), *kind[:2], name, *kind[2:]),
    st.lists(st.integers(0, 10**6), max_size=6),
    st.one_of(
        st.tuples(st.sampled_from(sorted(inputs.DTYPES)), st.none()),
        st.tuples(st.sampled_from(["int8", "int64", "uint8"]), st.integers(1, 127)),
        st.tuples(st.sampled_from(["int8", "int64"]), st.none(), st.integers(-128, 127)),
        st.tuples(st.just("int64"), st.none(), st.none(), st.lists(_VALUE, min_size=2, max_size=4).map(tuple)),
    ),
    st.none() | st.from_regex(r"[a-z_][a-z_0-9]*", fullmatch=True),
)


@given(specs)
def test_every_spec_is_read_back(spec):
    assert parse_input(str(spec)) == spec


MADE = {
    "in turn": ("int64:2x3=1,16,16", [[1, 16, 16], [1, 16, 16]]),
    "in turn, over the end of a row": ("int64:2x3=5,6", [[5, 6, 5], [6, 5, 6]]),
    "repeated": ("int64:2x4=9*3,2", [[9, 9, 9, 2], [9, 9, 9, 2]]),
    "more than there is room for": ("int64:1x2=7*99,1", [[7, 7]]),
    "of an empty tensor": ("int64:0=1,2", []),
}


@pytest.mark.parametrize(("word", "values"), MADE.values(), ids=MADE)
def test_fills_with_values(word, values):
    made = make_inputs([parse_input(word)])
    assert made.args[0].tolist() == values
    assert made.args[0].dtype == torch.int64
    assert not made.assumptions


def test_makes_floats_on_meta_and_integers_concrete():
    words = ["2x3", "complex64:2", "int64:2x3<4", "bool:3", "ids=int32:3"]
    made = make_inputs(map(parse_input, words))
    floats, complexes, integers, flags = made.args
    assert (floats.device.type, floats.shape, complexes.device.type) == ("meta", (2, 3), "meta")
    assert integers.tolist() == [[0, 1, 2], [3, 0, 1]]
    assert flags.tolist() == [True, False, True]
    assert made.kwargs["ids"].tolist() == [0, 1, 0]
    assert made.kwargs["ids"].dtype == torch.int32
    assert made.assumptions == ("ids=int32:3: values 0 and 1 (assumed; --input 'ids=int32:3<N')",)
    assert not made.assumed


def test_makes_integers_of_one_value():
    made = make_inputs(map(parse_input, ["int64:2=16", "t=int32:scalar=0"]))
    assert made.args[0].tolist() == [16, 16]
    assert (made.kwargs["t"].item(), made.kwargs["t"].dtype, made.assumptions) == (0, torch.int32, ())


def test_draws_no_random_number_and_ignores_the_default_device():
    before = torch.random.get_rng_state()
    with torch.device("meta"):
        made = make_inputs([InputSpec((2,)), InputSpec((2,), "int64")])
    assert made.args[1].device.type == "cpu"
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_name_given_twice_is_refused():
    with pytest.raises(InputError, match="'x' is given twice"):
        make_inputs([InputSpec((2,), name="x"), InputSpec((3,), name="x")])


def test_the_flag_is_quoted_for_a_shell():
    assert inputs.flag(InputSpec((2, 3))) == "--input 2x3"
    assert inputs.flag(InputSpec((2,), "int64", 9)) == "--input 'int64:2<9'"


def test_init_words():
    words = ["a=1", "b=(1, 2)", "name=resnet", "c=-0.5", "d=True", "e=false", "f=None", "g='true'", "h=a=b"]
    values = [1, (1, 2), "resnet", -0.5, True, False, None, "true", "a=b"]
    assert parse_init(words) == dict(zip(["a", "b", "name", "c", "d", "e", "f", "g", "h"], values, strict=True))


@pytest.mark.parametrize(
    "words", [["a"], ["=1"], ["a b=1"], ["a=1", "a=2"]], ids=["no value", "no name", "space", "twice"]
)
def test_init_refuses(words):
    with pytest.raises(TargetError) as caught:
        parse_init(words)
    assert caught.value.where == "--init"


ONE = torch.zeros(2)
PAIR = (ONE, ONE)


def make_pair():
    return [ONE, ONE]


def make_named(size=3):
    return UserDict(x=torch.zeros(size))


def make_nothing():
    raise OSError("no data")


NUMBERED = {1: ONE}
HERE = __name__


def test_batch_makers():
    assert call_batch_maker(f"{HERE}:ONE").args == (ONE,)
    assert call_batch_maker(f"{HERE}:PAIR").args == PAIR
    assert call_batch_maker(f"{HERE}:make_pair").args == PAIR
    assert call_batch_maker(f"{HERE}:make_named").kwargs["x"].shape == (3,)
    assert call_batch_maker(f"{HERE}:make_named(5)").kwargs["x"].shape == (5,)


def test_a_batch_maker_that_fails():
    with pytest.raises(InputError, match="OSError: no data") as caught:
        call_batch_maker(f"{HERE}:make_nothing")
    assert "test_inputs.py:" in caught.value.where
    with pytest.raises(InputError, match="keys that are not names"):
        call_batch_maker(f"{HERE}:NUMBERED")


def test_objects_pass_unchanged():
    assert inputs_from_object(PAIR).args is PAIR
    assert inputs_from_object({"x": ONE}).kwargs["x"] is ONE
    assert inputs_from_object(ONE).args[0] is ONE


@pytest.mark.parametrize("value", [[ONE], 3, {1: ONE}], ids=["a list", "a number", "a key that is no name"])
def test_other_objects_are_refused(value):
    with pytest.raises(TypeError, match="inputs"):
        inputs_from_object(value)
