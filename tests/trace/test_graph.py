"""The result is one torch.fx.Graph: its nodes, their arguments, their memory, and what hangs on the weights."""

from __future__ import annotations

import operator
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import fx, nn
from torch.utils.checkpoint import checkpoint

from opscan.arguments import read_before_written
from opscan.trace.graph import Trace, call_of, serves_weights, storages_of
from opscan.trace.recorder import Recorder
from tests.trace.tracing import floats, is_weight, only, ops, packet, trace


class Mixed(nn.Module):
    """Views, in-place ops, several outputs, lists of tensors, integers, dropout, a shared layer."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(10, 8)
        self.norm = nn.BatchNorm1d(8)
        self.rnn = nn.LSTM(8, 4, batch_first=True)
        self.head = nn.Linear(4, 3)

    def forward(self, ids):
        x = self.embed(ids)
        x = self.norm(x.transpose(1, 2)).transpose(1, 2).relu_()
        a, b = x.chunk(2, 1)
        x = torch.cat([a, b.flip(0)], 1)
        out, (h, _) = self.rnn(x)
        top, where = out.max(1)
        out = out.index_add(1, ids[0], out)
        return F.dropout(self.head(out[ids != 0]), 0.1), self.head(top + h[0]), where


class Pooled(nn.Module):
    """Saved outputs (relu, sigmoid, softmax) whose memory gets a view of another shape afterwards."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4 * 36, 5)

    def forward(self, x):
        x = self.conv(x).relu()
        return self.head(x.view(x.shape[0], -1)).sigmoid().view(-1)


class Checkpointed(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x):
        return checkpoint(lambda x: self.conv(x).sigmoid().flatten(1), x, use_reentrant=False)


def _step():
    model = nn.Linear(3, 3)
    optimizer = torch.optim.Adam(model.parameters())

    def step(x):
        optimizer.zero_grad()
        model(x).square().sum().backward()
        optimizer.step()

    return step


MODELS = {
    "mixed": (Mixed, lambda: [torch.tensor([[1, 2, 3, 4], [5, 6, 7, 0]])]),
    "saved outputs": (Pooled, lambda: [floats(2, 3, 8, 8)]),
    "checkpoint": (Checkpointed, lambda: [floats(2, 3, 8, 8)]),
    "training step with an optimizer": (_step, lambda: [floats(2, 3)]),
    "transformer": (
        lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), 2),
        lambda: [floats(2, 5, 8)],
    ),
}


@pytest.fixture(scope="module", params=MODELS, ids=MODELS)
def traced(request):
    make, inputs = MODELS[request.param]
    return trace(make(), *inputs())


def _args(node: fx.Node) -> list[fx.Node]:
    found: list[fx.Node] = []
    fx.node.map_arg((node.args, node.kwargs), found.append)
    return found


def test_graph_is_a_valid_fx_graph(traced):
    assert type(traced.graph) is fx.Graph
    traced.graph.lint()


def test_arguments_come_before_their_users(traced):
    order = {node: position for position, node in enumerate(traced.graph.nodes)}
    for node in traced.graph.nodes:
        for argument in _args(node):
            assert order[argument] < order[node]


def test_all_input_nodes_are_those_in_the_arguments(traced):
    """`args` is set behind fx's back in the recorder: users and inputs must follow all the same."""
    for node in traced.graph.nodes:
        assert set(node.all_input_nodes) == set(_args(node))
        for argument in _args(node):
            assert node in argument.users


def test_nothing_in_the_graph_is_a_tensor_but_known_integers(traced):
    def look(value):
        assert not isinstance(value, torch.Tensor)
        if isinstance(value, list | tuple):
            for item in value:
                look(item)
        elif isinstance(value, dict):
            look(list(value.values()))

    for node in traced.graph.nodes:
        look([node.args, node.kwargs, {name: value for name, value in node.meta.items() if name != "known"}])


def test_every_op_has_its_provenance_and_every_getitem_has_none(traced):
    for node in traced.graph.nodes:
        if node.op == "call_function":
            assert ("opscan" in node.meta) == (node.target is not operator.getitem)


def test_outputs_are_getitems_of_their_op(traced):
    for node in traced.graph.nodes:
        if node.target is operator.getitem:
            source, index = node.args
            assert source.meta["tensors"][index] == node.meta["tensors"]


def test_graph_is_pickled_or_copied_without_the_model(traced):
    copy = fx.Graph()
    copy.graph_copy(traced.graph, {})
    copy.lint()
    assert pickle.loads(pickle.dumps([node.meta.get("tensors") for node in traced.graph.nodes]))


