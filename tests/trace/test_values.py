"""What is known of values on meta (Note [Known and unknown values]), and that metadata is as on a real CPU."""

from __future__ import annotations

from queue import SimpleQueue

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from opscan.errors import TraceError
from opscan.scan import check
from opscan.trace.driver import on_meta
from opscan.trace.graph import call_of
from tests.trace.tracing import floats, only, ops, packet, trace

IDS = torch.tensor([[1, 2, 0], [3, 0, 0]])


def _value(run, *args):
    """What `run` returns while it is traced, and how many values were invented."""
    seen = SimpleQueue()  # a list would be put back
    traced = trace(lambda *given: seen.put(run(*given)), *args, mode="eval")
    return seen.get(), len(traced.inventions)


# -- known: computed for real

KNOWN = {
    "item": (lambda ids: ids.max().item(), 3),
    "int()": (lambda ids: int(ids.sum()), 6),
    "tolist": (lambda ids: ids.tolist(), [[1, 2, 0], [3, 0, 0]]),
    "nonzero": (lambda ids: ids.nonzero().tolist(), [[0, 0], [0, 1], [1, 0]]),
    "mask.any()": (lambda ids: bool((ids == 3).any()), True),
    "mask.all()": (lambda ids: bool((ids >= 0).all()), True),
    "lengths of a mask": (lambda ids: (ids != 0).sum(1).tolist(), [2, 1]),
    "indexing with a mask": (lambda ids: ids[ids > 1].tolist(), [2, 3]),
    "unique": (lambda ids: ids.unique().tolist(), [0, 1, 2, 3]),
    "float of an integer": (lambda ids: ids.float().mean().item(), 1.0),
    "arange": (lambda ids: torch.arange(3).tolist(), [0, 1, 2]),
    "linspace (drop path rates)": (lambda ids: torch.linspace(0, 1, 3).tolist(), [0.0, 0.5, 1.0]),
    "literal integers": (lambda ids: torch.tensor([1, 2]).sum().item(), 3),
    "literal floats": (lambda ids: torch.tensor([0.5, 0.25]).sum().item(), 0.75),
    "literal on another device": (lambda ids: torch.tensor([4, 5], device="cuda").tolist(), [4, 5]),
    "as_tensor": (lambda ids: torch.as_tensor([4, 5], device=ids.device).tolist(), [4, 5]),
    "integers from zeros": (lambda ids: torch.zeros(2, dtype=torch.long).tolist(), [0, 0]),
    "integers from full": (lambda ids: torch.full((2,), 7).tolist(), [7, 7]),
    "integers from new_ones": (lambda ids: ids.new_ones(2).tolist(), [1, 1]),
    "integers from zeros_like": (lambda ids: torch.zeros_like(ids)[0].tolist(), [0, 0, 0]),
    "integers on cuda": (lambda ids: torch.arange(3, device="cuda").cuda().to("cuda:0").tolist(), [0, 1, 2]),
    "written in place": (lambda ids: ids.clone().fill_(2).sum().item(), 12),
    "repeat_interleave": (lambda ids: torch.arange(2).repeat_interleave(torch.tensor([1, 2])).tolist(), [0, 1, 1]),
    "triangle mask": (lambda ids: torch.ones(2, 2, dtype=torch.bool).tril().tolist(), [[True, False], [True, True]]),
    "bincount": (lambda ids: ids.flatten().bincount().tolist(), [3, 1, 1, 1]),
    "cat of integers": (lambda ids: torch.cat([ids, ids]).shape[0], 4),
    "numpy": (lambda ids: ids.numpy().sum().item(), 6),
    "one_hot": (lambda ids: F.one_hot(ids).shape[-1], 4),
    "int list of sizes": (lambda ids: [len(part) for part in torch.arange(3).split([1, 2])], [1, 2]),
}


@pytest.mark.parametrize(("run", "value"), KNOWN.values(), ids=KNOWN)
def test_known_values_are_computed_for_real(run, value):
    assert _value(run, IDS) == (value, 0)


# -- unknown: invented and counted when something hangs on it

