"""Each op says where it came from: phase, module, lines, public functions, autograd node, and its cause."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from opscan.scan import check
from opscan.trace.driver import constructing
from opscan.trace.graph import call_of
from opscan.trace.provenance import _kind_of, look_out
from tests.trace.tracing import Cell, call, floats, is_weight, only, ops, packet, trace

HEADER = """
import torch
from torch import nn
import torch.nn.functional as F
from collections import OrderedDict
"""


# -- phase


class Scaled(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, x):
        return self.conv(x).relu()


def _no_detach(nodes):
    """Without what autograd does itself: it detaches an output that it saves."""
    return [node for node in nodes if packet(node) != "detach"]


def test_phases_come_in_order_and_each_is_there():
    traced = trace(Scaled(), floats(2, 3, 8, 8), loss=lambda out: out.square().mean())
    phases = [call_of(node).phase for node in traced.ops()]
    assert phases == sorted(phases, key=["forward", "loss", "backward"].index)
    assert [packet(node) for node in _no_detach(ops(traced, phase="forward"))] == ["convolution", "relu"]
    assert [packet(node) for node in _no_detach(ops(traced, phase="loss"))] == ["pow", "mean"]
    assert "convolution_backward" in [packet(node) for node in ops(traced, phase="backward")]


def test_eval_mode_has_forward_only():
    traced = trace(Scaled(), floats(2, 3, 8, 8), mode="eval")
    assert {call_of(node).phase for node in traced.ops()} == {"forward"}


@pytest.mark.parametrize("frozen", [True, False], ids=["BatchNorm frozen with .eval() stays frozen", "trains"])
def test_train_mode_keeps_what_the_user_put_in_eval(frozen):
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).train()
    if frozen:
        model[1].eval()
    counted = ops(trace(model, floats(2, 3, 8, 8)), "add_", "forward")  # num_batches_tracked
    assert len(counted) == (0 if frozen else 1)


class Forces(nn.Module):
    """An interatomic potential: forward itself differentiates, and training differentiates that."""

    def __init__(self):
        super().__init__()
        self.net = nn.Linear(3, 1)

    def forward(self, positions):
        positions = positions.detach().requires_grad_()
        energy = self.net(positions).tanh().sum()
        return torch.autograd.grad(energy, positions, create_graph=True)[0]


def test_forward_that_differentiates_has_a_backward_all_the_same():
    traced = trace(Forces(), floats(5, 3), loss=lambda forces: forces.square().sum())
    seen = [call_of(node).phase for node in traced.ops()]
    assert "loss" in seen
    assert "backward" in seen[seen.index("loss") :], "nothing differentiates the loss"


# -- where the module was built

BUILT = [
    # (id, source of a class Net, path, tags that are right for a module given as an object, the tag recorded)
    (
        "attribute",
        "self.conv = nn.Conv2d(3, 3, 3) #here",
        "conv",
        {"here"},
        "here",
    ),
    (
        "call over several lines",
        "self.conv = nn.Conv2d( #here\n            3,\n            3,\n            3,\n        )",
        "conv",
        {"here"},
        "here",
    ),
    (
        "two in one statement",
        "self.a, self.conv = nn.ReLU(), nn.Conv2d(3, 3, 3) #here",
        "conv",
        {"here"},
        "here",
    ),
    (
        "annotated assignment",
        "self.conv: nn.Module = nn.Conv2d(3, 3, 3) #here",
        "conv",
        {"here"},
        "here",
    ),
    (
        "position in a Sequential",
        """self.body = nn.Sequential(
            nn.ReLU(), #first
            nn.Conv2d(3, 3, 3), #second
        )""",
        "body.1",
        {"second"},
        "second",
    ),
    (
        "position in a Sequential within a Sequential",
        """self.body = nn.Sequential(
            nn.ReLU(),
            nn.Sequential(
                nn.ReLU(),
                nn.Conv2d(3, 3, 3), #inner
            ),
        )""",
        "body.1.1",
        {"inner"},
        "inner",
    ),
    (
        "position in a ModuleList",
        """self.body = nn.ModuleList([
            nn.ReLU(), #first
            nn.Conv2d(3, 3, 3), #second
        ])""",
        "body.1",
        {"second"},
        "second",
    ),
    (
        "key of a ModuleDict",
        """self.body = nn.ModuleDict({ #dict
            "a": nn.ReLU(),
            "b": nn.Conv2d(3, 3, 3), #here
        })""",
        "body.b",
        {"here", "dict"},
        "here",
    ),
    (
        "name in an OrderedDict",
        """self.body = nn.Sequential(OrderedDict([ #all
            ("a", nn.ReLU()),
            ("b", nn.Conv2d(3, 3, 3)), #here
        ]))""",
        "body.b",
        {"here", "all"},
        "here",
    ),
    (
        "append in a loop",
        """self.body = nn.ModuleList() #list
        for _ in range(2):
            self.body.append(nn.Conv2d(3, 3, 3)) #here""",
        "body.1",
        {"here", "list"},
        "here",
    ),
    (
        "comprehension",
        """self.body = nn.ModuleList( #list
            [
                nn.Conv2d(3, 3, 3) #here
                for _ in range(2) #for
            ] #end
        )""",
        "body.1",
        {"here", "list"},
        "here",
    ),
    (
        "setattr in a loop",
        """for n in range(2):
            setattr(self, f"conv{n}", nn.Conv2d(3, 3, 3)) #here""",
        "conv1",
        {"here"},
        "here",
    ),
    (
        "add_module",
        """self.add_module("conv", nn.Conv2d(3, 3, 3)) #here""",
        "conv",
        {"here"},
        "here",
    ),
    (
        "starred list",
        """layers = []
        layers.append(nn.ReLU())
        layers.append(nn.Conv2d(3, 3, 3)) #here
        self.body = nn.Sequential(*layers) #all""",
        "body.1",
        {"here", "all"},
        "here",
    ),
    (
        "branch not taken comes first in the source",
        """if not self:
            self.conv = nn.Linear(3, 3) #wrong
        else:
            self.conv = nn.Conv2d(3, 3, 3) #here""",
        "conv",
        {"here"},
        "here",
    ),
    (
        "deep copies that nn.TransformerEncoder makes",
        """layer = nn.TransformerEncoderLayer(4, 1, 8) #layer
        self.body = nn.TransformerEncoder(layer, 2) #encoder""",
        "body.layers.1.linear1",
        {"layer", "encoder"},
        "layer",
    ),
    (
        "a part that torch builds inside its own module",
        "self.body = nn.MultiheadAttention(4, 1) #here",
        "body.out_proj",
        {"here"},
        "here",
    ),
    (
        "helper function",
        "self.conv = make(3) #call",
        "conv",
        {"call", "helper"},
        "helper",
    ),
]