@pytest.mark.parametrize(("make", "inputs"), MODELS.values(), ids=MODELS)
def test_an_arguments_node_has_the_sizes_and_strides_of_the_argument(make, inputs, monkeypatch):
    """Rules ask the sizes of arguments: the node named must be that tensor, not another view of its memory."""
    wrong: list[str] = []
    record = Recorder._record

    def recording(self, func, args, kwargs):
        node = record(self, func, args, kwargs)
        for position, (value, named) in enumerate(zip(args, node.args, strict=True)):
            pairs = (
                [(value, named)]
                if isinstance(value, torch.Tensor)
                else zip(value, named, strict=True)
                if type(value) is list
                else []
            )
            for tensor, argument in pairs:
                if isinstance(tensor, torch.Tensor):
                    info = argument.meta["tensors"]
                    if (info.shape, info.stride, info.dtype) != (tensor.shape, tensor.stride(), tensor.dtype):
                        wrong.append(
                            f"{func}: argument {position} is {list(tensor.shape)}, {argument} {list(info.shape)}"
                        )
        return node

    monkeypatch.setattr(Recorder, "_record", recording)
    trace(make(), *inputs())
    assert not wrong


def test_forward_and_backward_are_one_graph_tied_by_saved_tensors():
    traced = trace(nn.Sequential(nn.Linear(3, 4), nn.Sigmoid()), floats(2, 3))
    backward = only(traced, "sigmoid_backward")
    assert backward.args[0].name.startswith("grad_output")
    assert only(traced, "sigmoid") in _ancestors(backward)


def _ancestors(node: fx.Node) -> set[fx.Node]:
    found, todo = set(), [node]
    while todo:
        for each in todo.pop().all_input_nodes:
            if each not in found:
                found.add(each)
                todo.append(each)
    return found


# -- placeholders


def test_placeholders_are_weights_buffers_inputs_and_output_gradients():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    model[0].bias.requires_grad_(False)
    traced = trace(model, floats(2, 3, 8, 8))
    found = {node.name: is_weight(node) for node in traced.graph.nodes if node.op == "placeholder"}
    assert found == {
        "_0_weight": True,
        "_0_bias": False,
        "_1_weight": True,
        "_1_bias": True,
        "_1_running_mean": False,
        "_1_running_var": False,
        "_1_num_batches_tracked": False,
        "input_0": False,
        "grad_output_0": False,
    }


def test_placeholders_carry_their_sizes():
    traced = trace(nn.Linear(3, 4), floats(2, 3))
    shapes = {
        node.name.lstrip("_"): node.meta["tensors"].shape for node in traced.graph.nodes if node.op == "placeholder"
    }
    assert shapes == {"weight": (4, 3), "bias": (4,), "input_0": (2, 3), "grad_output_0": (2, 4)}


def test_inputs_in_containers_and_by_name_are_placeholders():
    def run(pair, *, scale):
        return pair["a"][0] * scale

    traced = trace(run, {"a": [floats(2, 3)]}, scale=floats(3))
    product = only(traced, "mul")
    assert [argument.op for argument in product.args] == ["placeholder", "placeholder"]
    assert not any(is_weight(argument) for argument in product.args)


@pytest.mark.parametrize("nested", [False, True], ids=["tensor", "in a list"])
def test_an_input_that_needs_a_gradient_is_no_weight(nested):
    x = torch.zeros(2, 3, requires_grad=True)
    traced = trace(lambda x: (x[0] if nested else x).sigmoid(), [x] if nested else x)
    assert not any(is_weight(argument) for argument in only(traced, "sigmoid").args)


def test_a_weight_in_a_closure_is_a_weight():
    weight = torch.zeros(3, requires_grad=True)
    traced = trace(lambda x: x * weight, floats(2, 3))
    assert is_weight(only(traced, "mul", "forward").args[1])


# -- what hangs on the weights


class PadThenConv(nn.Module):
    def __init__(self, frozen=False):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 3, 3, padding=1), nn.Conv2d(3, 3, 3)
        if frozen:
            self.conv1.requires_grad_(False)

    def forward(self, x):
        x = F.pad(x, (1, 1, 1, 1), "replicate")
        x = self.conv1(x)
        x = F.pad(x, (2, 2, 2, 2), "replicate")
        return self.conv2(x)