UNKNOWN = {
    "item of an activation": lambda x: x.sum().item(),
    "bool of an activation": lambda x: bool(x.sum() > 0),
    "mask that hangs on an activation": lambda x: x[x > 0],
    "nonzero of an activation": lambda x: x.nonzero(),
    "masked_select": lambda x: x.masked_select(x > 0),
    "any of an activation": lambda x: bool((x != x).any()),
    "argmax then item": lambda x: x.argmax().item(),
    "argmax then tolist": lambda x: x.argmax(0).tolist(),
    "tolist of an activation": lambda x: x.tolist(),
    "numpy of an activation": lambda x: x.detach().cpu().numpy().sum(),
    "activation in a formatted text": lambda x: f"{x.mean():.3f}",
    "list comprehension over an activation": lambda x: [int(each) for each in x.argmax(0)],
    "unique of an activation": lambda x: x.unique(),
    "random number that decides": lambda x: bool(torch.rand(1) < 0.5),
    "integers copied from an argmax": lambda x: torch.zeros(3, dtype=torch.long).copy_(x.argmax(0)[:3])[0].item(),
    "integers assigned from an argmax": lambda x: _assigned(torch.zeros(3, dtype=torch.long), x.argmax(0)[:3])[
        0
    ].item(),
    "known mask changed in place by an unknown one": lambda x: bool(
        torch.ones(4, 4, dtype=torch.bool).logical_and_(x > 0).any()
    ),
}


def _assigned(buffer, value):
    buffer[:] = value
    return buffer


@pytest.mark.parametrize("run", UNKNOWN.values(), ids=UNKNOWN)
def test_values_that_hang_on_weights_are_invented_and_counted(run):
    _, inventions = _value(run, floats(4, 4))
    assert inventions >= 1


NOT_INVENTED = {
    "index with known integers": lambda x, ids: x[ids],
    "index with a known mask": lambda x, ids: x[ids[0] > 0],
    "where": lambda x, ids: torch.where(x > 0, x, 0),
    "argmax used as an index": lambda x, ids: x[x.argmax(0)],
    "embedding": lambda x, ids: F.embedding(ids, x),
    "gather by a sort": lambda x, ids: x.gather(0, x.argsort(0)),
    "scatter by a known index": lambda x, ids: x.scatter_add(0, ids, x),
    "masked_fill": lambda x, ids: x.masked_fill(x > 0, 0),
    "bernoulli dropout": lambda x, ids: F.dropout(x, 0.5, training=True),
    "topk": lambda x, ids: x.topk(2)[1],
    "op without a meta kernel": lambda x, ids: F.ctc_loss(
        x[:, None].log_softmax(2), torch.ones(1, 1, dtype=torch.long), (3,), (1,)
    ),
}


@pytest.mark.parametrize("run", NOT_INVENTED.values(), ids=NOT_INVENTED)
def test_nothing_is_invented_where_no_value_is_asked(run):
    _, inventions = _value(run, floats(3, 3), IDS)
    assert inventions == 0


def test_an_invention_says_its_op_and_the_users_line():
    traced = trace(lambda x: x.sum().item(), floats(3), mode="eval")
    (invention,) = traced.inventions
    assert invention.op == "aten._local_scalar_dense.default"
    assert invention.called.file == __file__


def test_inventions_stand_in_the_report_as_assumptions():
    report = check(lambda x: x[x > 0] * x.sum().item(), (floats(3),))
    assert any("_local_scalar_dense" in line and "test_values.py" in line for line in report.assumptions)


def test_an_invented_mask_lets_everything_through():
    seen, _ = _value(lambda x: x[x > 0], floats(4))
    assert (tuple(seen.shape), seen.is_meta) == ((4,), True)


def test_an_invented_integer_is_a_valid_index():
    seen, _ = _value(lambda x: torch.arange(3)[x.argmax().item()].item(), floats(4))
    assert seen in (0, 1, 2)


# -- memory stays small


def test_floats_take_no_memory():
    traced = trace(nn.Linear(8, 1 << 20, device="meta"), floats(1 << 20, 8))  # 4 TiB of output
    assert only(traced, "addmm").meta["tensors"].shape == (1 << 20, 1 << 20)


def test_large_known_floats_go_to_meta():
    seen, _ = _value(lambda ids: torch.arange(1 << 20).float(), IDS)
    assert seen.is_meta


# -- ops without a meta kernel


