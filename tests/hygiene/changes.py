"""For every facet, ways to change it: what a snapshot has to notice, and what a model may do while it is scanned.

Each is a generator function: up to `yield` it changes something, after it takes that back.
"""

from __future__ import annotations

import atexit
import faulthandler
import gc
import io
import linecache
import locale
import logging
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from tests.hygiene.torch_state import flag_getters


class Change(NamedTuple):
    """A change of one facet; `undone` says whether a scan takes it back when the model makes it."""

    facet: str
    name: str
    make: Callable[[], Iterator[None]]
    undone: bool


CHANGES: list[Change] = []


def change(facet: str, undone: bool = True) -> Callable[[Callable[[], Iterator[None]]], Any]:
    """Make a generator function a way to change a facet."""

    def register(make: Callable[[], Iterator[None]]) -> Any:
        CHANGES.append(Change(facet, make.__name__.strip("_").replace("_", " "), make, undone))
        return make

    return register


def _setting(facet: str, name: str, get: Callable[[], Any], put: Callable[[Any], Any], *values: Any) -> None:
    """A value that is read and set: changed to the first of these that it has not."""

    def make() -> Iterator[None]:
        was = get()
        precisions = _precisions()
        put(next(each for each in values if each != was))
        yield
        put(was)
        for pair, precision in precisions.items():  # old setters set these too
            torch._C._set_fp32_precision_setter(*pair, precision)

    CHANGES.append(Change(facet, name, make, True))


def _precisions() -> dict[tuple[str, str], str]:
    getter = getattr(torch._C, "_get_fp32_precision_getter", None)
    pairs = [("generic", "all"), ("cuda", "all"), ("cuda", "matmul"), ("mkldnn", "all"), ("mkldnn", "matmul")]
    return {pair: getter(*pair) for pair in pairs} if getter else {}


def _attribute(facet: str, owner: Any, name: str, *values: Any) -> None:
    """An attribute of a module or an object."""
    put = lambda value: setattr(owner, name, value)  # noqa: E731
    _setting(
        facet, f"{getattr(owner, '__name__', type(owner).__name__)}.{name}", lambda: getattr(owner, name), put, *values
    )


# -- torch

_FLAG_VALUES: dict[str, tuple[Any, ...]] = {
    "autograd_fallback_mode": ("nothing", "warn"),
    "float32_matmul_precision": ("medium", "highest"),
    "default_dtype": (torch.float64, torch.float32),
    "sdp_priority_order": ([2, 1, 0, 3, 4], [1, 2, 0, 3, 4]),
}
FLAGS_NOT_SET = {
    "blas_preferred_backend": "this build has one backend",
    "linalg_preferred_backend": "this build has one backend",
    "rocm_fa_preferred_backend": "this build has one backend",
    "cpu_allow_fp16_reduced_precision_reduction": "not every CPU has it",
    "sm_carveout_experimental": "needs CUDA",
    "qengine": "has a way of its own below",
    "torch_function_state": "modes have a facet of their own",
    "tracing_state": "is a graph under construction",
    "thread_name": "names the thread for the system; it is none of torch's",
    "graph_exec_group": "is a group of ranks",
    "cudnn_depthwise_kernel": "needs cuDNN",
    "onednn_allow_tf32": "needs an Intel GPU",
    "meta_in_tls_dispatch_include": "sends every op to meta, those of a test too",
}


def _flag(name: str, getter: Callable[[], Any]) -> None:
    setter = getattr(torch._C, f"_set_{name}")

    def put(value: Any) -> None:
        setter(*value) if isinstance(value, tuple) else setter(value)

    values = ((False, False), (True, True)) if isinstance(getter(), tuple) else (True, False)
    _setting("torch flags", name, getter, put, *_FLAG_VALUES.get(name, values))


for _name, _getter in flag_getters().items():
    if _name not in FLAGS_NOT_SET:
        _flag(_name, _getter)

_setting("torch flags", "flags mkldnn engine", lambda: torch.backends.quantized.engine,
         lambda value: setattr(torch.backends.quantized, "engine", value),
         *torch.backends.quantized.supported_engines)  # fmt: skip


@change("strict mode")
def _strict_mode_on_warning_only() -> Iterator[None]:
    torch.use_deterministic_algorithms(True, warn_only=True)
    yield
    torch.use_deterministic_algorithms(False)


@change("strict mode")
def _debug_mode_2() -> Iterator[None]:
    torch.set_deterministic_debug_mode("error")
    yield
    torch.set_deterministic_debug_mode("default")