def _net(body: str) -> str:
    helper = "def make(n):\n    return nn.Conv2d(n, n, 3) #helper\n"
    return (
        f"{HEADER}{helper}class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n        {body}\n"
    )


def _site(model, path):
    from opscan.trace.provenance import construction_site

    return construction_site(dict(model.named_modules()), path)


@pytest.mark.parametrize(("body", "path", "right"), [(c[1], c[2], c[3]) for c in BUILT], ids=[c[0] for c in BUILT])
def test_construction_is_read_from_source_for_a_given_object(body, path, right):
    cell = Cell(_net(body))
    assert cell.tag(_site(cell["Net"](), path)) in right


@pytest.mark.parametrize(("body", "path", "right"), [(c[1], c[2], c[4]) for c in BUILT], ids=[c[0] for c in BUILT])
@pytest.mark.parametrize("has_source", [True, False], ids=["", "no source at all"])
def test_construction_is_recorded_when_opscan_builds(body, path, right, has_source):
    cell = Cell(_net(body), has_source=has_source)
    with constructing():
        model = cell["Net"]()
    assert cell.tag(_site(model, path)) == right


SUBCLASS = f"""{HEADER}
class Base(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.conv = nn.Conv2d(n, n, 3) #base

class NoInit(Base):
    pass

class OwnInit(Base):
    def __init__(self):
        super().__init__(3)
        self.head = nn.Linear(3, 3) #head

class Replaces(Base):
    def __init__(self):
        super().__init__(3)
        self.conv = nn.Conv2d(3, 3, 1) #replaced

class Outer(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = OwnInit() #inner

class MyConv(nn.Conv2d):
    def __init__(self, n):
        super().__init__(n, n, 3) #own

class Holds(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = MyConv(3) #holds
"""