def test_ops_without_a_meta_kernel_become_nodes_with_sizes():
    def run(x):
        return F.ctc_loss(x.log_softmax(2), torch.ones(2, 3, dtype=torch.long), (6, 6), (3, 3))

    traced = trace(run, floats(6, 2, 5), input_grad=True)
    assert only(traced, "_ctc_loss_backward").meta["tensors"].shape == (6, 2, 5)


QUANTIZED = {
    "per tensor": lambda x: torch.quantize_per_tensor(x, 0.5, 3, torch.qint8),
    "per tensor, its scale a tensor": lambda x: torch.quantize_per_tensor(
        x, torch.tensor(0.5), torch.tensor(3), torch.quint8
    ),
    "per channel": lambda x: torch.quantize_per_channel(x, torch.ones(2), torch.zeros(2), 0, torch.qint8),
    "dynamically": lambda x: torch.quantize_per_tensor_dynamic(x, torch.qint8, False),
}


@pytest.mark.parametrize("run", QUANTIZED.values(), ids=QUANTIZED)
def test_what_is_quantized_is_quantized_in_the_trace(run):
    real = run(torch.ones(2, 3))
    seen, _ = _value(run, floats(2, 3))
    assert (seen.dtype, seen.qscheme(), seen.shape) == (real.dtype, real.qscheme(), real.shape)


def test_values_quantized_from_unknown_ones_are_unknown():
    """Whoever asks for one is noted, though it lies in memory."""
    _, inventions = _value(
        lambda x: torch.quantize_per_tensor(x, 1.0, 0, torch.qint8).int_repr().sum().item(), floats(2)
    )
    assert inventions == 1


@pytest.mark.parametrize("error", [RuntimeError, NotImplementedError], ids=["as torch 2.6 says it", "as 2.13 does"])
def test_an_op_without_a_cpu_kernel_for_integers_runs_on_meta(error):
    def refuse(x):
        raise error("\"my_kernel\" not implemented for 'Long'")

    _run_custom_on_the_cpu(refuse, lambda x: x.new_empty(7, dtype=torch.float32))


@pytest.mark.skipif(not hasattr(F, "grouped_mm"), reason="torch.nn.functional.grouped_mm is newer")
def test_experts_in_float32_take_no_memory_though_their_meta_kernel_wants_bfloat16():
    experts = torch.empty(4096, 8192, 8192, device="meta").requires_grad_()  # a terabyte
    ends = torch.full((4096,), 16, dtype=torch.int32)
    traced = trace(lambda x: F.grouped_mm(x, experts, offs=ends), floats(16, 8192))
    products = ops(traced, "_grouped_mm")
    assert [call_of(node).phase for node in products] == ["forward", "backward"]
    assert {node.meta["tensors"].dtype for node in products} == {torch.float32}
    assert traced.inventions == ()


def test_any_other_error_of_a_cpu_kernel_is_the_models():
    def refuse(x):
        raise RuntimeError("expected a non-empty tensor")

    with pytest.raises(TraceError, match="expected a non-empty tensor"):
        _run_custom_on_the_cpu(refuse, lambda x: x.new_empty(7, dtype=torch.float32))


def _run_custom_on_the_cpu(on_cpu, on_meta):
    library = torch.library.Library("opscan_tests_values", "FRAGMENT")
    library.define("count(Tensor x) -> Tensor")
    library.impl("count", on_cpu, "CPU")
    library.impl("count", on_meta, "Meta")
    try:
        traced = trace(lambda ids: torch.ops.opscan_tests_values.count(ids) * 2, IDS, mode="eval")
        assert only(traced, "count").meta["tensors"].shape == (7,)
    finally:
        library._destroy()


def test_a_custom_op_without_a_meta_kernel_becomes_a_node():
    library = torch.library.Library("opscan_test_values", "DEF")
    try:
        library.define("twice(Tensor x) -> Tensor")
        library.impl("twice", lambda x: torch.cat([x, x]), "CPU")
        traced = trace(lambda x: torch.ops.opscan_test_values.twice(x).exp(), floats(3, 2), mode="eval")
    finally:
        library._destroy()
    assert only(traced, "exp").meta["tensors"].shape == (6, 2)


# -- devices mean nothing

