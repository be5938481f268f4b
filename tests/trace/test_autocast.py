"""Autocast in a trace: regions of the code's own and `--amp`, beside what the CPU does under its own autocast."""

from __future__ import annotations

import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

from opscan.errors import EnvironmentSpecError, TraceError
from opscan.scan import check
from opscan.trace.autocast import Casting
from opscan.trace.driver import trace_target
from opscan.trace.graph import call_of
from opscan.trace.policies import KEY
from tests.trace.tracing import floats, ops, packet

NO_CUDA = not torch.cuda.is_available()
BF16, FP16, FP32 = torch.bfloat16, torch.float16, torch.float32


def traced(call, *args, device="cuda", amp=None, loss=None, watched=frozenset(), mode="train", **kwargs):
    return trace_target(call, args, kwargs, loss=loss, mode=mode, casting=Casting(device, amp), watched=watched)


def dtypes(trace, name, phase="forward"):
    return [node.meta["tensors"].dtype for node in ops(trace, name, phase)]


# -- beside the real thing


class Log(TorchDispatchMode):
    """(op, dtypes of its results) of a step that runs."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self.seen.append((str(func), _dtypes_of(result)))
        return result


def _dtypes_of(result):
    results = result if isinstance(result, tuple | list) else (result,)
    return tuple(each.dtype for each in results if isinstance(each, torch.Tensor))


class Heads(nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.norm = nn.LayerNorm(8)

    def forward(self, x):
        y, _ = self.attention(x, x, x)
        y = self.norm(y) + x
        return torch.stack([y, y.relu()]).prod(0), F.scaled_dot_product_attention(x, y, y)


class Last(nn.Module):
    def __init__(self):
        super().__init__()
        self.cells = nn.LSTM(8, 8)

    def forward(self, x):
        return self.cells(x)[0]


MODELS = {
    "linear layers, one used twice": lambda: (_twice(), torch.randn(2, 8)),
    "convolutions, batch norm, pooling": lambda: (
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.MaxPool2d(2), nn.ConvTranspose2d(4, 2, 2)),
        torch.randn(2, 3, 8, 8),
    ),
    "attention composed in Python, and a call of it": lambda: (Heads(), torch.randn(2, 3, 8)),
    "encoder layer": lambda: (
        nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True),
        torch.randn(2, 3, 8),
    ),
    "ops that promote": lambda: (_promotes, torch.randn(2, 8)),
    "losses": lambda: (lambda x: F.nll_loss(F.linear(x, x).log_softmax(1), torch.tensor([0, 1])), torch.randn(2, 8)),
}


def _twice():
    layer = nn.Linear(8, 8)
    return nn.Sequential(layer, nn.GELU(), layer, nn.Dropout(0.1), nn.Linear(8, 3))


def _promotes(x):
    return torch.cat([F.linear(x, x), x[:, :2]]).index_copy(0, torch.tensor([1]), x[:1, :2])


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_a_traced_forward_is_that_of_the_cpu_under_its_own_autocast(make):
    torch.manual_seed(0)
    model, x = make()
    log = Log()
    with torch.autocast("cpu", dtype=BF16), sdpa_kernel(SDPBackend.MATH), log:  # the one that meta has
        model(x.requires_grad_())
    seen = [
        (str(node.target), node.meta.get("tensors"))
        for node in ops(traced(model, x, device="cpu", amp="bf16"), None, "forward")
    ]
    ours = [(op, _infos(found)) for op, found in seen]
    assert ours[-len(log.seen) :] == log.seen
    assert len(ours) - len(log.seen) <= 2


def _infos(found):
    return tuple(each.dtype for each in (found if type(found) is tuple else (found,)) if each is not None)


def test_a_traced_backward_is_that_of_the_cpu_under_its_own_autocast():
    model, x = _twice(), torch.randn(2, 8)
    with torch.autocast("cpu", dtype=BF16):
        loss = F.mse_loss(model(x), torch.zeros(2, 3))
    with Log() as log:
        loss.backward()
    trace = traced(model, x, device="cpu", amp="bf16", loss=lambda out: F.mse_loss(out, torch.zeros(2, 3)))
    backward = [(str(node.target), _infos(node.meta.get("tensors"))) for node in ops(trace, None, "backward")]
    first = next(at for at, each in enumerate(log.seen) if "mse_loss_backward" in each[0])
    assert backward == log.seen[first:]


def test_what_cpp_composes_is_cast_within():
    """An LSTM on meta decomposes below Python; on CUDA cuDNN's kernel would get half weights in the same way."""
    trace = traced(Last(), floats(3, 2, 8), amp="fp16")
    assert set(dtypes(trace, "addmm")) == {FP16}
    (run,) = traced(Last(), floats(3, 2, 8), amp="fp16", watched=frozenset({"torch.lstm"})).composites
    assert run.name == "torch.lstm"


# -- regions of the code's own


def _layer():
    return nn.Linear(4, 4)


def with_region(region):
    layer = _layer()

    def forward(x):
        with region():
            return layer(x)

    return forward