@pytest.mark.parametrize("recorded", [False, True], ids=["given", "recorded"])
@pytest.mark.parametrize(
    ("make", "path", "right"),
    [
        pytest.param(lambda cell: cell["NoInit"](3), "conv", "base", id="subclass without an __init__"),
        pytest.param(lambda cell: cell["OwnInit"](), "conv", "base", id="built by the __init__ of a base"),
        pytest.param(lambda cell: cell["OwnInit"](), "head", "head", id="built by the subclass"),
        pytest.param(lambda cell: cell["Replaces"](), "conv", "replaced", id="the subclass replaces it"),
        pytest.param(lambda cell: cell["Outer"](), "inner.conv", "base", id="base of a submodule's class"),
        pytest.param(lambda cell: cell["Outer"](), "inner", "inner", id="the submodule itself"),
        pytest.param(
            lambda cell: cell["Holds"](), "conv", "holds", id="subclass of a torch layer: not its super() line"
        ),
    ],
)
def test_construction_with_subclasses(make, path, right, recorded):
    cell = Cell(SUBCLASS)
    if recorded:
        with constructing():
            model = make(cell)
    else:
        model = make(cell)
    assert cell.tag(_site(model, path)) == right


def test_an_object_without_source_has_no_construction_line_but_a_call_line():
    source = (
        _net("self.conv = nn.Conv2d(3, 5, 3) #built")
        + "    def forward(self, x):\n        return self.conv(x) #called\n"
    )
    cell = Cell(source, "<ipython-input-2-def>", has_source=False)
    seen = call(trace(cell["Net"](), floats(1, 3, 8, 8)), "convolution")
    assert seen.module is not None
    assert (seen.module.path, seen.module.type, seen.module.constructed) == ("conv", "Conv2d", None)
    assert cell.tag(seen.called) == "called"


def test_source_that_changed_since_it_was_run_is_no_error():
    import linecache

    cell = Cell(_net("self.conv = nn.Conv2d(3, 6, 3) #built"), "<ipython-input-3-ghi>")
    text = ["x = (\n"] * len(linecache.cache[cell.file][2])
    linecache.cache[cell.file] = (1, None, text, cell.file)
    assert _site(cell["Net"](), "conv") is None


@pytest.mark.parametrize(
    "file",
    [
        pytest.param(f"{torch.__path__[0]}vision/models/resnet.py", id="torchvision is not torch"),
        pytest.param(f"{torch.__path__[0]}_geometric/nn/conv.py", id="torch_geometric is not torch"),
        pytest.param(
            f"{sys.modules['opscan'].__path__[0]}_models/net.py", id="a folder whose name begins with opscan's"
        ),
        pytest.param("<ipython-input-4-jkl>", id="an old notebook's cell"),
        pytest.param("/tmp/ipykernel_123/456.py", id="a notebook's cell"),
        pytest.param("<string>", id="exec of a text"),
    ],
)
def test_user_files(file):
    source = "import sys\ndef here():\n    return sys._getframe()\n"
    names: dict = {}
    exec(compile(source, file, "exec"), names)
    line, _ = look_out(names["here"]())
    assert line is not None
    assert line.file == file


def test_torch_files_are_not_the_users():
    assert _kind_of(F.__file__) != _kind_of("<string>")
    assert _kind_of(nn.modules.conv.__file__) != _kind_of("<string>")


# -- where it was called, and from which module

CALLED = f"""{HEADER}
class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3)

    def forward(self, x):
        x = self.conv(x) #conv
        x = F.pad( #pad
            x, (1, 1, 1, 1), mode="replicate"
        )
        return x

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.a = Block()
        self.b = self.a
        self.extra = [Block()]

    def forward(self, x):
        x = self.a(x)
        x = torch.cumsum(x, 1) #cumsum
        return self.b(x).mul(2) #mul
"""


@pytest.fixture(scope="module")
def called():
    cell = Cell(CALLED, "<ipython-input-5-mno>")
    return cell, trace(cell["Net"](), floats(1, 3, 8, 8), input_grad=True)


@pytest.mark.parametrize(
    ("name", "phase", "path", "kind", "tag"),
    [
        ("convolution", "forward", "a.conv", "Conv2d", "conv"),
        ("replication_pad2d", "forward", "a", "Block", "pad"),
        ("cumsum", "forward", "", "Net", "cumsum"),
        ("mul", "forward", "", "Net", "mul"),
        ("convolution_backward", "backward", "a.conv", "Conv2d", "conv"),
        ("replication_pad2d_backward", "backward", "a", "Block", "pad"),
        ("flip", "backward", "", "Net", "cumsum"),
    ],
)
def test_module_and_line_of_call(called, name, phase, path, kind, tag):
    cell, traced = called
    found = ops(traced, name, phase)
    assert found
    for node in found:
        site = call_of(node).module
        assert site is not None
        assert (site.path, site.type, cell.tag(call_of(node).called)) == (path, kind, tag)