DEVICES = {
    ".cuda()": lambda x: x.cuda(),
    ".cuda(0)": lambda x: x.cuda(0),
    ".to('cuda')": lambda x: x.to("cuda"),
    ".to('cuda:1')": lambda x: x.to("cuda:1", non_blocking=True),
    ".to(torch.device)": lambda x: x.to(torch.device("cuda", 0)),
    ".to(device=)": lambda x: x.to(device="cuda"),
    ".to(0)": lambda x: x.to(0),
    ".to(other)": lambda x: x.to(torch.ones(1)),
    ".to(x.device)": lambda x: x.to(x.device),
    ".cpu()": lambda x: x.cpu(),
    ".mps()": lambda x: x.to("mps"),
    "cpu and back": lambda x: x.cpu().cuda(),
    "pin_memory": lambda x: x.pin_memory(),
}


@pytest.mark.parametrize("run", DEVICES.values(), ids=DEVICES)
@pytest.mark.parametrize("x", [floats(2, 3), IDS.float()], ids=["unknown", "given as a real tensor"])
def test_moving_between_devices_is_nothing(run, x):
    seen, inventions = _value(lambda x: run(x) * 1, x)
    assert (tuple(seen.shape), seen.dtype, inventions) == (tuple(x.shape), torch.float32, 0)


@pytest.mark.parametrize(
    ("run", "dtype"),
    [
        pytest.param(lambda x: x.to("cuda", torch.float16), torch.float16, id="device and dtype"),
        pytest.param(lambda x: x.to(torch.float16), torch.float16, id="dtype"),
        pytest.param(lambda x: x.to(torch.float16, True), torch.float16, id="dtype and non_blocking"),
        pytest.param(lambda x: x.to(device="cuda", dtype=torch.bfloat16), torch.bfloat16, id="by name"),
        pytest.param(lambda x: x.to(torch.zeros(1, dtype=torch.long)), torch.int64, id="other"),
        pytest.param(lambda x: x.to(tensor=torch.zeros(1, dtype=torch.double)), torch.float64, id="other by name"),
        pytest.param(lambda x: x.to("cuda", memory_format=torch.channels_last), torch.float32, id="memory format"),
        pytest.param(lambda x: x.cuda().half(), torch.float16, id="half"),
        pytest.param(lambda x: x.type(torch.float64), torch.float64, id="type"),
        pytest.param(lambda x: x.type("torch.cuda.HalfTensor"), torch.float16, id="name of a CUDA tensor type"),
        pytest.param(lambda x: x.type(torch.FloatTensor), torch.float32, id="CPU tensor type"),
        pytest.param(lambda x: x.type_as(torch.zeros(1, dtype=torch.double)), torch.float64, id="type_as"),
    ],
)
def test_dtypes_are_kept_where_devices_are_not(run, dtype):
    seen, _ = _value(run, floats(1, 2, 3, 3))
    assert (tuple(seen.shape), seen.dtype) == ((1, 2, 3, 3), dtype)


@pytest.mark.parametrize(
    "run",
    [
        pytest.param(lambda x: torch.zeros(3, device="cuda"), id="zeros"),
        pytest.param(lambda x: torch.randn(3, device="cuda:1"), id="randn"),
        pytest.param(lambda x: torch.empty(3, device=torch.device("cuda")).normal_(), id="empty"),
        pytest.param(lambda x: torch.full((3,), 1.0, device=0), id="number of a device"),
        pytest.param(lambda x: torch.tensor([1.0, 2.0, 3.0], device="cuda"), id="tensor"),
        pytest.param(lambda x: x.new_zeros(3, device="cuda"), id="new_zeros"),
        pytest.param(lambda x: torch.ones_like(x, device="cuda"), id="ones_like"),
        pytest.param(lambda x: nn.Linear(3, 3, device="cuda")(x), id="module built in forward"),
        pytest.param(lambda x: nn.Linear(3, 3).cuda()(x), id="module built and moved in forward"),
        pytest.param(lambda x: torch.randn(3, generator=torch.Generator().manual_seed(0)), id="generator"),
    ],
)
def test_tensors_made_on_a_device_meet_activations(run):
    seen, _ = _value(lambda x: run(x) * x, floats(3))
    assert (tuple(seen.shape), seen.is_meta) == ((3,), True)


def test_a_device_context_in_forward_is_nothing():
    def run(x):
        with torch.device("cuda"):
            return torch.zeros(3) * x

    seen, _ = _value(run, floats(3))
    assert seen.is_meta