for _name in ("flash", "mem_efficient", "math", "cudnn"):
    _setting("backends", f"{_name} attention", getattr(torch.backends.cuda, f"{_name}_sdp_enabled"),
             getattr(torch.backends.cuda, f"enable_{_name}_sdp"), True, False)  # fmt: skip
_setting("backends", "fast path of attention", torch.backends.mha.get_fastpath_enabled,
         torch.backends.mha.set_fastpath_enabled, True, False)  # fmt: skip
if hasattr(torch._C, "_set_fp32_precision_setter"):
    for _backend, _op in (("generic", "all"), ("cuda", "all"), ("cuda", "matmul"), ("mkldnn", "conv")):
        _setting("backends", f"precision of {_backend} {_op}",
                 lambda backend=_backend, op=_op: torch._C._get_fp32_precision_getter(backend, op),
                 lambda value, backend=_backend, op=_op: torch._C._set_fp32_precision_setter(backend, op, value),
                 "ieee", "none")  # fmt: skip

_setting("autograd", "gradients", torch.is_grad_enabled, torch._C._set_grad_enabled, True, False)
_setting("autograd", "anomaly mode", torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly, True, False)


if hasattr(torch._C._autograd, "_top_saved_tensors_default_hooks"):  # torch 2.6 does not tell

    @change("autograd")
    def _saved_tensor_hooks() -> Iterator[None]:
        hooks = torch.autograd.graph.saved_tensors_hooks(lambda tensor: tensor, lambda tensor: tensor)
        hooks.__enter__()
        yield
        hooks.__exit__()


@change("autocast")
def _autocast_entered() -> Iterator[None]:
    region = torch.autocast("cpu", dtype=torch.bfloat16)
    region.__enter__()
    yield
    region.__exit__(None, None, None)


_setting("autocast", "dtype of autocast for xpu", lambda: torch.get_autocast_dtype("xpu"),
         lambda value: torch.set_autocast_dtype("xpu", value), torch.bfloat16, torch.float16)  # fmt: skip
_setting(
    "autocast", "cache of autocast", torch.is_autocast_cache_enabled, torch.set_autocast_cache_enabled, True, False
)

_setting("defaults", "default device", lambda: torch.empty(0).device,
         lambda device: torch.set_default_device(None if device == torch.device("cpu") else device),
         torch.device("meta"))  # fmt: skip
_setting("defaults", "threads", torch.get_num_threads, torch.set_num_threads, 2, 1)


@change("defaults")
def _print_options() -> Iterator[None]:
    torch.set_printoptions(precision=2)
    yield
    torch.set_printoptions(profile="default")


@change("defaults")
def _denormals() -> Iterator[None]:
    torch.set_flush_denormal(True)
    yield
    torch.set_flush_denormal(False)


@change("random numbers")
def _torch_drawn() -> Iterator[None]:
    was = torch.get_rng_state()
    torch.manual_seed(77)
    yield
    torch.set_rng_state(was)


@change("random numbers")
def _numpy_drawn() -> Iterator[None]:
    was = np.random.get_state()
    np.random.rand()
    yield
    np.random.set_state(was)


@change("random numbers")
def _python_drawn() -> Iterator[None]:
    was = random.getstate()
    random.random()
    yield
    random.setstate(was)


