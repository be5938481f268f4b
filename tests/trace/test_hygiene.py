"""A check leaves everything as it was: the model, the user's tensors, the optimizer, the process."""

from __future__ import annotations

import contextlib
import copy
import functools
import gc
import hashlib
import random
import subprocess
import sys
import types
import warnings
from collections import Counter, OrderedDict, UserDict, deque, namedtuple
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import opscan
from opscan.errors import OpscanError
from opscan.trace.driver import trace_target
from tests.trace.tracing import floats

MARK = "_opscan_node"


# -- what can be observed of a model, an optimizer, a tensor, the process


def _bits(tensor):
    if isinstance(tensor, torch.nn.parameter.UninitializedTensorMixin) or tensor.is_meta:
        return "no values"
    return _digest(tensor.detach().contiguous().view(-1).view(torch.uint8).numpy().tobytes()) if tensor.numel() else ""


def _digest(data):
    return hashlib.sha1(data).hexdigest()[:12]


def _tensor_state(tensor):
    grad = None if not tensor.is_leaf else tensor.grad
    return (
        id(tensor),
        type(tensor),
        tensor.device.type,
        tensor.dtype,
        tensor.requires_grad,
        None
        if isinstance(tensor, torch.nn.parameter.UninitializedTensorMixin)
        else (tuple(tensor.shape), tensor.stride()),
        tensor._version,
        _bits(tensor),
        None if grad is None else (id(grad), grad._version, _bits(grad)),
        sorted(tensor.__dict__),
    )


def _deep(value, seen=None):
    """Identities all the way down through containers and plain objects, and bits of tensors and arrays."""
    seen = set() if seen is None else seen
    if isinstance(value, torch.Tensor):
        return _tensor_state(value)
    if isinstance(value, np.ndarray):
        return id(value), _digest(value.tobytes())
    if isinstance(value, torch.Generator):
        return id(value), _digest(value.get_state().numpy().tobytes())
    if id(value) in seen or isinstance(value, type | types.FunctionType | types.ModuleType):
        return id(value)
    seen.add(id(value))
    if isinstance(value, dict | UserDict):
        return id(value), type(value), [(_deep(key, seen), _deep(item, seen)) for key, item in value.items()]
    if isinstance(value, list | tuple | deque):
        return id(value), type(value), [_deep(item, seen) for item in value]
    if isinstance(value, set | frozenset):
        return id(value), type(value), sorted(map(id, value))
    if isinstance(value, int | float | str | bytes | complex | None.__class__):
        return value
    if hasattr(value, "__dict__"):
        return id(value), type(value), [(name, _deep(item, seen)) for name, item in value.__dict__.items()]
    return id(value)


def _model_state(model):
    return {name: _deep(module) for name, module in model.named_modules()}


def _process_state():
    state = {
        "torch rng": _digest(torch.get_rng_state().numpy().tobytes()),
        "python rng": _digest(str(random.getstate()).encode()),
        "numpy rng": _digest(str(np.random.get_state()).encode()),
        "strict": torch.are_deterministic_algorithms_enabled(),
        "warn only": torch.is_deterministic_algorithms_warn_only_enabled(),
        "fill": torch.utils.deterministic.fill_uninitialized_memory,
        "cudnn": _cudnn_flags(),
        "matmul precision": torch.get_float32_matmul_precision(),
        "dtype": torch.get_default_dtype(),
        "device": torch.empty(0).device.type,
        "grad": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "autocast": (torch.is_autocast_enabled("cpu"), torch.is_autocast_enabled("cuda")),
        "anomaly": torch.is_anomaly_enabled(),
        "threads": torch.get_num_threads(),
        "filters": list(warnings.filters),
        "showwarning": warnings.showwarning,
        "function modes": torch._C._len_torch_function_stack(),
        "dispatch modes": torch._C._len_torch_dispatch_stack(),
        "dynamo": sys.modules.get("torch._dynamo"),
        "dynamo attribute": torch.__dict__.get("_dynamo"),
        "Module.__init__": nn.Module.__init__,
        "Module.__call__": nn.Module.__call__,
        "Module.__setattr__": nn.Module.__setattr__,
        "sdpa": F.scaled_dot_product_attention,
        "functional": {name: id(value) for name, value in vars(F).items()},
        "gc": (gc.isenabled(), gc.get_threshold()),
        "recursion": sys.getrecursionlimit(),
    }
    hooks = vars(nn.modules.module)
    state["global hooks"] = {
        name: len(hooks[name]) for name in hooks if name.startswith("_global_") and isinstance(hooks[name], dict)
    }
    return state