# -- inference mode is only another way to have no gradient


def test_inference_mode_shows_the_ops_that_no_grad_shows():
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Dropout(0.1), nn.Flatten())

    def without(context):
        def run(x):
            with context():
                return model(x).contiguous() @ x.reshape(3, -1)

        return [packet(node) for node in ops(trace(run, floats(2, 3), mode="eval"))]

    assert without(torch.inference_mode) == without(torch.no_grad)


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_backward_is_traced_also_when_check_is_called_without_gradients(context):
    with context():
        traced = trace(nn.Conv2d(3, 3, 3), floats(1, 3, 8, 8))
    assert len(ops(traced, "convolution_backward")) == 1


# -- hand-written training step on a weight that belongs to no module


def test_a_step_may_read_the_gradient_of_a_weight_in_a_closure():
    weight = torch.zeros(3, requires_grad=True)

    def step(x):
        (x * weight).sum().backward()
        with torch.no_grad():
            return weight - 0.1 * weight.grad

    assert "sub" in [packet(node) for node in ops(trace(step, floats(3)))]


# -- sizes, strides and dtypes are those of a real run

INDEX = torch.tensor([2, 0, 1, 1])

SNIPPETS = {
    # name: a function of x [2, 4, 6, 6] that returns a tensor or several
    "add scalar": lambda x: x + 1,
    "add integers": lambda x: x + torch.arange(6),
    "double": lambda x: x.double() * 2,
    "half": lambda x: x.half() * 2,
    "promote with a literal": lambda x: x * torch.tensor(2.0, dtype=torch.float64),
    "compare": lambda x: (x > 0).float(),
    "sum": lambda x: x.sum((2, 3), keepdim=True),
    "mean": lambda x: x.mean(1, keepdim=True),
    "softmax": lambda x: x.softmax(1),
    "log_softmax": lambda x: x.log_softmax(-1),
    "transpose": lambda x: x.transpose(1, 2),
    "permute": lambda x: x.permute(0, 2, 3, 1),
    "contiguous": lambda x: x.permute(0, 2, 3, 1).contiguous(),
    "channels last": lambda x: x.to(memory_format=torch.channels_last),
    "flatten": lambda x: x.flatten(1),
    "slice": lambda x: x[:, 1:3],
    "step slice": lambda x: x[..., ::2],
    "index": lambda x: x[:, INDEX],
    "index_select": lambda x: x.index_select(1, INDEX),
    "gather": lambda x: x.gather(1, INDEX.view(1, 4, 1, 1).expand(2, 4, 3, 3)),
    "scatter_add": lambda x: torch.zeros_like(x).scatter_add(1, INDEX.view(1, 4, 1, 1).expand_as(x), x),
    "index_add": lambda x: x.index_add(1, INDEX, x),
    "masked_fill": lambda x: x.masked_fill(INDEX.view(4, 1, 1) > 0, 0),
    "known mask": lambda x: x[:, INDEX > 0],
    "cat": lambda x: torch.cat([x, x.flip(2)], 2),
    "stack": lambda x: torch.stack([x, x], 1).flatten(0, 1),
    "chunk": lambda x: x.chunk(2, 1)[1],
    "cumsum": lambda x: x.cumsum(-1),
    "sort": lambda x: x.sort(-1)[0],
    "topk": lambda x: x.topk(2, 1)[0],
    "max with indices": lambda x: x.max(1, keepdim=True)[0],
    "conv": lambda x: F.conv2d(x, x.new_ones(3, x.shape[1], 3, 3), padding=1),
    "grouped conv": lambda x: F.conv2d(x, x.new_ones(x.shape[1], 1, 3, 3), groups=x.shape[1], padding=1),
    "transposed conv": lambda x: F.conv_transpose2d(x, x.new_ones(x.shape[1], 2, 2, 2), stride=2),
    "linear": lambda x: F.linear(x, x.new_ones(5, x.shape[-1]), x.new_ones(5)),
    "matmul": lambda x: x @ x.transpose(-1, -2),
    "einsum": lambda x: torch.einsum("bchw,bdhw->bcd", x, x)[:, :, :, None],
    "batch norm": lambda x: F.batch_norm(x, None, None, training=True),
    "layer norm": lambda x: F.layer_norm(x, x.shape[-1:]),
    "group norm": lambda x: F.group_norm(x, 1),
    "dropout": lambda x: F.dropout(x, 0.5, training=True),
    "gelu": lambda x: F.gelu(x),
    "in place": lambda x: (x * 1).add_(1).relu_(),
    "in place on a view": lambda x: _view_written(x * 1),
    "max_pool": lambda x: F.max_pool2d(x, 2, ceil_mode=True),
    "avg_pool": lambda x: F.avg_pool2d(x, 2, ceil_mode=True),
    "adaptive pool": lambda x: F.adaptive_avg_pool2d(x, 3),
    "pad replicate": lambda x: F.pad(x, (1, 1, 1, 1), "replicate"),
    "pad constant": lambda x: F.pad(x, (1, 0)),
    "bilinear": lambda x: F.interpolate(x, scale_factor=1.5, mode="bilinear"),
    "nearest": lambda x: F.interpolate(x, scale_factor=2),
    "grid_sample": lambda x: F.grid_sample(x, x.new_zeros(x.shape[0], 3, 3, 2), align_corners=False),
    "pixel_shuffle": lambda x: F.pixel_shuffle(torch.cat([x] * 4, 1), 2),
    "unfold": lambda x: x.unfold(-1, 2, 1).flatten(-2),
    "roll": lambda x: x.roll(1, -1),
    "repeat": lambda x: x.repeat(1, 1, 2, 1),
    "std": lambda x: x / (x.std(1, keepdim=True) + 1),
    "norm": lambda x: F.normalize(x, dim=1),
    "where": lambda x: torch.where(x > 0, x, x.exp()),
    "pow": lambda x: x.pow(2),
    "as_strided": lambda x: x.contiguous().as_strided((2, 3, 3, 2), (1, 2, 1, 1)),
    "diagonal": lambda x: x.diagonal(dim1=-2, dim2=-1)[..., None],
    "attention": lambda x: F.scaled_dot_product_attention(x, x, x),
}