def test_a_shared_module_called_twice_has_one_path_and_two_causes(called):
    _, traced = called
    forward, backward = ops(traced, "convolution"), ops(traced, "convolution_backward")
    assert len(forward) == 2
    assert [call_of(node).cause for node in backward] == forward[::-1]


def test_tied_weights_are_one_placeholder_and_each_use_its_own_cause():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.head = nn.Embedding(7, 4), nn.Linear(4, 7, bias=False)
            self.head.weight = self.embed.weight

        def forward(self, ids):
            return self.head(self.embed(ids))

    traced = trace(Tied(), torch.tensor([[1, 2]]))
    weights = [node for node in traced.graph.nodes if node.op == "placeholder" and is_weight(node)]
    assert len(weights) == 1
    assert call(traced, "embedding_dense_backward").cause is only(traced, "embedding")
    assert call(traced, "embedding_dense_backward").module.path == "embed"
    product = ops(traced, "mm", "forward")[0]
    assert {call_of(node).cause for node in ops(traced, "mm", "backward")} == {product}


def _closure_step():
    model = Scaled()

    def step(x):
        model(x).sum().backward()

    return step


class Trainer:
    def __init__(self):
        self.model = Scaled()

    def step(self, x):
        self.model(x).sum().backward()


@pytest.mark.parametrize(
    "make", [_closure_step, lambda: Trainer().step], ids=["closure", "attribute of the step's object"]
)
def test_modules_a_step_reaches_have_paths_and_lines(make):
    site = call(trace(make(), floats(1, 3, 8, 8)), "convolution").module
    assert site.path.split(".")[-1] == "conv"
    assert site.constructed is not None
    assert site.constructed.file == __file__


def test_modules_given_as_arguments_have_paths_under_the_arguments_name():
    def step(model, x):
        model(x).sum().backward()

    assert call(trace(step, x=floats(1, 3, 8, 8), model=Scaled()), "convolution").module.path == "model.conv"


# -- public functions


@pytest.mark.parametrize(
    ("run", "op", "chain"),
    [
        pytest.param(
            lambda x: F.pad(x, (1, 1, 1, 1), "replicate"), "replication_pad2d", ["torch.nn.functional.pad"], id="F.pad"
        ),
        pytest.param(
            lambda x: nn.ReplicationPad2d(1)(x),
            "replication_pad2d",
            ["torch.nn.functional.pad"],
            id="layer that calls F.pad",
        ),
        pytest.param(
            lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
            "upsample_bilinear2d",
            ["torch.nn.functional.interpolate"],
            id="F.interpolate",
        ),
        pytest.param(
            lambda x: F.upsample(x, scale_factor=2),
            "upsample_nearest2d",
            ["torch.nn.functional.upsample"],
            id="F within F: outermost first",
        ),
        pytest.param(lambda x: torch.cumsum(x, 0), "cumsum", ["torch.cumsum"], id="torch.cumsum"),
        pytest.param(lambda x: x.cumsum(0), "cumsum", ["torch.Tensor.cumsum"], id="Tensor.cumsum"),
        pytest.param(
            lambda x: x.put_(torch.tensor([0, 1]), x.new_ones(2)), "put_", ["torch.Tensor.put_"], id="Tensor.put_"
        ),
        pytest.param(
            lambda x: F.grid_sample(x, x.new_zeros(1, 2, 2, 2)),
            "grid_sampler_2d",
            ["torch.nn.functional.grid_sample"],
            id="F.grid_sample",
        ),
        pytest.param(lambda x: torch.einsum("bchw->bc", x), "sum", ["torch.einsum"], id="torch.functional is torch"),
        pytest.param(lambda x: torch.fft.rfft(x), "_fft_r2c", ["torch.fft.rfft"], id="torch._C._fft is torch.fft"),
        pytest.param(
            lambda x: torch.special.log_softmax(x, 1),
            "_log_softmax",
            ["torch.special.log_softmax"],
            id="torch._C._special is torch.special",
        ),
        pytest.param(lambda x: x + 1, "add", ["torch.Tensor.add"], id="operator"),
        pytest.param(lambda x: x[torch.tensor([0])], "index", ["torch.Tensor.__getitem__"], id="indexing"),
    ],
)
def test_public_chain(run, op, chain):
    seen = ops(trace(run, floats(1, 2, 8, 8)), op, "forward")[-1]
    assert list(call_of(seen).public[: len(chain)]) == chain