def decorated():
    layer = _layer()
    return lambda x: torch.autocast("cuda", dtype=BF16)(layer)(x)


class Kept(nn.Module):
    """Keeps the region as an attribute, as training scripts do."""

    def __init__(self):
        super().__init__()
        self.layer = _layer()

    def forward(self, x):
        self.region = torch.amp.autocast(device_type="cuda", dtype=BF16)
        with self.region:
            return self.layer(x)


REGIONS = {
    "torch.autocast, its dtype": (lambda: with_region(lambda: torch.autocast("cuda", dtype=BF16)), BF16),
    "torch.autocast, the default of cuda": (lambda: with_region(lambda: torch.autocast("cuda")), FP16),
    "torch.cuda.amp.autocast": (lambda: with_region(lambda: torch.cuda.amp.autocast(dtype=BF16)), BF16),
    "enabled=False": (lambda: with_region(lambda: torch.autocast("cuda", enabled=False)), FP32),
    "by the name that tensors have here": (lambda: with_region(lambda: torch.autocast("meta", dtype=BF16)), BF16),
    "set and not as a context": (lambda: with_region(_Set), FP16),
    "another device's": (lambda: with_region(lambda: torch.autocast("mps")), FP32),
    "as a decorator": (decorated, BF16),
    "kept as an attribute": (Kept, BF16),
}


class _Set:
    def __enter__(self):
        torch.set_autocast_enabled("cuda", True)

    def __exit__(self, *error):
        torch.set_autocast_enabled("cuda", False)
        torch.clear_autocast_cache()


@pytest.mark.parametrize(("make", "dtype"), REGIONS.values(), ids=REGIONS)
def test_a_region_of_the_codes_own_is_honoured_without_a_gpu(make, dtype):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert dtypes(traced(make(), floats(2, 4)), "addmm") == [dtype]


def test_an_island_in_a_region_and_in_amp():
    def forward(x, w):
        with torch.autocast("cuda", dtype=BF16):
            y = F.linear(x, w)
            with torch.autocast(x.device.type, enabled=False):
                z = F.linear(y.float(), w)
            return F.linear(z, w)

    for amp in (None, "fp16"):
        trace = traced(forward, floats(2, 4), floats(4, 4).requires_grad_(), amp=amp)
        assert dtypes(trace, "mm") == [BF16, FP32, BF16]


@pytest.mark.skipif(not NO_CUDA, reason="CUDA is here, so the code asks for it")
def test_a_region_for_the_cpu_stands_for_the_device_that_is_not_here_and_the_report_says_so():
    device = "cuda" if torch.cuda.is_available() else "cpu"
    step = with_region(lambda: torch.autocast(device, dtype=BF16))
    trace = traced(step, floats(2, 4))
    assert dtypes(trace, "addmm") == [BF16]
    assert any("region for the CPU" in line for line in trace.assumptions)
    assert dtypes(traced(with_region(lambda: torch.autocast("cuda")), floats(2, 4), device="cpu"), "addmm") == [FP32]


def test_a_weight_is_cast_once_per_region_and_its_cast_has_a_gradient():
    def forward(x, w):
        with torch.autocast("cuda"):
            y = F.linear(F.linear(x, w), w)
        with torch.autocast("cuda"):
            return F.linear(y, w)

    weight = floats(4, 4).requires_grad_()
    trace = traced(forward, floats(2, 4), weight)
    casts = [node for node in ops(trace, "_to_copy", "forward") if call_of(node).grad_args]
    assert len(casts) == 2
    back = [call_of(node).cause for node in ops(trace, "_to_copy", "backward")]
    assert set(casts) <= set(back)


def test_losses_that_autocast_refuses_are_refused():
    with pytest.raises(TraceError, match="binary_cross_entropy_with_logits"):
        traced(
            lambda x, w: F.binary_cross_entropy(F.linear(x, w).sigmoid().float(), x),
            floats(4, 4),
            floats(4, 4),
            amp="fp16",
        )


class Doubled(torch.autograd.Function):
    """Takes its inputs in half precision, whatever the region's is."""

    @staticmethod
    @torch.amp.custom_fwd(device_type="cuda", cast_inputs=FP16)
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return x @ w

    @staticmethod
    @torch.amp.custom_bwd(device_type="cuda")
    def backward(ctx, grad):
        x, w = ctx.saved_tensors
        return grad @ w.T, x.T @ grad


def test_custom_functions_cast_their_inputs_and_run_backward_as_forward():
    args = floats(4, 4).requires_grad_(), floats(4, 4).requires_grad_()
    assert dtypes(traced(Doubled.apply, *args, amp="bf16"), "mm") == [FP16]
    assert set(dtypes(traced(Doubled.apply, *args, amp="bf16"), "mm", "backward")) == {FP16}
    assert dtypes(traced(Doubled.apply, *args), "mm") == [FP32]