def _differences(before, after, path=""):
    """The smallest parts that differ, with the way to them."""
    if before == after:
        return []
    if isinstance(before, dict) and isinstance(after, dict) and before.keys() == after.keys():
        return [each for key in before for each in _differences(before[key], after[key], f"{path}/{key}")]
    sequences = isinstance(before, list | tuple) and isinstance(after, list | tuple)
    if sequences and len(before) == len(after):
        names = [pair[0] if isinstance(pair, tuple) and pair and isinstance(pair[0], str) else "" for pair in before]
        found = [_differences(*pair, f"{path}/{name}") for *pair, name in zip(before, after, names, strict=True)]
        return [each for part in found for each in part]
    return [f"{path}: {str(before)[:200]} -> {str(after)[:200]}"]


def _assert_same(before, after):
    assert not _differences(before, after)


@pytest.fixture(autouse=True)
def _tidy():
    """One test that finds something changed must not make the next one fail."""
    torch.manual_seed(0)
    precision, flags, collecting = torch.get_float32_matmul_precision(), _cudnn_flags(), gc.isenabled()
    with warnings.catch_warnings():
        yield
    torch.use_deterministic_algorithms(False)
    torch.set_float32_matmul_precision(precision)
    torch.autograd.set_detect_anomaly(False)
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)
    torch.set_grad_enabled(True)
    torch.backends.cudnn.enabled, torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = flags
    if collecting:
        gc.enable()


def _cudnn_flags():
    return tuple(getattr(torch.backends.cudnn, name) for name in ("enabled", "benchmark", "deterministic"))


def _check(target, inputs=None, raises=None, **options):
    """opscan.check, which has to leave the process as it was; with `raises` it has to raise that."""
    before = _process_state()
    if raises is None:
        report = opscan.check(target, inputs, **options)
    else:
        with pytest.raises(raises):
            opscan.check(target, inputs, **options)
        report = None
    _assert_same(before, _process_state())
    return report


def _check_leaves(model, *inputs, **options):
    """Check, and compare the model and the inputs."""
    before = _model_state(model), [_tensor_state(each) for each in inputs]
    report = _check(model, inputs or None, **options)
    _assert_same(before[0], _model_state(model))
    _assert_same(before[1], [_tensor_state(each) for each in inputs])
    return report


# -- models that change themselves while they run


class Base(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.drop = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5)

    def forward(self, x):
        return self.drop(self.norm(self.conv(x)))


class SetsAttributes(Base):
    def forward(self, x):
        self.seen = x
        self.conv.calls = getattr(self.conv, "calls", 0) + 1
        self.last = self.conv(x)
        return self.last


class MutatesContainers(Base):
    def __init__(self):
        super().__init__()
        self.log, self.by_name, self.names, self.recent = [], {"a": [1]}, {"a"}, deque([1, 2], maxlen=2)
        self.deep = {"a": [{"b": [1]}]}
        self.tuple = ([1],)

    def forward(self, x):
        out = super().forward(x)
        self.log.append(out)
        self.by_name["a"].append(out)
        self.by_name["b"] = out
        self.names.add("b")
        self.recent.append(3)
        self.deep["a"][0]["b"].append(2)
        self.tuple[0].append(2)
        return out


class MutatesDeeperContainers(Base):
    def __init__(self):
        super().__init__()
        self.deep = [[[[[1]]]]]

    def forward(self, x):
        self.deep[0][0][0][0].append(x)
        return super().forward(x)