def test_backward_ops_have_the_public_chain_of_their_cause():
    traced = trace(lambda x: F.pad(x, (1, 1, 1, 1), "replicate"), floats(1, 2, 8, 8), input_grad=True)
    assert call(traced, "replication_pad2d_backward").public == call(traced, "replication_pad2d").public


def test_scaled_dot_product_attention_is_a_composite_also_inside_multi_head_attention():
    from opscan.trace.driver import trace_target

    name = "torch.nn.functional.scaled_dot_product_attention"
    x = floats(2, 3, 8)
    model = nn.MultiheadAttention(8, 2, batch_first=True)
    traced = trace_target(model, (x, x, x), {"need_weights": False}, watched=frozenset({name}))
    assert [composite.name for composite in traced.composites] == [name]
    inside = [node for node in ops(traced, phase="forward") if call_of(node).composite == 0]
    assert any("scaled_dot_product" in packet(node) or packet(node) in ("bmm", "_softmax") for node in inside)


# -- autograd node, sequence number, cause

VECTOR = torch.tensor([0, 2, 1])

CAUSES = [
    # (id, function of activations, shapes, op in backward, forward op that caused it)
    ("conv2d", lambda x, w: F.conv2d(x, w), [(1, 3, 8, 8), (4, 3, 3, 3)], "convolution_backward", "convolution"),
    (
        "conv_transpose2d",
        lambda x, w: F.conv_transpose2d(x, w),
        [(1, 3, 8, 8), (3, 4, 3, 3)],
        "convolution_backward",
        "convolution",
    ),
    ("index_select", lambda x: x.index_select(0, VECTOR), [(3, 4)], "index_add", "index_select"),
    ("gather", lambda x: x.gather(0, VECTOR[:, None]), [(3, 4)], "scatter_add", "gather"),
    ("index", lambda x: x[VECTOR], [(3, 4)], "_index_put_impl_|index_put", "index"),
    ("embedding", lambda w: F.embedding(VECTOR, w), [(3, 4)], "embedding_dense_backward", "embedding"),
    (
        "embedding_bag",
        lambda w: F.embedding_bag(VECTOR[None], w, mode="sum"),
        [(3, 4)],
        "_embedding_bag_backward",
        "_embedding_bag",
    ),
    (
        "bilinear",
        lambda x: F.interpolate(x, (9, 9), mode="bilinear"),
        [(1, 2, 4, 4)],
        "upsample_bilinear2d_backward",
        "upsample_bilinear2d",
    ),
    (
        "bicubic",
        lambda x: F.interpolate(x, (9, 9), mode="bicubic"),
        [(1, 2, 4, 4)],
        "upsample_bicubic2d_backward",
        "upsample_bicubic2d",
    ),
    ("nearest", lambda x: F.interpolate(x, (9,)), [(1, 2, 4)], "upsample_nearest1d_backward", "upsample_nearest1d"),
    (
        "reflect",
        lambda x: F.pad(x, (1, 1, 1, 1), "reflect"),
        [(1, 2, 4, 4)],
        "reflection_pad2d_backward",
        "reflection_pad2d",
    ),
    (
        "replicate",
        lambda x: F.pad(x, (1, 1), "replicate"),
        [(1, 2, 4)],
        "replication_pad1d_backward",
        "replication_pad1d",
    ),
    (
        "max_pool",
        lambda x: F.max_pool2d(x, 2),
        [(1, 2, 4, 4)],
        "max_pool2d_with_indices_backward",
        "max_pool2d_with_indices",
    ),
    (
        "adaptive",
        lambda x: F.adaptive_avg_pool2d(x, 3),
        [(1, 2, 4, 4)],
        "_adaptive_avg_pool2d_backward",
        "_adaptive_avg_pool2d",
    ),
    ("cumsum", lambda x: x.cumsum(0), [(3, 4)], "flip", "cumsum"),
    (
        "grid",
        lambda x, g: F.grid_sample(x, g),
        [(1, 2, 4, 4), (1, 3, 3, 2)],
        "grid_sampler_2d_backward",
        "grid_sampler_2d",
    ),
    (
        "nll2d",
        lambda x: F.nll_loss(x, torch.zeros(1, 4, 4, dtype=torch.long)),
        [(1, 2, 4, 4)],
        "nll_loss2d_backward",
        "nll_loss2d_forward",
    ),
    (
        "ctc (no meta kernel for the backward)",
        lambda x: F.ctc_loss(x.log_softmax(2), torch.ones(1, 3, dtype=torch.long), (6,), (3,)),
        [(6, 1, 5)],
        "_ctc_loss_backward",
        "_ctc_loss",
    ),
    ("put", lambda x: x.put(VECTOR, x.new_ones(3)), [(3, 4)], "put|put_", "put"),
    ("take", lambda x: x.take(VECTOR), [(3, 4)], "put|put_", "take"),
    ("in place", lambda x: x.mul_(2).sigmoid(), [(3, 4)], "sigmoid_backward", "sigmoid"),
    ("index_add_ in place", lambda x, y: x.index_add_(0, VECTOR, y), [(3, 4), (3, 4)], "index_select", "index_add_"),
    (
        "scatter_add",
        lambda x, y: x.scatter_add(0, VECTOR[:, None].expand(3, 4), y),
        [(3, 4), (3, 4)],
        "gather",
        "scatter_add",
    ),
    (
        "batch_norm",
        lambda x: F.batch_norm(x, None, None, training=True),
        [(2, 3, 4)],
        "native_batch_norm_backward",
        "native_batch_norm",
    ),
    ("layer_norm", lambda x: F.layer_norm(x, (4,)), [(3, 4)], "native_layer_norm_backward", "native_layer_norm"),
    ("no-grad part before", lambda x: F.relu(x + _without_grad(x)), [(3, 4)], "threshold_backward", "relu"),
    ("detach before", lambda x: F.relu(x * x.detach().exp()), [(3, 4)], "threshold_backward", "relu"),
    ("retain_grad between", lambda x: F.relu(_retained(x * 2)), [(3, 4)], "threshold_backward", "relu"),
    (
        "constants made between",
        lambda x: F.relu(x * torch.arange(4) + torch.ones(4)),
        [(3, 4)],
        "threshold_backward",
        "relu",
    ),
    ("after an in-place op on a view (CopySlices)", lambda x: _filled_view(x).cumsum(0), [(3, 4)], "flip", "cumsum"),
    ("on the view written to in place", lambda x: _written_view(x).cumsum(0), [(3, 4)], "flip", "cumsum"),
    (
        "on an output that is also a view's base",
        lambda x: F.relu(x.sigmoid().view(-1)),
        [(3, 4)],
        "sigmoid_backward",
        "sigmoid",
    ),
]