class ThroughBuffer(nn.Module):
    """The weight's value goes through memory: a buffer is written, and read by another view of it."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x):
        canvas = x.new_zeros(1, 6, 8, 8)
        read = canvas.view(6, 8, 8)
        canvas[:, 3:] = self.conv(x)
        return F.pad(read, (1, 1, 1, 1), "replicate")


class ThroughOutputs(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)

    def forward(self, x):
        _, second = self.conv(x).split(2, 1)
        return F.pad(second, (1, 1, 1, 1), "replicate")


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        pytest.param(PadThenConv(), [False, True], id="only the pad after a weight serves weights"),
        pytest.param(PadThenConv(frozen=True), [False, False], id="a frozen weight is none"),
        pytest.param(ThroughBuffer(), [True], id="through memory that was written in place"),
        pytest.param(ThroughOutputs(), [True], id="through one of several outputs"),
    ],
)
def test_serves_weights(model, expected):
    traced = trace(model, floats(1, 3, 8, 8), input_grad=True)
    weighted = serves_weights(traced)
    assert [node in weighted for node in ops(traced, "replication_pad2d")] == expected
    causes = [call_of(node).cause in weighted for node in ops(traced, "replication_pad2d_backward")]
    assert causes == expected[::-1]


# -- memory


def _storages(run, *names):
    traced = trace(run, floats(4, 4), input_grad=True)
    found = {node.name: storages_of(node) for node in traced.graph.nodes if node.op == "placeholder"}
    found |= {packet(node): storages_of(node) for node in ops(traced, phase="forward")}
    return [found[name] for name in names]


SHARED = {
    "view": (lambda x: (x * 1).view(-1), "mul", "view"),
    "transpose": (lambda x: (x * 1).t(), "mul", "t"),
    "slice": (lambda x: (x * 1)[1:], "mul", "slice"),
    "detach": (lambda x: (x * 1).detach(), "mul", "detach"),
    "in place": (lambda x: (x * 1).add_(1), "mul", "add_"),
    "in place on a view": (lambda x: (x * 1)[0].add_(1), "mul", "add_"),
    "reshape that is a view": (lambda x: (x * 1).reshape(16), "mul", "view"),
    "expand": (lambda x: (x * 1).expand(2, 4, 4), "mul", "expand"),
    "copy_ keeps the destination's": (lambda x: torch.empty(4, 4).copy_(x), "empty", "copy_"),
    "view of an integer": (lambda x: torch.arange(4).view(2, 2), "arange", "view"),
}
FRESH = {
    "arithmetic": (lambda x: (x * 1) + 1, "mul", "add"),
    "clone": (lambda x: (x * 1).clone(), "mul", "clone"),
    "reshape that copies": (lambda x: (x * 1).t().reshape(16), "mul", "clone"),
    "constants of their own": (lambda x: torch.zeros(4) + torch.ones(4), "zeros", "ones"),
    "integers": (lambda x: torch.arange(4) + 1, "arange", "add"),
}


@pytest.mark.parametrize(("run", "one", "other"), SHARED.values(), ids=SHARED)
def test_views_share_a_storage_number(run, one, other):
    first, second = _storages(run, one, other)
    assert first == second != ()


@pytest.mark.parametrize(("run", "one", "other"), FRESH.values(), ids=FRESH)
def test_fresh_memory_has_a_number_of_its_own(run, one, other):
    first, second = _storages(run, one, other)
    assert first
    assert first != second


def test_split_shares_one_number_among_all_parts():
    (parts,) = _storages(lambda x: (x * 1).split(2), "split")
    assert len(parts) == 2
    assert len(set(parts)) == 1


def test_memory_given_back_and_handed_out_again_gets_a_new_number():
    def run(x):
        for _ in range(50):
            x = torch.empty_like(x).copy_(x * 2)
        return x

    traced = trace(run, floats(64, 64))
    numbers = [storages_of(node) for node in ops(traced, "mul", "forward")]
    assert len(set(numbers)) == 50
    assert not set(numbers) & {storages_of(node) for node in ops(traced, "empty_like")}


# -- read before written


def _reads(run, name="empty"):
    return [read_before_written(node) for node in ops(_run(run), name)]


def _run(run) -> Trace:
    return trace(run, floats(4, 4), mode="eval")


READS = {
    "added": lambda x: torch.empty(4, 4) + x,
    "returned by an op": lambda x: torch.empty(4, 4).exp(),
    "half written in place, half read": lambda x: torch.empty(4, 4).add_(x),
    "read through a view": lambda x: torch.empty(4, 4)[0].exp(),
    "read through one of several views": lambda x: torch.empty(4, 4).chunk(2)[0].exp(),
    "read through an unbound row": lambda x: torch.empty(4, 4).unbind()[1].exp(),
    "read before it is written": lambda x: (buffer := torch.empty(4, 4), buffer.exp(), buffer.zero_())[1],
    "source of a copy": lambda x: torch.zeros(4, 4).copy_(torch.empty(4, 4)),
    "concatenated": lambda x: torch.cat([torch.empty(4, 4), x]),
    "matrix product": lambda x: torch.empty(4, 4) @ x,
    "condition in place": lambda x: torch.empty(4, 4).mul_(0),
}
WRITTEN = {
    "copy_": lambda x: torch.empty(4, 4).copy_(x).exp(),
    "fill_": lambda x: torch.empty(4, 4).fill_(1).exp(),
    "zero_": lambda x: torch.empty(4, 4).zero_().exp(),
    "uniform_": lambda x: torch.empty(4, 4).uniform_().exp(),
    "normal_": lambda x: torch.empty(4, 4).normal_().exp(),
    "log_normal_": lambda x: torch.empty(4, 4).log_normal_().exp(),
    "cauchy_": lambda x: torch.empty(4, 4).cauchy_().exp(),
    "geometric_": lambda x: torch.empty(4, 4).geometric_(0.5).exp(),
    "exponential_ (gumbel)": lambda x: torch.empty(4, 4).exponential_().log(),
    "bernoulli_ (drop path)": lambda x: x * torch.empty(4, 1).bernoulli_(0.9).div_(0.9),
    "nn.init": lambda x: nn.init.xavier_uniform_(torch.empty(4, 4)).exp(),
    "slice then copy_": lambda x: (buffer := torch.empty(8, 4), buffer[:4].copy_(x), buffer[4:].copy_(x), buffer.exp())[
        -1
    ],
    "assigned by index": lambda x: _assigned(torch.empty(4, 4), x).exp(),
    "parts of a chunk": lambda x: _by_parts(torch.empty(4, 4)).exp(),
    "out=": lambda x: _out(x).exp(),
    "out= of a matrix product": lambda x: (buffer := torch.empty(4, 4), torch.mm(x, x, out=buffer), buffer.exp())[-1],
    "never used": lambda x: (torch.empty(4, 4), x.exp())[1],
    "only its sizes": lambda x: torch.zeros_like(torch.empty(4, 4)) + x,
    "new_ from it": lambda x: torch.empty(4, 4).new_ones(3),
    "view of it, filled": lambda x: (buffer := torch.empty(16), buffer.view(4, 4).fill_(0), buffer.exp())[-1],
}


def _assigned(buffer, x):
    buffer[:] = x
    return buffer


def _by_parts(buffer):
    for part in buffer.chunk(2):
        part.zero_()
    return buffer


def _out(x):
    buffer = torch.empty(4, 4)
    torch.add(x, 1, out=buffer)
    return buffer


@pytest.mark.parametrize("run", READS.values(), ids=READS)
def test_uninitialized_memory_that_is_read(run):
    assert _reads(run) == [True]


@pytest.mark.parametrize("run", WRITTEN.values(), ids=WRITTEN)
def test_memory_that_is_written_first(run):
    assert _reads(run) == [False]


@pytest.mark.parametrize(
    ("run", "name", "reads"),
    [
        pytest.param(
            lambda x: torch.zeros_like(torch.empty_like(x)), "empty_like", False, id="empty_like for its sizes"
        ),
        pytest.param(lambda x: torch.empty_like(x).exp(), "empty_like", True, id="empty_like read"),
        pytest.param(lambda x: x.new_empty(4).exp(), "new_empty", True, id="new_empty read"),
        pytest.param(lambda x: x.new_empty(4).zero_().exp(), "new_empty", False, id="new_empty zeroed"),
        pytest.param(lambda x: torch.empty_strided((4,), (1,)).exp(), "empty_strided", True, id="empty_strided read"),
        pytest.param(lambda x: torch.empty(4, dtype=torch.long).fill_(0).exp(), "empty", False, id="integers filled"),
        pytest.param(
            lambda x: x[torch.empty(2, dtype=torch.long).zero_()], "empty", False, id="integers zeroed, an index"
        ),
    ],
)
def test_other_ways_to_allocate(run, name, reads):
    assert _reads(run, name) == [reads]