class MutatesOtherContainers(Base):
    """Containers that are not exactly dict, list, set: a Counter, a dict of the user's own."""

    def __init__(self):
        super().__init__()
        self.counter = Counter(a=1)
        self.own = type("Own", (dict,), {})(a=1)

    def forward(self, x):
        self.counter["a"] += 1
        self.own["b"] = x
        return super().forward(x)


class MutatesObjects(Base):
    """A meter, as most training code has one."""

    def __init__(self):
        super().__init__()
        self.meter = SimpleNamespace(count=0, last=None)

    def forward(self, x):
        self.meter.count += 1
        self.meter.last = x
        return super().forward(x)


class MutatesArrays(Base):
    def __init__(self):
        super().__init__()
        self.histogram = np.zeros(3)

    def forward(self, x):
        self.histogram[0] += 1
        return super().forward(x)


class WritesBuffers(Base):
    def __init__(self):
        super().__init__()
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.register_buffer("average", torch.zeros(4))
        self.plain = torch.zeros(3)
        self.held = [torch.zeros(3), torch.zeros(3, dtype=torch.long)]

    def forward(self, x):
        out = super().forward(x)
        self.steps += 1
        self.average.mul_(0.9).add_(out.detach().mean((0, 2, 3)))
        self.average = self.average * 2
        self.plain.add_(1)
        self.held[0].add_(1)
        self.held[1].add_(1)
        return out


class TensorsInObjects(Base):
    """Tensors that hang on a plain object, which is neither a module nor a container."""

    def __init__(self):
        super().__init__()
        self.state = SimpleNamespace(total=torch.zeros(3), count=torch.zeros((), dtype=torch.long))

    def forward(self, x):
        self.state.total.add_(1)
        self.state.count += 1
        return super().forward(x)


class WritesWeights(Base):
    def forward(self, x):
        with torch.no_grad():
            self.conv.weight.clamp_(-1, 1)
            self.conv.weight.data = self.conv.weight.data * 2
        self.conv.bias.requires_grad_(False)
        return super().forward(x)


class ReplacesParts(Base):
    def forward(self, x):
        self.conv.register_forward_hook(lambda *args: None)
        self.register_buffer("late", x.detach())
        self.extra = nn.Linear(2, 2)
        self.norm.eval()
        out = super().forward(x)
        del self.drop
        return out


class Hidden(Base):
    """A module in a plain list, so that it is not registered: a teacher, an average of weights."""

    def __init__(self):
        super().__init__()
        self.teacher = [nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))]

    def forward(self, x):
        return super().forward(x) + self.teacher[0](x).detach()


class OwnGenerator(Base):
    def __init__(self):
        super().__init__()
        self.generator = torch.Generator().manual_seed(3)

    def forward(self, x):
        x = x[torch.randperm(x.shape[0], generator=self.generator)]
        return super().forward(x)


class Draws(Base):
    def forward(self, x):
        scale = random.random() + np.random.rand() + torch.randint(3, (1,)).item()
        torch.manual_seed(7)
        random.seed(1)
        np.random.seed(1)
        return super().forward(x) * scale


class Switches(Base):
    def forward(self, x):
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.backends.cudnn.benchmark = not torch.backends.cudnn.benchmark
        torch.backends.cudnn.deterministic = not torch.backends.cudnn.deterministic
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)
        warnings.simplefilter("error")
        gc.disable()
        return super().forward(x)


class SwitchesMore(Base):
    def forward(self, x):
        torch.set_float32_matmul_precision("medium")
        torch.set_default_device("meta")
        return super().forward(x)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(4, 1, 8, batch_first=True)

    def forward(self, x):
        return self.layer(x.flatten(2).transpose(1, 2)[..., :3].repeat(1, 1, 2)[..., :4])


def _lazy():
    return nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(2))