def _without_grad(x):
    with torch.no_grad():
        return (x * 3).exp()


def _retained(x):
    x.retain_grad()
    return x


def _filled_view(x):
    y = x * 1
    y[0].mul_(2)
    return y


def _written_view(x):
    y = x * 1
    view = y[:2]
    y[1].mul_(2)
    return view


@pytest.mark.parametrize(("run", "shapes", "backward", "forward"), [c[1:] for c in CAUSES], ids=[c[0] for c in CAUSES])
def test_backward_op_knows_its_cause(run, shapes, backward, forward):
    traced = trace(run, *(floats(*shape) for shape in shapes), input_grad=True)
    found = [node for name in backward.split("|") for node in ops(traced, name, "backward")]
    assert found, [packet(node) for node in ops(traced, phase="backward")]
    for node in found:
        cause = call_of(node).cause
        assert cause is not None
        assert packet(cause) == forward
        assert call_of(cause).phase != "backward"
        assert call_of(node).sequence_nr == call_of(cause).sequence_nr
        assert call_of(node).called == call_of(cause).called


def _plain(name: str) -> str:
    """`ToCopyBackward0` and `_to_copy` are the same word."""
    word = name.removeprefix("torch::autograd::").lower().rstrip("0123456789")
    return word.removesuffix("backward").replace("_", "").removesuffix("forward")


MADE_AFTER_THE_FACT = ("copyslices", "asstrided")
"""Autograd nodes that are not named after an op of the forward pass: an in-place op on a view makes them."""


@pytest.mark.parametrize(("run", "shapes"), [c[1:3] for c in CAUSES], ids=[c[0] for c in CAUSES])
def test_autograd_node_is_named_after_its_cause(run, shapes):
    """Off by one anywhere, and some name does not fit."""
    traced = trace(run, *(floats(*shape) for shape in shapes), input_grad=True)
    pairs = {}
    for node in ops(traced, phase="backward"):
        seen = call_of(node)
        if seen.cause is not None and seen.sequence_nr in traced.autograd_nodes:
            pairs[traced.autograd_nodes[seen.sequence_nr]] = packet(seen.cause)
    assert pairs
    wrong = {
        node: op for node, op in pairs.items() if _plain(node) != _plain(op) and _plain(node) not in MADE_AFTER_THE_FACT
    }
    assert not wrong


