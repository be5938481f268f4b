"""What the generic proof does not see of the replacements that choose or collect by index."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import opscan.replacements as drop
from opscan import traced_for

INDEX = torch.tensor([2, 0, 2])
ROWS = torch.arange(1.0, 13.0).view(3, 4)
PLACES = torch.tensor([[2, 0, 1, 1], [2, 0, 0, 1], [0, 2, 0, 1]])
IN_PLACE: dict[str, tuple[Any, ...]] = {
    "index_add_": (0, INDEX, ROWS),
    "index_copy_": (0, INDEX, ROWS),
    "index_reduce_": (0, INDEX, ROWS, "prod"),
    "scatter_": (0, PLACES, ROWS),
    "scatter_add_": (0, PLACES, ROWS),
    "scatter_reduce_": (0, PLACES, ROWS, "amax"),
    "index_put_": ((INDEX, INDEX), ROWS[0, :3]),
    "put_": (torch.tensor([5, 0, 5, -1]), ROWS[0]),
}


@pytest.fixture(params=[None, "cuda"], ids=["cpu", "formula for cuda"])
def _device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traced_for, "device", request.param)


def _views() -> dict[str, Callable[[Tensor], Tensor]]:
    return {"side by side": lambda x: x[:, :4], "transposed": lambda x: x[:, :4].t(), "apart": lambda x: x[:, ::2]}


@pytest.mark.usefixtures("_device")
@pytest.mark.parametrize("view", _views())
@pytest.mark.parametrize("name", IN_PLACE)
def test_what_changes_in_place_changes_the_tensor_below(name: str, view: str) -> None:
    whole = {side: torch.arange(32.0).view(4, 8).requires_grad_() for side in ("mine", "theirs")}
    changed = {side: leaf * 1 for side, leaf in whole.items()}
    parts = {side: _views()[view](each) for side, each in changed.items()}
    mine = getattr(drop, name)(parts["mine"], *IN_PLACE[name])
    assert mine is parts["mine"]
    getattr(parts["theirs"], name)(*IN_PLACE[name])
    assert torch.equal(changed["mine"], changed["theirs"])
    upstream = torch.arange(32.0).view(4, 8)
    one, other = (torch.autograd.grad(changed[side], whole[side], upstream)[0] for side in ("mine", "theirs"))
    assert torch.allclose(one, other)


@pytest.mark.usefixtures("_device")
@pytest.mark.parametrize("name", IN_PLACE)
def test_a_leaf_that_wants_a_gradient_is_refused(name: str) -> None:
    with pytest.raises(RuntimeError):
        getattr(drop, name)(torch.zeros(4, 4, requires_grad=True), *IN_PLACE[name])


WRONG: dict[str, tuple[Any, ...]] = {
    "scatter_add": (torch.zeros(3, 3), 5, PLACES, ROWS),
    "scatter": (torch.zeros(3, 3), 0, PLACES.float(), ROWS),
    "scatter_reduce": (torch.zeros(3, 4), 0, PLACES, ROWS, "median"),
    "index_reduce": (torch.zeros(3, 4), 0, INDEX, ROWS, "sum"),
    "index_add": (torch.zeros(3, 4), 0, INDEX[:2], ROWS),
    "index_copy": (torch.zeros(3, 4), 0, INDEX, ROWS.double()),
    "index_put": (torch.zeros(3, 4), (INDEX, INDEX, INDEX), ROWS),
    "put": (torch.zeros(3, 4), INDEX, ROWS),
    "gather": (torch.zeros(3, 3), 0, INDEX),
    "take_along_dim": (torch.zeros(3, 3), INDEX, 0),
    "repeat_interleave": (torch.zeros(3, 3), torch.tensor([1, 2]), 0),
    "kthvalue": (torch.zeros(3), 4),
    "topk": (torch.zeros(3), 4),
}


@pytest.mark.usefixtures("_device")
@pytest.mark.parametrize("name", WRONG)
def test_what_torch_refuses_is_refused(name: str) -> None:
    with pytest.raises((RuntimeError, IndexError)) as theirs:
        getattr(torch, name)(*WRONG[name])
    with pytest.raises(theirs.type):
        getattr(drop, name)(*WRONG[name])


@pytest.mark.parametrize("name", ["index_put", "put"])
def test_an_index_out_of_range_is_refused(name: str) -> None:
    index: Any = (torch.tensor([0, 1]), torch.tensor([0, 9])) if name == "index_put" else torch.tensor([0, 99])
    with pytest.raises(IndexError):
        getattr(drop, name)(torch.zeros(3, 4), index, torch.ones(2))


@pytest.mark.usefixtures("_device")
@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.int64, torch.complex64])
def test_the_last_of_equal_indices_wins_in_every_dtype(dtype: torch.dtype) -> None:
    cells, values = torch.ones(4).to(dtype), torch.tensor([0, 1, 2, 0]).to(dtype)
    index = torch.tensor([1, 3, 3, 1])
    expected = torch.tensor([1, 0, 1, 2]).to(dtype)
    assert torch.equal(drop.scatter(cells, 0, index, values), expected)
    assert torch.equal(drop.index_copy(cells, 0, index, values), expected)
    assert torch.equal(drop.index_put(cells, (index,), values), expected)
    assert torch.equal(drop.put(cells, index, values), expected)


@pytest.mark.usefixtures("_device")
def test_unpooling_keeps_the_last_of_several_values() -> None:
    x, index = torch.tensor([[[1.0, 2.0, 3.0, 4.0]]]), torch.tensor([[[3, 3, 0, 3]]])
    assert drop.max_unpool1d(x, index, 2).tolist() == [[[3.0, 0, 0, 4.0, 0, 0, 0, 0]]]


def test_a_store_keeps_the_sign_of_a_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traced_for, "device", "cuda")
    stored = drop.index_copy(torch.ones(2), 0, torch.tensor([0, 1, 1]), torch.tensor([-0.0, 3.0, 0.0]))
    assert stored.signbit().tolist() == [True, False]


def test_autocast_promotes_what_it_promotes_in_the_original() -> None:
    cells, values = torch.zeros(4), torch.ones(2, dtype=torch.bfloat16)
    index = torch.tensor([1, 1])
    with torch.autocast("cpu", torch.bfloat16):
        expected = torch.index_copy(cells, 0, index, values)
        assert torch.equal(drop.index_copy(cells, 0, index, values), expected)
    with pytest.raises(RuntimeError):
        drop.index_copy(cells, 0, index, values)


MODULES: tuple[tuple[nn.Module, tuple[Any, ...]], ...] = (
    (drop.Embedding(9, 3, padding_idx=2, max_norm=1.0), (torch.tensor([1, 2, 1]),)),
    (drop.EmbeddingBag(9, 3, mode="max"), (torch.tensor([[1, 2], [1, 4]]),)),
    (drop.MaxPool3d(2, 1, return_indices=True), (torch.rand(1, 2, 4, 4, 4),)),
    (drop.AdaptiveMaxPool2d((3, None)), (torch.rand(1, 2, 4, 4),)),
    (drop.FractionalMaxPool2d(2, output_ratio=0.5), (torch.rand(1, 2, 6, 6),)),
    (drop.MaxUnpool1d(2), (torch.rand(1, 1, 3), torch.tensor([[[0, 3, 5]]]))),
)


@pytest.mark.parametrize(("module", "args"), MODULES, ids=lambda each: type(each).__name__)
def test_a_module_is_the_original_but_for_its_class(module: nn.Module, args: tuple[Any, ...]) -> None:
    original = next(each for each in type(module).__mro__[1:] if each.__module__.startswith("torch."))
    stock = copy.deepcopy(module)
    stock.__class__ = original
    assert repr(module) == repr(stock)
    assert list(module.state_dict()) == list(stock.state_dict())
    for twin in (module, pickle.loads(pickle.dumps(module)), copy.deepcopy(module)):
        with torch.no_grad():  # where a printed tensor does not name its autograd node
            torch.manual_seed(0)
            mine = str(twin(*args))
            torch.manual_seed(0)
            assert mine == str(stock(*args))


@pytest.mark.usefixtures("_device")
def test_fractional_pools_draw_what_the_original_draws() -> None:
    x = torch.rand(2, 3, 9, 9)
    torch.manual_seed(1)
    mine, state = drop.fractional_max_pool2d(x, 2, output_size=5), torch.get_rng_state()
    torch.manual_seed(1)
    assert torch.equal(mine, F.fractional_max_pool2d(x, 2, output_size=5))
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.usefixtures("_device")
@pytest.mark.parametrize("options", [{"scale_grad_by_freq": True}, {"max_norm": 0.5}, {"sparse": True}], ids=str)
def test_embedding_keeps_its_options(options: dict[str, Any]) -> None:
    index = torch.tensor([[0, 2, 2], [2, 1, 0]])
    weights = [torch.arange(1.0, 9.0).view(4, 2).requires_grad_() for _ in range(2)]
    found = [
        function(index, weight, **options)
        for function, weight in zip((drop.embedding, F.embedding), weights, strict=True)
    ]
    assert torch.equal(*found)
    assert torch.equal(*weights)  # max_norm changes them in place
    grads = [torch.autograd.grad((each * each.detach()).sum(), w)[0] for each, w in zip(found, weights, strict=True)]
    assert grads[0].layout == grads[1].layout
    assert torch.allclose(*(each.to_dense() for each in grads))


def test_equal_values_are_named_by_their_first_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traced_for, "device", "cuda")
    x = torch.tensor([[3.0, 1.0, 1.0, 1.0, 0.0], [torch.nan, 2.0, torch.nan, 2.0, 2.0]])
    assert drop.median(x, 1).indices.tolist() == [1, 0]
    assert drop.nanmedian(x, 1).indices.tolist() == [1, 1]
    assert drop.kthvalue(x[0], 3).indices.item() == 1
    assert drop.topk(x[0], 3).indices.tolist() == [0, 1, 2]


@pytest.mark.usefixtures("_device")
def test_function_transforms_go_through() -> None:
    x = torch.arange(6.0).view(3, 2)
    places = torch.tensor([[0, 1], [2, 1]])
    grad = torch.func.grad(lambda x: (drop.gather(x, 0, places) ** 2).sum())(x)
    assert torch.equal(grad, torch.func.grad(lambda x: (x.gather(0, places) ** 2).sum())(x))
    hessian = torch.func.grad(lambda x: torch.func.grad(lambda y: (drop.take(y, places) ** 3).sum())(x).sum())(x)
    assert torch.equal(hessian, torch.func.grad(lambda x: (3 * x.take(places) ** 2).sum())(x))