def _hooked():
    model = Base()
    model.register_forward_pre_hook(lambda module, args: None)
    model.conv.register_forward_hook(lambda module, args, out: out * 2)
    model.norm.register_full_backward_hook(lambda module, grads, outs: None)
    model.conv.weight.register_hook(lambda grad: grad * 2)
    return model


def _with_gradients():
    model = Base()
    model.conv.weight.grad = torch.randn_like(model.conv.weight)
    return model


def _frozen():
    model = Base()
    model.norm.eval()
    model.conv.weight.requires_grad_(False)
    return model


def _tied():
    model = Base()
    model.again = nn.Conv2d(3, 4, 3)
    model.again.weight = model.conv.weight
    return model


def _parametrized():
    model = Base()
    nn.utils.parametrizations.spectral_norm(model.conv)
    return model


def _old_weight_norm():
    model = Base()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nn.utils.weight_norm(model.conv)
    return model


MODELS = {
    "plain": Base,
    "in eval mode": lambda: Base().eval(),
    "sets attributes": SetsAttributes,
    "mutates containers": MutatesContainers,
    "mutates containers deeper than five levels": MutatesDeeperContainers,
    "mutates containers of other types": MutatesOtherContainers,
    "mutates a plain object it holds": MutatesObjects,
    "mutates an array it holds": MutatesArrays,
    "writes buffers": WritesBuffers,
    "writes tensors of a plain object it holds": TensorsInObjects,
    "writes weights": WritesWeights,
    "replaces parts of itself": ReplacesParts,
    "holds a module that is not registered": Hidden,
    "holds a generator": OwnGenerator,
    "draws and seeds": Draws,
    "switches flags": Switches,
    "switches other flags": SwitchesMore,
    "attention": Attention,
    "lazy": _lazy,
    "hooks": _hooked,
    "gradients there": _with_gradients,
    "partly frozen": _frozen,
    "tied weights": _tied,
    "spectral norm": _parametrized,
    "weight norm as a hook": _old_weight_norm,
}


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_a_model_is_afterwards_what_it_was(make, mode):
    _check_leaves(make(), torch.randn(2, 3, 8, 8), mode=mode)


@pytest.mark.parametrize(
    "make", [Base, WritesBuffers, _lazy, MutatesContainers], ids=["plain", "buffers", "lazy", "containers"]
)
def test_so_it_is_when_the_inputs_are_solved_for(make):
    model = make()
    before, process = _model_state(model), _process_state()
    with contextlib.suppress(OpscanError):
        opscan.check(model)
    _assert_same(before, _model_state(model))
    _assert_same(process, _process_state())


@pytest.mark.parametrize(
    "make", [Base, WritesBuffers, SetsAttributes, _parametrized], ids=["plain", "buffers", "attributes", "spectral"]
)
def test_a_model_computes_afterwards_what_it_did(make):
    model, x = make().eval(), torch.randn(2, 3, 8, 8)
    expected = copy.deepcopy(model)(x)
    opscan.check(model, (x,))
    assert torch.equal(model(x), expected)


def test_the_same_check_twice_says_the_same():
    model = WritesBuffers()
    first, second = (opscan.check(model, (torch.randn(2, 3, 8, 8),)) for _ in range(2))
    assert replace(first, cost=None).to_json() == replace(second, cost=None).to_json()


def test_a_jit_model_is_left_alone():
    model = torch.jit.trace(Base(), torch.randn(2, 3, 8, 8), check_trace=False)
    before = {name: _bits(value) for name, value in model.state_dict().items()}
    with contextlib.suppress(OpscanError):
        opscan.check(model, (torch.randn(2, 3, 8, 8),))
    assert {name: _bits(value) for name, value in model.state_dict().items()} == before


# -- memory outside the model

CACHE: dict = {}


@functools.lru_cache
def _table(size):
    return torch.ones(size)


class CachesGlobally(Base):
    def forward(self, x):
        if 8 not in CACHE:
            CACHE[8] = torch.ones(8)
        return super().forward(x * CACHE[8])


class CachesByDecorator(Base):
    def forward(self, x):
        return super().forward(x * _table(8))