def test_in_place_op_on_a_view_is_the_cause_of_what_copy_slices_runs():
    traced = trace(_filled_view, floats(3, 4), input_grad=True)
    slices = [number for number, name in traced.autograd_nodes.items() if name.rpartition("::")[2] == "CopySlices"]
    assert len(slices) == 1
    causes = {
        packet(call_of(node).cause) for node in ops(traced, phase="backward") if call_of(node).sequence_nr in slices
    }
    assert causes == {"mul_"}


@pytest.mark.parametrize(
    "constant_first",
    [False, True],
    ids=["first op of its forward takes the input", "first op of its forward makes a constant"],
)
def test_custom_function(constant_first):
    class Own(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            if constant_first:
                index = torch.arange(2)
                return x[index]
            return x.exp()

        @staticmethod
        def backward(ctx, grad):
            return torch.cat([grad, grad])[:3].atan()

    def run(x):
        before = x.neg()
        return Own.apply(before)

    traced = trace(run, floats(3, 4), input_grad=True)
    cause = call(traced, "atan", "backward").cause
    assert cause is not None
    assert packet(cause) in ("arange", "index", "exp")
    assert packet(call(traced, "neg", "backward").cause) == "neg"


def test_line_of_an_op_in_the_backward_of_a_custom_function_is_there():
    cell = Cell(
        """
import torch
class Own(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.exp() #forward
    @staticmethod
    def backward(ctx, grad):
        return grad.atan() #backward
def run(x):
    return Own.apply(x)
def step(x):
    run(x).sum().backward() #step
"""
    )
    assert cell.tag(call(trace(cell["run"], floats(3), input_grad=True), "atan").called) == "backward"
    assert cell.tag(call(trace(cell["step"], floats(3), input_grad=True), "atan").called) == "backward"


def test_line_of_an_op_in_a_tensor_hook_is_there():
    cell = Cell(
        """
import torch
def run(x):
    y = x.exp() #forward
    y.register_hook(lambda grad: grad.atan()) #hook
    return y.sigmoid()
"""
    )
    seen = call(trace(cell["run"], floats(3), input_grad=True), "atan")
    assert seen.phase == "backward"
    assert cell.tag(seen.called) == "hook"


@pytest.mark.parametrize("kind", ["full_backward", "forward", "forward_pre"])
def test_ops_in_module_hooks_are_seen(kind):
    model = nn.Sequential(nn.Conv2d(3, 3, 3), nn.ReLU())
    hooks = {
        "full_backward": lambda: model[1].register_full_backward_hook(lambda m, g_in, g_out: (g_in[0].atan(),)),
        "forward": lambda: model[1].register_forward_hook(lambda m, args, out: out.atan()),
        "forward_pre": lambda: model[1].register_forward_pre_hook(lambda m, args: (args[0].atan(),)),
    }
    hooks[kind]()
    traced = trace(model, floats(1, 3, 8, 8))
    seen = [call_of(node) for node in ops(traced, "atan")]
    assert [each.phase for each in seen] == ["backward" if kind == "full_backward" else "forward"]
    assert packet(call(traced, "convolution_backward").cause) == "convolution"
    assert packet(call(traced, "threshold_backward").cause) == "relu"


def test_hooks_on_parameters_run():
    model = nn.Linear(3, 3)
    model.weight.register_hook(lambda grad: grad.atan())
    model.bias.register_post_accumulate_grad_hook(lambda bias: [bias.grad.acos_()].clear())
    seen = [packet(node) for node in ops(trace(model, floats(2, 3)), phase="backward")]
    assert "atan" in seen
    assert "acos_" in seen


class Checkpointed(nn.Module):
    def __init__(self, reentrant):
        super().__init__()
        self.first, self.conv, self.reentrant = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 3), reentrant

    def forward(self, x):
        x = self.first(x)
        return checkpoint(self.part, x, use_reentrant=self.reentrant)

    def part(self, x):
        return F.pad(self.conv(x), (1, 1, 1, 1), "replicate").tanh()


