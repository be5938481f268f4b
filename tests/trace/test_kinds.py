"""Kinds of models and steps: each is traced forward and backward, or refused with a word on what to do."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.func import functional_call, grad, jacrev, vmap
from torch.utils.checkpoint import checkpoint

from opscan.errors import TraceError
from opscan.trace.autocast import Casting
from opscan.trace.graph import Trace, call_of
from opscan.trace.real import trace_on_cpu
from tests.conftest import run_process
from tests.trace.tracing import ops, packet, trace

X = torch.randn(3, 4)
GRAPH = torch.sparse_coo_tensor(torch.tensor([[0, 1, 2], [1, 0, 2]]), torch.ones(3), (3, 3)).coalesce()


def names(traced: Trace, phase: str | None = None) -> list[str]:
    return [packet(node) for node in ops(traced, None, phase)]


class Spread(nn.Module):
    """A graph convolution by a sparse matrix, handed in or kept."""

    def __init__(self, graph: torch.Tensor | None = None) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.register_buffer("graph", graph)

    def forward(self, x: torch.Tensor, graph: torch.Tensor | None = None) -> torch.Tensor:
        graph = self.graph if graph is None else graph
        return graph @ self.layer(x)


class Words(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.words, self.bag = nn.Embedding(10, 4, sparse=True), nn.EmbeddingBag(10, 4, sparse=True)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.words(ids).sum(1) + self.bag(ids)


class SparseWeight(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(GRAPH.clone())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sparse.mm(self.weight, x)


class Waves(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4, dtype=torch.complex64)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.fft.ifft(self.layer(torch.fft.fft(x))).abs()


class Compiled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    @torch.compile
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x).cumsum(0)


class Scripted(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.rest = torch.jit.trace(nn.Sequential(nn.Linear(4, 4), nn.Tanh()), X)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.rest(self.first(x))


def compiled_in_place() -> nn.Module:
    model = nn.Sequential(nn.Linear(4, 4))
    model.compile()
    return model


def penalty(x: torch.Tensor, critic: nn.Module) -> torch.Tensor:
    """The gradient penalty of a critic: its backward is differentiated itself."""
    x = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    return ((slope.norm(2, dim=1) - 1) ** 2).mean()


def per_sample(x: torch.Tensor, model: nn.Module) -> torch.Tensor:
    weights = dict(model.named_parameters())

    def loss(weights: Any, sample: torch.Tensor) -> torch.Tensor:
        return functional_call(model, weights, (sample,)).sum()

    found = vmap(grad(loss), in_dims=(None, 0))({name: each.detach() for name, each in weights.items()}, x)
    return sum(each.sum() for each in found.values()) + loss(weights, x)


def hooked() -> nn.Module:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].register_forward_hook(lambda module, args, output: output.cumsum(0))
    model[1].register_full_backward_hook(lambda module, given, received: (given[0].flip(0),))
    model[0].weight.register_hook(lambda gradient: gradient.clone())
    return model


def made_sparse(x: torch.Tensor) -> torch.Tensor:
    return torch.sparse.mm(x.to_sparse(), x.T)


def weighed(x: torch.Tensor, graph: torch.Tensor) -> torch.Tensor:
    return torch.sparse.softmax(graph, 1).to_dense() @ x


LAYERS = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))
QUANTIZED = torch.ao.quantization.quantize_dynamic(nn.Sequential(nn.Linear(4, 4), nn.ReLU()), {nn.Linear})

KINDS: dict[str, tuple[Callable[[], Any], tuple[Any, ...], str, str]] = {
    "sparse COO as an input": (Spread, (X, GRAPH), "forward", "mm"),
    "sparse CSR as an input": (Spread, (X, GRAPH.to_sparse_csr()), "forward", "addmm"),
    "sparse COO as a buffer": (lambda: Spread(GRAPH), (X,), "forward", "mm"),
    "sparse as a parameter": (SparseWeight, (X,), "backward", "sparse_mask"),
    "sparse gradients": (
        Words,
        (torch.tensor([[1, 2], [2, 2]]),),
        "backward",
        "_sparse_coo_tensor_with_dims_and_tensors",
    ),
    "sparse made of an activation": (
        lambda: lambda x: torch.sparse.mm(x.to_sparse(), x.T),
        (X,),
        "forward",
        "_to_sparse",
    ),
    "sparse to dense": (lambda: lambda x, g: g.to_dense() @ x, (X, GRAPH), "forward", "_to_dense"),
    "sparse softmax": (
        lambda: lambda x, g: torch.sparse.softmax(g, 1).to_dense() @ x,
        (X, GRAPH),
        "forward",
        "_sparse_softmax",
    ),
    "complex": (Waves, (X,), "backward", "_fft_c2c"),
    "complex input": (Waves, (X.to(torch.complex64),), "backward", "_fft_c2c"),
    "compiled child": (lambda: nn.Sequential(torch.compile(nn.Linear(4, 4))), (X,), "backward", "mm"),
    "compiled in place": (compiled_in_place, (X,), "backward", "mm"),
    "compiled forward": (Compiled, (X,), "forward", "cumsum"),
    "compiled within forward": (lambda: lambda x: torch.compile(lambda y: y.cumsum(0))(x), (X,), "forward", "cumsum"),
    "traced by TorchScript, a child": (Scripted, (X,), "backward", "tanh_backward"),
    "scripted, the model itself": (lambda: torch.jit.script(nn.Linear(4, 4)), (X,), "backward", "mm"),
    "DataParallel": (lambda: nn.DataParallel(nn.Linear(4, 4)), (X,), "backward", "mm"),
    "checkpoint": (lambda: lambda x: checkpoint(LAYERS, x, use_reentrant=False), (X,), "backward", "tanh"),
    "checkpoint, reentrant": (lambda: lambda x: checkpoint(LAYERS, x, use_reentrant=True), (X,), "backward", "tanh"),
    "double backward": (lambda: lambda x: penalty(x, LAYERS), (X,), "backward", "tanh_backward"),
    "gradients per sample": (lambda: lambda x: per_sample(x, nn.Linear(4, 2)), (X,), "forward", "sum"),
    "a jacobian": (lambda: lambda x: jacrev(lambda y: y.cumsum(0))(x).sum(), (X[0],), "forward", "cumsum"),
    "hooks": (hooked, (X,), "backward", "flip"),
    "parametrized weights": (lambda: nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)), (X,), "backward", "mm"),
}


@pytest.mark.parametrize(("make", "args", "phase", "name"), KINDS.values(), ids=KINDS)
def test_it_is_traced_forward_and_backward(make, args, phase, name):
    traced = trace(make(), *args, input_grad=True)
    assert any(each.startswith(name) for each in names(traced, phase)), names(traced, phase)
    assert names(traced, "backward")


def test_quantized_layers_are_traced_forward():
    assert "linear_dynamic" in names(trace(QUANTIZED, X, mode="eval"))


def test_the_ops_of_a_compiled_model_have_their_modules():
    traced = trace(nn.Sequential(torch.compile(nn.Linear(4, 4))), X)
    assert {call_of(node).module.type for node in ops(traced, "addmm")} == {"Linear"}


@pytest.mark.parametrize("make", [Scripted, lambda: torch.jit.script(nn.Linear(4, 4))], ids=["child", "itself"])
def test_a_torchscript_module_is_afterwards_as_it_was(make):
    model = make()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    trace(model, X)
    trace(model, X, mode="eval")
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())
    assert model.training
    assert model(X).device.type == "cpu"


def test_ddp_is_traced_as_the_module_it_holds():
    import torch.distributed as dist

    dist.init_process_group("gloo", rank=0, world_size=1, store=dist.HashStore())
    try:
        model = nn.parallel.DistributedDataParallel(nn.Linear(4, 4))
        traced = trace(model, X)
        assert "addmm" in names(traced, "forward")
        assert "mm" in names(traced, "backward")
        assert call_of(ops(traced, "addmm")[0]).module.path == "module"
        assert model(X).device.type == "cpu"
    finally:
        dist.destroy_process_group()


def nested(x: torch.Tensor) -> torch.Tensor:
    return torch.nested.nested_tensor([x, x[:2]], layout=torch.jagged).to_padded_tensor(0.0).sum()


REFUSED = {
    "nested tensors made inside": (nested, "offsets"),
    "an op with no kernel for meta": (
        lambda x: torch.nested.nested_tensor([x, x[:2]]).to_padded_tensor(0.0),
        "INTERNAL",
    ),
}


@pytest.mark.parametrize(("step", "said"), REFUSED.values(), ids=REFUSED)
def test_what_meta_cannot_do_is_said_with_what_to_do(step, said):
    if step is nested and torch.__version__.startswith("2.6"):
        pytest.skip("torch 2.6 asserts it without a message")
    with pytest.raises(TraceError, match=r"--trace-device cpu") as error:
        trace(step, X)
    assert said in error.value.what


def test_and_the_cpu_does_it():
    assert names(trace_on_cpu(nested, (X,), {}, watched=frozenset(), casting=Casting()))


def test_flat_parameters_are_refused():
    class FullyShardedDataParallel(nn.Linear):
        pass

    model = FullyShardedDataParallel(4, 4)
    with pytest.raises(TraceError, match=r"flat tensor.*\n.*fully_shard"):
        trace(model, X)
    assert model.weight.device.type == "cpu"


def test_what_forward_compiles_is_not_compiled_and_dynamo_is_not_imported(tmp_path):
    code = """
import sys, torch, opscan
before = torch.compile
def step(x):
    return torch.compile(lambda y: y.cumsum(0))(torch.compile(dynamic=True)(torch.sin)(x))
report = opscan.check(step, (torch.ones(3, requires_grad=True),))
print(report.forward_ops, torch.compile is before, sorted({"torch._dynamo", "torch._inductor"} & set(sys.modules)))
"""
    assert run_process(sys.executable, "-c", code, cwd=tmp_path).out.split("\n")[0] == "2 True []"