@pytest.mark.parametrize("make", [CachesGlobally, CachesByDecorator], ids=["global dict", "lru_cache"])
def test_a_table_cached_outside_the_model_does_not_stay_on_meta(make):
    model, x = make(), torch.randn(2, 3, 8, 8)
    _check(model, (x,))
    try:
        assert model(x).device.type == "cpu"
    finally:
        CACHE.clear()
        _table.cache_clear()


# -- inputs

Point = namedtuple("Point", "x ids")


@dataclass
class Batch:
    x: torch.Tensor
    ids: torch.Tensor


def _greedy(batch):
    """Changes what it is given."""
    x, ids = (
        (batch["x"], batch["ids"])
        if isinstance(batch, dict | UserDict)
        else (batch.x, batch.ids)
        if hasattr(batch, "x")
        else batch
    )
    ids += 1
    x.mul_(2)
    return x.sum()


CARRIERS = {
    "list": lambda x, ids: [x, ids],
    "dict": lambda x, ids: {"x": x, "ids": ids},
    "named tuple": Point,
    "dataclass": Batch,
    "plain object": lambda x, ids: SimpleNamespace(x=x, ids=ids),
    "mapping (a BatchEncoding is one)": lambda x, ids: UserDict(x=x, ids=ids),
}


@pytest.mark.parametrize("carry", CARRIERS.values(), ids=CARRIERS)
def test_inputs_are_unchanged_in_any_container(carry):
    tensors = torch.randn(3), torch.arange(3)
    batch = carry(*tensors)
    before = _deep(batch)
    _check(_greedy, (batch,))
    _assert_same(before, _deep(batch))


def _leaf():
    x = torch.randn(2, 3, 8, 8, requires_grad=True)
    x.grad = torch.ones_like(x)
    return x


INPUTS = {
    "real": lambda: torch.randn(2, 3, 8, 8),
    "needs a gradient and has one": _leaf,
    "view": lambda: torch.randn(4, 3, 8, 8)[::2],
    "with a history": lambda: torch.randn(2, 3, 8, 8, requires_grad=True) * 2,
    "a parameter": lambda: nn.Parameter(torch.randn(2, 3, 8, 8)),
}