@pytest.mark.parametrize("reentrant", [True, False])
def test_a_checkpoint_runs_again_in_the_region_it_ran_in(reentrant):
    model = nn.Sequential(_layer(), nn.ReLU(), _layer())
    trace = traced(
        lambda x: checkpoint(model, x.clone().requires_grad_(), use_reentrant=reentrant), floats(2, 4), amp="bf16"
    )
    assert set(dtypes(trace, "addmm")) == set(dtypes(trace, "addmm", "backward")) == {BF16}


def test_a_step_with_a_scaler_is_traced_through_it():
    model = _layer()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def step(x):
        scaler = torch.amp.GradScaler("cuda")
        with torch.autocast("cuda"):
            loss = model(x).sum()
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()

    trace = traced(step, floats(2, 4))
    assert dtypes(trace, "addmm") == [FP16]
    names = [packet(node) for node in ops(trace)]
    assert "_amp_foreach_non_finite_check_and_unscale_" in names
    assert "_amp_update_scale_" in names
    assert all(grad is None for grad in (each.grad for each in model.parameters()))


# -- amp


def test_amp_covers_forward_and_loss_and_not_the_backward():
    model = nn.Sequential(_layer(), nn.LayerNorm(4))
    trace = traced(model, floats(2, 4), amp="bf16", loss=lambda out: F.linear(out, out).sum())
    assert dtypes(trace, "addmm") == [BF16]
    assert dtypes(trace, "mm", "loss") == [BF16]
    (norm,) = ops(trace, "native_layer_norm")
    assert norm.meta["tensors"][0].dtype is FP32


def test_amp_ends_before_the_backward_that_a_step_runs_itself():
    class Own(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, grad):
            return grad @ grad.T

    trace = traced(lambda x: Own.apply(x @ x).sum().backward(), floats(4, 4).requires_grad_(), amp="bf16")
    assert dtypes(trace, "mm")[0] is BF16
    own = next(node for node in ops(trace, "mm", "backward"))
    assert own.meta["tensors"].dtype is BF16  # the output of the region is, so its gradient is

    trace = traced(lambda x: Own.apply(x * 2).sum().backward(), floats(4, 4).requires_grad_(), amp="bf16")
    assert dtypes(trace, "mm", "backward") == [FP32]


def test_a_composite_is_told_in_which_precision_it_runs():
    call = lambda x: F.scaled_dot_product_attention(x, x, x)  # noqa: E731 -- the frame is not what is tested
    watched = frozenset({"torch.nn.functional.scaled_dot_product_attention"})
    (found,) = traced(call, floats(1, 2, 3, 8), amp="bf16", watched=watched).composites
    assert found.args[0].dtype is BF16
    (found,) = traced(call, floats(1, 2, 3, 8), watched=watched).composites
    assert found.args[0].dtype is FP32


def test_a_report_says_so():
    report = check(_layer(), (floats(2, 4),), amp="bf16")
    assert report.environment.amp == "bf16"
    assert '"amp": "bf16"' in report.to_json()
    assert "bf16 autocast" in report.to_text()
    assert '"amp": null' in check(_layer(), (floats(2, 4),)).to_json()
    with pytest.raises(EnvironmentSpecError, match="fp8"):
        check(_layer(), (floats(2, 4),), amp="fp8")


def test_a_run_on_the_device_is_in_its_own_autocast():
    report = check(_layer(), (torch.randn(2, 4),), device="cpu", amp="bf16", run=True, replay=2)
    assert report.run is not None
    assert report.run.failure is None
    assert report.run.ops == report.forward_ops + report.backward_ops


# -- what the process had


def test_a_region_around_a_check_is_no_part_of_it_and_stays():
    model = _layer()
    with torch.autocast("cpu", dtype=FP16):
        inside = model(torch.randn(2, 4))
        trace = traced(with_region(lambda: torch.autocast("cuda", dtype=BF16)), floats(2, 4))
        assert torch.is_autocast_enabled("cpu")
        assert torch.get_autocast_dtype("cpu") is FP16
        assert dtypes(trace, "addmm") == [BF16]
        assert dtypes(traced(model, torch.randn(2, 4), device="cpu"), "addmm") == [FP32]
        assert model(torch.randn(2, 4)).dtype is inside.dtype is FP16
    assert not torch.is_autocast_enabled("cpu")


def _fails(x):
    torch.autocast("cuda", dtype=BF16).__enter__()
    raise ValueError("no")


def test_after_a_failure_inside_a_region_all_is_as_before():
    places = (torch.autocast, torch.set_autocast_enabled, torch.is_autocast_enabled, torch.cuda.is_bf16_supported)
    with pytest.raises(TraceError, match="no"):
        traced(_fails, floats(2, 4), amp="fp16")
    assert not torch.is_autocast_enabled("cuda")
    assert torch.get_autocast_dtype("cuda") is FP16
    assert torch.autocast_increment_nesting() == 1
    assert torch.autocast_decrement_nesting() == 0
    assert not torch._C._dispatch_tls_is_dispatch_key_included(KEY)
    assert places == (
        torch.autocast, torch.set_autocast_enabled, torch.is_autocast_enabled, torch.cuda.is_bf16_supported
    )  # fmt: skip