def _view_written(x):
    x[:, 0].mul_(2)
    return x


class _Log(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.calls: list = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        tensors = [result] if isinstance(result, torch.Tensor) else result if isinstance(result, list | tuple) else []
        self.calls.append((str(func), [_info(each) for each in tensors if isinstance(each, torch.Tensor)]))
        return result


def _info(tensor):
    return tuple(tensor.shape), tensor.stride(), tensor.dtype


DIFFERENT_ON_THE_CPU = {
    # On the CPU another op is chosen than on meta and CUDA; from there on nothing is comparable.
    "attention": "the CPU takes its own flash attention kernel",
}
NOT_CHAINED = {
    # torch 2.13: the meta kernel of the backward returns the gradient's strides, CPU and CUDA kernels contiguous ones.
    "softmax",
    "log_softmax",
    # Not closed under composition: it needs memory of a given size, or changes the type every later op sees.
    "as_strided",
    "half",
    "promote with a literal",
}


def _traced_calls(run, x, phase):
    calls = []
    for node in ops(trace(run, x, input_grad=True), phase=phase):
        infos = node.meta.get("tensors")
        flat = [infos] if hasattr(infos, "shape") else [each for each in infos or () if each is not None]
        calls.append((str(node.target), [(tuple(each.shape), each.stride, each.dtype) for each in flat]))
    return calls


def _same(left, right):
    """Sequences of ops with what they returned; strides count only where a size is above 1 and nothing is empty."""
    return [(op, [_comparable(info) for info in infos]) for op, infos in left] == [
        (op, [_comparable(info) for info in infos]) for op, infos in right
    ]


def _comparable(info):
    shape, stride, dtype = info
    return shape, tuple(step for size, step in zip(shape, stride, strict=True) if size > 1), dtype


def _differences(run):
    x = torch.randn(2, 4, 6, 6)
    log = _Log()
    with log:
        leaf = x.detach().requires_grad_().clone()
        made = len(log.calls)
        out = run(leaf)
        forward = len(log.calls)
        if out.grad_fn is not None:
            torch.autograd.backward([out], [torch.ones(out.shape, dtype=out.dtype)])
    real_forward, real_backward = log.calls[made:forward], log.calls[forward + (out.grad_fn is not None) :]
    wrong = []
    for phase, real in (("forward", real_forward), ("backward", real_backward)):
        seen = _traced_calls(run, x, phase)
        for position, (expected, got) in enumerate(zip(real, seen, strict=False)):
            if not _same([expected], [got]):
                wrong.append(f"{phase} {position}: CPU {expected} traced {got}")
                break
        else:
            if len(real) != len(seen):
                names = [op for op, _ in real], [op for op, _ in seen]
                wrong.append(f"{phase}: CPU {names[0][len(seen) :]} traced {names[1][len(real) :]}")
    return wrong


@pytest.mark.parametrize("name", [name for name in SNIPPETS if name not in DIFFERENT_ON_THE_CPU])
def test_a_trace_has_the_ops_sizes_strides_and_dtypes_of_a_real_run(name):
    assert not _differences(SNIPPETS[name])


CHAINED = [name for name in SNIPPETS if name not in {*DIFFERENT_ON_THE_CPU, *NOT_CHAINED}]


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.lists(st.sampled_from(CHAINED), min_size=2, max_size=4))
def test_a_chain_of_ops_has_the_metadata_of_a_real_run(names):
    def run(x):
        for name in names:
            x = SNIPPETS[name](x)
        return x

    try:
        run(torch.randn(2, 4, 6, 6))
    except (RuntimeError, IndexError, ValueError):
        return  # the pieces do not fit
    assert not _differences(run)