@pytest.mark.parametrize("make", INPUTS.values(), ids=INPUTS)
@pytest.mark.parametrize("name", [True, False], ids=["by name", "by position"])
def test_an_input_is_unchanged(make, name):
    def run(x):
        out = (x * 2).relu_()
        if out.requires_grad:
            out.sum().backward()
        return x if x.requires_grad else x.add_(1)

    x = make()
    before = _tensor_state(x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for target in (run, Base()):
            _check(target, {"x": x} if name else (x,))
    _assert_same(before, _tensor_state(x))
    assert MARK not in x.__dict__


def test_integer_inputs_are_unchanged_by_a_model_that_writes_to_them():
    ids = torch.arange(6).view(2, 3)
    before = _tensor_state(ids)
    _check(lambda ids: ids.add_(1).float().sum(), (ids,))
    _assert_same(before, _tensor_state(ids))


# -- a training step with a model and an optimizer of the user's

OPTIMIZERS = {
    "SGD": lambda params: torch.optim.SGD(params, lr=0.1, momentum=0.9),
    "Adam": lambda params: torch.optim.Adam(params),
    "AdamW amsgrad": lambda params: torch.optim.AdamW(params, amsgrad=True),
    "RMSprop": lambda params: torch.optim.RMSprop(params),
    "Adagrad": lambda params: torch.optim.Adagrad(params),
}


def _step(model, optimizer, x):
    optimizer.zero_grad()
    loss = model(x).square().mean()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss


def _optimizer_state(optimizer):
    return _deep(optimizer)


global_model = global_optimizer = None


def _global_step(x):
    return _step(global_model, global_optimizer, x)


class Trainer:
    def __init__(self, model, optimizer):
        self.model, self.optimizer = model, optimizer

    def step(self, x):
        return _step(self.model, self.optimizer, x)

    def __call__(self, x):
        return self.step(x)


def _ways(model, optimizer):
    config = SimpleNamespace(model=model, optimizer=optimizer)
    held = {"model": model, "optimizer": optimizer}
    nested = lambda x: (lambda: _step(model, optimizer, x))()  # noqa: E731
    globals()["global_model"], globals()["global_optimizer"] = model, optimizer

    def by_default(x, *, model=model, optimizer=optimizer):
        return _step(model, optimizer, x)

    @functools.wraps(by_default)
    def wrapped(*args, **kwargs):
        return by_default(*args, **kwargs)

    return {
        "closure": lambda x: _step(model, optimizer, x),
        "closure of a lambda within": nested,
        "globals": _global_step,
        "global used by a helper within": lambda x: _global_step(x),
        "bound method": Trainer(model, optimizer).step,
        "callable object": Trainer(model, optimizer),
        "partial": functools.partial(_step, model, optimizer),
        "default of a keyword": by_default,
        "decorated": wrapped,
        "dict in a closure": lambda x: _step(held["model"], held["optimizer"], x),
        "object in a closure": lambda x: _step(config.model, config.optimizer, x),
    }


WAYS = list(_ways(nn.Linear(1, 1), None))


@pytest.mark.parametrize("way", WAYS)
def test_a_step_leaves_model_and_optimizer(way):
    model = Base()
    optimizer = OPTIMIZERS["Adam"](model.parameters())
    _step(model, optimizer, torch.randn(2, 3, 8, 8))  # gradients and state are there
    before = _model_state(model), _optimizer_state(optimizer)
    _check(_ways(model, optimizer)[way], (torch.randn(2, 3, 8, 8),))
    _assert_same(before[0], _model_state(model))
    _assert_same(before[1], _optimizer_state(optimizer))


@pytest.mark.parametrize("warm", [True, False], ids=["state is there", "first step"])
@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_optimizers(make, warm):
    model = Base()
    optimizer = make(model.parameters())
    x = torch.randn(2, 3, 8, 8)
    if warm:
        _step(model, optimizer, x)
    before = _model_state(model), _optimizer_state(optimizer)
    _check(_step, {"model": model, "optimizer": optimizer, "x": x})
    _assert_same(before[0], _model_state(model))
    _assert_same(before[1], _optimizer_state(optimizer))


@pytest.mark.parametrize("as_argument", [True, False], ids=["argument", "closure"])
def test_a_learning_rate_scheduler_does_not_advance(as_argument):
    model = Base()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)

    def step(x, scheduler=scheduler):
        _step(model, optimizer, x)
        scheduler.step()

    before = scheduler.state_dict(), optimizer.param_groups[0]["lr"]
    _check(step, {"x": torch.randn(2, 3, 8, 8)} | ({"scheduler": scheduler} if as_argument else {}))
    assert (scheduler.state_dict(), optimizer.param_groups[0]["lr"]) == before


def test_a_gradient_scaler_is_as_before():
    """It makes its scale at its first step: a tensor, that must not be one on meta."""
    model, scaler = Base(), torch.amp.GradScaler("cpu")
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    def step(x):
        optimizer.zero_grad()
        scaler.scale(model(x).square().mean()).backward()
        scaler.step(optimizer)
        scaler.update()

    before = _deep(scaler)
    _check(step, (INPUT,))
    _assert_same(before, _deep(scaler))
    step(INPUT)


def test_attributes_of_the_steps_object_are_restored():
    class Counting(Trainer):
        steps, losses = 0, ()

        def step(self, x):
            self.steps += 1
            self.losses = [*self.losses, super().step(x)]

    model = Base()
    trainer = Counting(model, torch.optim.SGD(model.parameters(), lr=0.1))
    before = dict(trainer.__dict__)
    _check(trainer.step, (torch.randn(2, 3, 8, 8),))
    assert trainer.__dict__ == before