@pytest.mark.parametrize("reentrant", [True, False], ids=["reentrant", "not reentrant"])
def test_checkpoint(reentrant):
    traced = trace(Checkpointed(reentrant), floats(1, 3, 8, 8))
    assert len(ops(traced, "replication_pad2d")) == 2
    assert len(ops(traced, "replication_pad2d", "forward")) == 1
    pad = call(traced, "replication_pad2d_backward")
    assert packet(pad.cause) == "replication_pad2d"
    assert (pad.module.path, pad.called) == ("", call(traced, "replication_pad2d", "forward").called)
    for node in ops(traced, "convolution", "forward"):
        path = call_of(node).module.path
        backward = [each for each in ops(traced, "convolution_backward") if call_of(each).module.path == path]
        assert len(backward) == 1
        assert packet(call_of(backward[0]).cause) == "convolution"
    again = call(traced, "replication_pad2d", "backward")
    assert again.called == call(traced, "replication_pad2d", "forward").called
    assert again.public == call(traced, "replication_pad2d", "forward").public


def test_double_backward():
    def penalty(x):
        y = F.interpolate(x, (9, 9), mode="bilinear").tanh().sum()
        (grad,) = torch.autograd.grad(y, x, create_graph=True)
        grad.square().sum().backward()

    traced = trace(penalty, floats(1, 2, 4, 4), input_grad=True)
    first = ops(traced, "upsample_bilinear2d_backward")
    assert packet(call_of(first[0]).cause) == "upsample_bilinear2d"
    again = [node for node in ops(traced, "upsample_bilinear2d") if call_of(node).phase == "backward"]
    assert len(again) == 1
    assert packet(call_of(again[0]).cause) == "upsample_bilinear2d_backward"
    assert call_of(again[0]).called == call_of(first[0]).called


def test_gradients_being_added_up_have_no_cause():
    def step(x, weight):
        (x * weight).sum().backward()
        (x * weight).sum().backward()

    traced = trace(step, floats(3), torch.zeros(3, requires_grad=True))
    sums = ops(traced, "add_", "backward") + ops(traced, "add", "backward")
    assert sums
    assert {call_of(node).cause for node in sums} == {None}


def test_ops_of_a_no_grad_part_have_no_sequence_number():
    traced = trace(lambda x: x * _without_grad(x), floats(3), input_grad=True)
    exp = call(traced, "exp", "forward")
    assert exp.sequence_nr is None
    assert not any(call_of(node).cause is only(traced, "exp") for node in traced.ops())


def test_sequence_numbers_go_up_in_forward():
    traced = trace(Scaled(), floats(1, 3, 8, 8), loss=lambda out: out.square().mean())
    forward = [node for node in traced.ops() if call_of(node).phase != "backward"]
    numbers = [call_of(node).sequence_nr for node in _no_detach(forward)]
    assert None not in numbers
    assert numbers == sorted(set(numbers))


# -- what a user sees


def test_a_model_of_an_installed_package_whose_name_begins_with_torch_has_lines(tmp_path):
    """torchvision lies beside torch: the same path, a little longer."""
    source = (
        _net("self.pad = nn.ReplicationPad2d(1) #built")
        + "    def forward(self, x):\n        return self.pad(x) #called\n"
    )
    file = f"{torch.__path__[0]}vision_of_tests/net.py"
    cell = Cell(source, file)
    sys.modules["torchvision_of_tests"] = ModuleType("torchvision_of_tests")
    try:
        report = check(cell["Net"](), (floats(1, 3, 4, 4),))
    finally:
        del sys.modules["torchvision_of_tests"]
    place = report.findings[0].places[0]
    assert place.called == cell.line("called")
    assert place.constructed == cell.line("built")


class LooksUp(torch.autograd.Function):
    """Its forward begins with ops that no weight reaches."""

    @staticmethod
    def forward(ctx, weight, ids):
        ids = ids.view(-1).clamp(max=3)
        ctx.save_for_backward(ids)
        return weight.index_select(0, ids).sin()

    @staticmethod
    def backward(ctx, grad):
        return grad.new_zeros(4, 2).index_add(0, *ctx.saved_tensors, grad), None


def test_the_backward_of_a_function_is_tied_to_the_end_of_its_forward():
    def step(weight, ids):
        y = LooksUp.apply(weight, ids)
        with torch.no_grad():
            y.exp()
        return y.cos()

    traced = trace(step, floats(4, 2).requires_grad_(), torch.tensor([[0, 1]]))
    assert call(traced, "index_add", "backward").cause is only(traced, "sin", "forward")


def test_torch_s_function_is_as_it_was():
    before = torch.autograd.Function.__dict__["apply"]
    trace(lambda x: LooksUp.apply(x, torch.zeros(1, dtype=torch.int64)), floats(4, 2))
    assert torch.autograd.Function.__dict__["apply"] is before