class _FunctionMode(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


class _DispatchMode(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


@change("dispatch")
def _function_mode_left_on() -> Iterator[None]:
    mode = _FunctionMode()
    mode.__enter__()
    yield
    mode.__exit__(None, None, None)


@change("dispatch")
def _dispatch_mode_left_on() -> Iterator[None]:
    mode = _DispatchMode()
    mode.__enter__()
    yield
    mode.__exit__(None, None, None)


@change("dispatch")
def _dispatch_key_excluded() -> Iterator[None]:
    key = torch._C.DispatchKey.ADInplaceOrView
    was = torch._C._dispatch_tls_is_dispatch_key_excluded(key)
    torch._C._dispatch_tls_set_dispatch_key_excluded(key, not was)
    yield
    torch._C._dispatch_tls_set_dispatch_key_excluded(key, was)


@change("global hooks")
def _hook_for_all_modules() -> Iterator[None]:
    handle = nn.modules.module.register_module_forward_hook(lambda module, args, output: None)
    yield
    handle.remove()


@change("global hooks")
def _hook_for_all_optimizers() -> Iterator[None]:
    handle = sys.modules["torch.optim.optimizer"].register_optimizer_step_pre_hook(lambda *args: None)
    yield
    handle.remove()


@change("compiling")
def _dynamo_settings() -> Iterator[None]:
    import torch._dynamo

    was = torch._dynamo.config.suppress_errors
    torch._dynamo.config.suppress_errors = not was
    yield
    torch._dynamo.config.suppress_errors = was


@change("functions of torch", undone=False)
def _function_replaced() -> Iterator[None]:
    was = F.relu
    F.relu = lambda x, inplace=False: was(x)
    yield
    F.relu = was


@change("functions of torch", undone=False)
def _method_replaced() -> Iterator[None]:
    was = nn.Module.named_modules
    nn.Module.named_modules = lambda self, *args, **kwargs: was(self, *args, **kwargs)  # type: ignore[method-assign]
    yield
    nn.Module.named_modules = was  # type: ignore[method-assign]


# -- Python


@change("warnings")
def _filters() -> Iterator[None]:
    was = warnings.filters.copy()  # type: ignore[attr-defined]
    warnings.simplefilter("error")
    yield
    warnings.filters[:] = was  # type: ignore[index]


@change("warnings", undone=False)
def _warned() -> Iterator[None]:
    registry: dict[Any, Any] = {}
    globals()["__warningregistry__"] = registry
    registry["text", UserWarning, 1] = True
    yield
    del globals()["__warningregistry__"]


@change("environment")
def _variable() -> Iterator[None]:
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    yield
    del os.environ["CUBLAS_WORKSPACE_CONFIG"]


@change("environment")
def _directory() -> Iterator[None]:
    was = os.getcwd()
    os.chdir("/")
    yield
    os.chdir(was)


@change("imports", undone=False)
def _path() -> Iterator[None]:
    sys.path.append("/nowhere")
    yield
    sys.path.remove("/nowhere")


@change("imports", undone=False)
def _module() -> Iterator[None]:
    sys.modules["made_up"] = types.ModuleType("made_up")
    yield
    del sys.modules["made_up"]


@change("streams")
def _output() -> Iterator[None]:
    was, sys.stdout = sys.stdout, io.StringIO()
    yield
    sys.stdout = was


@change("streams", undone=False)
def _descriptor() -> Iterator[None]:
    read, write = os.pipe()
    yield
    os.close(read)
    os.close(write)


_setting("interpreter", "recursion limit", sys.getrecursionlimit, sys.setrecursionlimit, 3210, 1000)
_attribute("interpreter", sys, "excepthook", lambda *error: None)


@change("interpreter", undone=False)
def _profile() -> Iterator[None]:
    was = sys.getprofile()
    sys.setprofile(lambda *args: None)
    yield
    sys.setprofile(was)


@change("interpreter", undone=False)
def _exit_registered() -> Iterator[None]:
    atexit.register(_nothing)
    yield
    atexit.unregister(_nothing)


def _nothing() -> None:
    pass


@change("interpreter", undone=False)
def _faults() -> Iterator[None]:
    was = faulthandler.is_enabled()
    faulthandler.disable() if was else faulthandler.enable(file=sys.__stderr__)
    yield
    faulthandler.enable(file=sys.__stderr__) if was else faulthandler.disable()


@change("signals")
def _handler() -> Iterator[None]:
    was = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGUSR1, was)


@change("locale")
def _locale() -> Iterator[None]:
    was = locale.setlocale(locale.LC_ALL)
    locale.setlocale(locale.LC_ALL, "C" if was != "C" else "C.UTF-8")
    yield
    locale.setlocale(locale.LC_ALL, was)


@change("locale")
def _numpy_errors() -> Iterator[None]:
    was = np.seterr(all="raise")
    yield
    np.seterr(**was)


@change("threads", undone=False)
def _thread() -> Iterator[None]:
    end = threading.Event()
    thread = threading.Thread(target=end.wait)
    thread.start()
    yield
    end.set()
    thread.join()


@change("threads", undone=False)
def _child() -> Iterator[None]:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield
    child.communicate(b"\n")


@change("logging", undone=False)
def _level() -> Iterator[None]:
    was = logging.getLogger("torch").level
    logging.getLogger("torch").setLevel(33)
    yield
    logging.getLogger("torch").setLevel(was)


_setting("garbage collector", "on or off", gc.isenabled, lambda on: gc.enable() if on else gc.disable(), True, False)
_setting("garbage collector", "thresholds", gc.get_threshold, lambda each: gc.set_threshold(*each), (9, 9, 9))


@change("source lines", undone=False)
def _made_up_source() -> Iterator[None]:
    linecache.cache["<made up>"] = (1, None, ["x\n"], "<made up>")
    yield
    del linecache.cache["<made up>"]


@change("files", undone=False)
def _file_written() -> Iterator[None]:
    path = Path(tempfile.gettempdir(), "left")
    path.write_text("x")
    yield
    path.unlink()