@pytest.mark.parametrize(
    ("make", "write"),
    [
        pytest.param(lambda: torch.zeros((), dtype=torch.long), lambda t: t.add_(1), id="counter"),
        pytest.param(lambda: torch.zeros(3), lambda t: t.add_(1), id="float, known values"),
        pytest.param(lambda: torch.zeros(3, dtype=torch.bool), lambda t: t.fill_(True), id="mask"),
    ],
)
def test_a_tensor_in_a_closure_is_not_written_to(make, write):
    tensor = make()

    def step(x):
        write(tensor)
        return (x * tensor).sum()

    before = _tensor_state(tensor)
    _check(step, (torch.randn(3),))
    _assert_same(before, _tensor_state(tensor))


def test_a_weight_in_a_closure_gets_no_gradient():
    weight = torch.randn(3, requires_grad=True)

    def step(x):
        (x * weight).sum().backward()

    before = _tensor_state(weight)
    _check(step, (torch.randn(3),))
    _assert_same(before, _tensor_state(weight))


def test_no_mark_stays_on_anything_the_user_holds():
    model, loose, kept = WritesBuffers(), torch.randn(3, 8, 8), []
    index = torch.tensor([1, 0])

    def step(x):
        kept.append(index)
        return model(x[index] + loose)

    x = torch.randn(2, 3, 8, 8)
    _check(step, (x,))
    held = [x, loose, index, *model.parameters(), *model.buffers(), model.plain, *model.held]
    assert not [tensor for tensor in held if MARK in tensor.__dict__]


# -- the process


@pytest.mark.parametrize("warn_only", [False, True], ids=["raises", "warns"])
@pytest.mark.parametrize("strict", [False, True], ids=["strict off", "strict on"])
@pytest.mark.parametrize("make", [Base, Switches, Draws], ids=["plain", "switches flags", "draws"])
def test_flags_of_the_process(make, strict, warn_only):
    torch.use_deterministic_algorithms(strict, warn_only=warn_only)
    torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = True, True
    torch.set_default_dtype(torch.float64)
    gc.disable()
    with torch.no_grad():
        warnings.simplefilter("error", DeprecationWarning)
        _check(MODEL_OF[make], (INPUT,))


INPUT = torch.randn(2, 3, 8, 8)
MODEL_OF = {make: make() for make in (Base, Switches, Draws)}


def test_a_default_device_of_the_users_stays():
    torch.set_default_device("cpu")
    try:
        _check_leaves(Base(), torch.randn(2, 3, 8, 8))
    finally:
        torch.set_default_device(None)


def test_anomaly_detection_of_the_users_stays_on_and_is_no_obstacle():
    torch.autograd.set_detect_anomaly(True)
    _check_leaves(Base(), torch.randn(2, 3, 8, 8))