@pytest.mark.parametrize("name", SNIPPETS)
def test_what_is_remembered_is_what_was_seen(name):
    """The second of two equal calls comes from memory (Note [Remembered shapes]): it must say the same."""
    run = SNIPPETS[name]
    seen = trace(lambda x: [run(x), run(x)], floats(2, 4, 6, 6), mode="eval")
    infos = [(packet(node), str(node.meta.get("tensors") and _without_storage(node))) for node in ops(seen)]
    assert infos[: len(infos) // 2] == infos[len(infos) // 2 :]


def _without_storage(node):
    infos = node.meta["tensors"]
    return [each[:5] for each in ([infos] if hasattr(infos, "shape") else infos) if each is not None]


REMEMBERED_APART = {
    "bool and integer scalars": (lambda x: x * True, lambda x: x * 1),
    "integer and float scalars": (lambda x: x.long() * 2, lambda x: x.long() * 2.0),
    "strides": (lambda x: x.permute(0, 2, 3, 1).clone(), lambda x: x.clone()),
    "dtypes": (lambda x: x.sum(1), lambda x: x.double().sum(1)),
    "dtype asked for": (lambda x: x.sum(1), lambda x: x.sum(1, dtype=torch.float64)),
    "memory format": (lambda x: x.clone(), lambda x: x.clone(memory_format=torch.channels_last)),
    "output mask": (
        lambda x: F.conv2d(x, torch.ones(3, 4, 3, 3)),
        lambda x: F.conv2d(x, x.new_ones(3, 4, 3, 3) * x.mean()),
    ),
}


@pytest.mark.parametrize(("one", "other"), REMEMBERED_APART.values(), ids=REMEMBERED_APART)
def test_questions_that_differ_have_answers_of_their_own(one, other):
    alone = _traced_calls(other, floats(2, 4, 6, 6), None)
    both = _traced_calls(lambda x: (one(x), other(x))[1], floats(2, 4, 6, 6), None)
    assert [call for call in both if call in alone][-1:] == alone[-1:]


def test_unknown_values_stay_unknown_after_a_default_dtype_change():
    def run(x):
        a = x.long() * 2.5
        torch.set_default_dtype(torch.float64)
        b = x.long() * 2.5
        return a.dtype, b.dtype

    seen, _ = _value(run, floats(3))
    assert seen == (torch.float32, torch.float64)
    assert torch.get_default_dtype() == torch.float32


def test_on_meta_lends_the_same_regime_without_a_record():
    model = nn.Linear(3, 3)
    with on_meta([model]):
        assert model.weight.is_meta
        assert torch.arange(3).sum().item() == 3
    assert not model.weight.is_meta


def test_phases_of_the_ops_a_value_is_asked_with():
    traced = trace(lambda x: x * int(IDS.max()), floats(3), mode="eval")
    assert [call_of(node).phase for node in ops(traced, "_local_scalar_dense")] == ["forward"]
