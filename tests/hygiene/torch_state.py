"""What can be observed of torch in this process."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
import torch.utils.checkpoint
from torch.nn.modules import module as module_hooks
from torch.overrides import _get_current_function_mode_stack
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

from tests.hygiene.belongings import digest
from tests.hygiene.snapshot import Known, Names, Same, facet

_C: Any = torch._C
_NOT_A_FLAG = {"dispatch_mode", "tensor_metadata", "value_trace", "fake_constant"}
"""Setters whose getter wants an argument: modes have a facet of their own, the others are of one graph or tensor."""


def flag_getters() -> dict[str, Any]:
    """By name, the getter of each flag that torch has a setter for (torch._C._set_NAME), where it has one."""
    found = {}
    for setter in dir(_C):
        name = setter.removeprefix("_set_")
        if name != setter and name not in _NOT_A_FLAG:
            candidates = (f"_get_{name}", f"_{name}", f"_is_{name}", f"is_{name}", f"get_{name}")
            getter = next((each for each in candidates if hasattr(_C, each)), None)
            if getter is not None:
                found[name] = getattr(_C, getter)
    return found


def _answer(getter: Any, *args: Any) -> Any:
    """What a getter returns; torch 2.9 and newer refuse where old and new settings of TF32 were mixed."""
    try:
        return getter(*args)
    except RuntimeError as error:
        return f"raises RuntimeError: {str(error)[:60]}"


@facet(
    "torch flags", "every flag of torch with a setter and a getter: strict mode, warn_only, filling, cuDNN, TF32, ..."
)
def _flags() -> Any:
    return {name: _answer(getter) for name, getter in flag_getters().items()}


@facet("strict mode", "what use_deterministic_algorithms and its kin were last told, as torch's own functions say it")
def _strict() -> Any:
    return {
        "on": torch.are_deterministic_algorithms_enabled(),
        "warn only": torch.is_deterministic_algorithms_warn_only_enabled(),
        "debug mode": torch.get_deterministic_debug_mode(),
        "fills": torch.utils.deterministic.fill_uninitialized_memory,
        "inductor": getattr(sys.modules.get("torch._inductor.config"), "deterministic", None),
    }


@facet("backends", "what torch.backends says: cuDNN, cuBLAS, oneDNN, fused attention, precisions, fast paths, engines")
def _backends() -> Any:
    backends: Any = torch.backends
    cudnn, cuda = backends.cudnn, backends.cuda
    precision = getattr(_C, "_get_fp32_precision_getter", None)
    pairs = [
        ("generic", "all"),
        *((each, op) for each in ("mkldnn", "cuda") for op in ("all", "conv", "rnn", "matmul")),
    ]
    return {
        "cudnn": [_answer(lambda name=name: getattr(cudnn, name)) for name in _CUDNN],
        "sdp": [getattr(cuda, f"{name}_sdp_enabled")() for name in ("flash", "mem_efficient", "math", "cudnn")],
        "fp32": [_answer(precision, *pair) for pair in pairs] if precision else None,
        "fast path": backends.mha.get_fastpath_enabled(),
        "opt_einsum": [getattr(getattr(backends, "opt_einsum", None), name, None) for name in ("enabled", "strategy")],
        "engine": backends.quantized.engine,
    }


_CUDNN = ("enabled", "benchmark", "deterministic", "allow_tf32", "benchmark_limit")


@facet("autograd", "grad, inference and anomaly mode, saved-tensor hooks, forward mode, profiler, checkpoint flags")
def _autograd() -> Any:
    return {
        "grad": torch.is_grad_enabled(),
        "inference": torch.is_inference_mode_enabled(),
        "anomaly": (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
        "saved tensors": (
            _C._autograd._saved_tensors_hooks_is_enabled(),
            top(True) if (top := getattr(_C._autograd, "_top_saved_tensors_default_hooks", None)) else None,
        ),
        "forward mode": torch.autograd.forward_ad._current_level,
        "profiler": torch.autograd._profiler_enabled(),
        "checkpoint": Same(getattr(torch.utils.checkpoint, "_enable_checkpoint_early_stop", None)),
        "graph task": _C._current_graph_task_id(),
    }


@facet("autocast", "on or off and the dtype for every device type, nesting, the cache switch")
def _autocast() -> Any:
    devices = [each for each in _DEVICES if torch.amp.is_autocast_available(each)]
    torch.autocast_increment_nesting()
    return {
        "devices": {each: (torch.is_autocast_enabled(each), torch.get_autocast_dtype(each)) for each in devices},
        "cache": torch.is_autocast_cache_enabled(),
        "depth": torch.autocast_decrement_nesting(),
    }


_DEVICES = ("cpu", "cuda", "mps", "xpu", "hpu", "xla", "ipu", "mtia", "maia", "meta", "privateuseone")


@facet("defaults", "default dtype, device and tensor type, print options, threads, denormals, sharing strategy")
def _defaults() -> Any:
    return {
        "dtype": torch.get_default_dtype(),
        "device": Names(vars(torch._GLOBAL_DEVICE_CONTEXT)),
        "made": (torch.empty(0).dtype, torch.empty(0).device),
        "print options": vars(torch._tensor_str.PRINT_OPTS).copy(),
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "denormals": torch.tensor(1e-310, dtype=torch.float64, device="cpu").mul(1.0).item() != 0,
        "sharing": torch.multiprocessing.get_sharing_strategy(),
        "swap": (
            torch.__future__.get_swap_module_params_on_conversion(),
            torch.__future__.get_overwrite_module_params_on_conversion(),
        ),
    }


@facet(
    "random numbers", "states and seeds of the global generators of torch (CPU, and CUDA where it is), numpy, random"
)
def _random() -> Any:
    numpy = sys.modules.get("numpy.random")
    python: Any = sys.modules["random"]
    on_cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    return {
        "torch": digest(torch.get_rng_state().numpy().tobytes()),
        "torch seed": torch.initial_seed(),
        "torch generator": Same(torch.default_generator),
        "cuda": [digest(each.numpy().tobytes()) for each in on_cuda],
        "cuda there": torch.cuda.is_initialized(),
        "numpy": [digest(each.tobytes()) if hasattr(each, "tobytes") else each for each in numpy.get_state()]
        if numpy
        else None,
        "python": hash(python.getstate()),
        "queued for cuda": (len(torch.cuda._queued_calls), vars(torch.cuda._lazy_seed_tracker).copy()),
    }


@facet("dispatch", "thread-local dispatch keys, stacks of function and dispatch modes, torch.func's levels")
def _dispatch() -> Any:
    return {
        "included": repr(_C._dispatch_tls_local_include_set()),
        "excluded": repr(_C._dispatch_tls_local_exclude_set()),
        "function modes": list(map(Same, _get_current_function_mode_stack())),
        "dispatch modes": list(map(Same, _get_current_dispatch_mode_stack())),
        "torch function": (_C._is_torch_function_enabled(), _C._is_torch_function_all_disabled()),
        "functorch": (_C._functorch.get_dynamic_layer_stack_depth(), _C._functorch.maybe_current_level()),
    }


@facet("global hooks", "hooks for all modules (forward, backward, registration) and for all optimizers")
def _hooks() -> Any:
    optimizer = vars(sys.modules["torch.optim.optimizer"])
    tables = {**vars(module_hooks), **optimizer}
    return {
        name: {key: Same(hook) for key, hook in table.items()} if isinstance(table, dict) else table
        for name, table in tables.items()
        if name.startswith("_global_")
    }


@facet("compiling", "torch._dynamo: whether loaded, its settings, stance, callback; inductor's settings; jit tracing")
def _compiling() -> Any:
    dynamo, inductor = sys.modules.get("torch._dynamo"), sys.modules.get("torch._inductor.config")
    if dynamo is None:
        return {"dynamo": None, "attribute": torch.__dict__.get("_dynamo")}
    evaluation = sys.modules["torch._dynamo.eval_frame"]
    return {
        "dynamo": Same(dynamo),
        "settings": _settings(dynamo.config),
        "inductor": _settings(inductor) if inductor else None,
        "stance": repr(evaluation._stance),
        "callback": Same(_C._dynamo.eval_frame.get_eval_frame_callback())
        if hasattr(_C._dynamo.eval_frame, "get_eval_frame_callback")
        else None,
        "tracing": torch.jit.is_tracing(),
    }


def _settings(config: Any) -> Any:
    copy = getattr(config, "get_config_copy", None) or config.shallow_copy_dict  # the latter to torch 2.9
    return copy()


@facet("distributed", "process groups, device meshes, states of fully_shard")
def _distributed() -> Any:
    there = torch.distributed.is_available() and torch.distributed.is_initialized()
    world = getattr(torch.distributed.distributed_c10d, "_world", None) if torch.distributed.is_available() else None
    sharded: Any = sys.modules.get("torch.distributed._composable_state")
    return {
        "there": there,
        "groups": len(world.pg_map) if world is not None else 0,
        "states": sorted(map(id, sharded._module_state_mapping)) if sharded else [],
    }


@facet(
    "functions of torch", "what every name of every module of torch stands for, and of its classes of Tensor and Module"
)
def _functions() -> Any:
    modules = [(name, each) for name, each in list(sys.modules.items()) if _is_looked_into(name)]
    classes = ((f"{each.__module__}.{each.__qualname__}", each) for each in _CLASSES)
    return Known((name, Names(getattr(each, "__dict__", {}))) for name, each in (*modules, *classes))


_COMPILERS = ("_inductor", "_dynamo", "_functorch", "_export", "export", "onnx", "ao", "testing", "_numpy", "sparse")


@cache
def _is_looked_into(name: str) -> bool:
    """Modules of torch, but those with which it compiles and exports: their names are many, and none is replaced."""
    parts = name.split(".")
    return parts[0] == "torch" and (len(parts) == 1 or parts[1] not in _COMPILERS)


_CLASSES = [
    each
    for module in (torch, torch.nn, torch.optim, torch.autograd, torch.autograd.function, torch.nn.modules.module)
    for each in vars(module).values()
    if isinstance(each, type) and each.__module__.startswith("torch") and not each.__name__.startswith("_Old")
] + [torch._C.TensorBase, torch.autograd.function._C._FunctionBase, type(F)]