def test_autocast_around_a_check_stays_and_keeps_no_weight_of_the_trace():
    model, x = nn.Linear(3, 3), torch.randn(2, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        _check(model, (x,))
        assert model(x).device.type == "cpu"


def test_neither_dynamo_nor_sympy_is_imported_and_nothing_of_their_stand_ins_stays():
    """In a process of its own: other tests may have imported it."""
    code = """
import sys, torch, opscan
from torch import nn
model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(144, 5), nn.LogSoftmax(1))
opscan.check(model, (torch.randn(2, 3, 8, 8),))
assert "torch._dynamo" not in sys.modules, "torch._dynamo"
assert "_dynamo" not in torch.__dict__
opscan.check("opscan.examples.cnn:CNN_v2")  # its padding checks sizes
assert "torch.fx.experimental.symbolic_shapes" not in sys.modules, "symbolic_shapes"
assert "sympy" not in sys.modules, "sympy"
assert not hasattr(torch.fx.experimental, "symbolic_shapes")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_model_that_wants_symbols_gets_the_real_ones():
    code = """
import sys, torch, opscan
def step(x):
    from torch.fx.experimental.symbolic_shapes import ShapeEnv, guard_or_false
    assert guard_or_false(True) is True
    sys.seen = ShapeEnv
    return x * 2
opscan.check(step, (torch.randn(2),))
from torch.fx.experimental import symbolic_shapes
assert sys.seen is symbolic_shapes.ShapeEnv
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# -- when the model fails


class FailsAt(Base):
    """Raises in forward at op `at`, after all that changes something before it."""

    def __init__(self, at, error):
        super().__init__()
        self.register_buffer("steps", torch.zeros((), dtype=torch.long))
        self.at, self.error, self.log = at, error, []

    def forward(self, x):
        def reached(number):
            if number == self.at:
                raise self.error

        reached(0)
        self.steps += 1
        self.log.append(x)
        self.norm.eval()
        reached(1)
        x = self.norm(self.conv(x))
        self.extra = x
        torch.set_default_dtype(torch.float64)
        reached(2)
        with torch.no_grad():
            random.random()
            torch.randint(3, (2,))
            reached(3)
        x = F.scaled_dot_product_attention(x, x, x)
        reached(4)
        return x


@pytest.mark.parametrize("at", range(5))
@pytest.mark.parametrize(
    ("error", "seen"),
    [
        pytest.param(ValueError("no"), OpscanError, id="error"),
        pytest.param(KeyboardInterrupt(), KeyboardInterrupt, id="interrupt"),
        pytest.param(SystemExit(3), OpscanError, id="exit"),
        pytest.param(RuntimeError("CUDA error: device-side assert"), OpscanError, id="error that names a device"),
    ],
)
def test_after_a_failure_in_forward_all_is_as_before(at, error, seen):
    model, x = FailsAt(at, error), torch.randn(2, 3, 8, 8)
    _check_leaves(model, x, raises=seen)


class FailsInside(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.ModuleList([Base()])

    def forward(self, x):
        try:
            self.inner[0](x[:, :2])
        except RuntimeError:
            return self.inner[0](x)


def test_a_failure_the_model_catches_is_none():
    report = _check_leaves(FailsInside(), torch.randn(2, 3, 8, 8))
    trace = trace_target(FailsInside(), (floats(2, 3, 8, 8),), {})
    sites = {str(node.target): node.meta["opscan"].module.path for node in trace.ops() if "dropout" in str(node.target)}
    assert set(sites.values()) <= {"inner.0.drop"}
    assert report is not None


def _raise(error):
    def hook(*args):
        raise error

    return hook


@pytest.mark.parametrize(
    ("error", "seen"),
    [(ValueError("no"), OpscanError), (KeyboardInterrupt(), KeyboardInterrupt)],
    ids=["error", "interrupt"],
)
@pytest.mark.parametrize("where", ["module hook", "tensor hook", "loss", "custom backward"])
def test_after_a_failure_elsewhere_all_is_as_before(where, error, seen):
    class Own(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, grad):
            raise error

    class Fails(Base):
        def forward(self, x):
            out = super().forward(x)
            if where == "tensor hook":
                out.register_hook(_raise(error))
            return Own.apply(out) if where == "custom backward" else out

    model, x = Fails(), torch.randn(2, 3, 8, 8)
    if where == "module hook":
        model.norm.register_full_backward_hook(_raise(error))
    loss = _raise(error) if where == "loss" else None
    _check_leaves(model, x, raises=seen, loss=loss)


def test_a_check_within_a_forward_hook_of_another_model_is_independent():
    inner, outer = Base(), Base()
    reports = []
    outer.conv.register_forward_hook(lambda module, args, out: reports.append(opscan.check(inner, (INPUT,))) and None)
    before = _model_state(inner)
    outer(INPUT)
    assert len(reports) == 1
    _assert_same(before, _model_state(inner))


def test_ordered_hooks_dicts_keep_their_identity():
    model = _hooked()
    before = {name: id(value) for name, value in model.__dict__.items() if isinstance(value, OrderedDict | dict)}
    _check(model, (INPUT,))
    assert {
        name: id(value) for name, value in model.__dict__.items() if isinstance(value, OrderedDict | dict)
    } == before
