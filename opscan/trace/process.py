"""What a process has one of: values that torch and Python let anybody read and set, put back after user code ran.

What user code does outside the process (files, other processes), what it starts (threads) and what it imports, with
all that an import sets up (sys.path, loggers, functions to be called at exit), stays: that is no value to be put back.
"""

from __future__ import annotations

import gc
import locale
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache, partial
from typing import Any, NamedTuple

import torch
import torch.backends.mha

_C: Any = torch._C

FLAGS = (
    *("autograd_fallback_mode", "backcompat_broadcast_warn", "backcompat_keepdim_warn", "blas_preferred_backend"),
    *("check_sparse_tensor_invariants", "cpu_allow_fp16_reduced_precision_reduction"),
    *("cublas_allow_bf16_reduced_precision_reduction", "cublas_allow_fp16_accumulation"),
    *("cublas_allow_fp16_reduced_precision_reduction", "cublas_allow_tf32", "cublaslt_prefer_grouped_gemm"),
    *("cudnn_allow_tf32", "cudnn_benchmark", "cudnn_depthwise_kernel", "cudnn_deterministic", "cudnn_enabled"),
    *("default_dtype", "deterministic_fill_uninitialized_memory", "dtensor_allow_implicit_replication"),
    *("float32_matmul_precision", "fwd_grad_enabled", "grad_enabled", "grad_layout_enforcement_enabled"),
    *("graph_exec_group", "graph_executor_optimize", "linalg_preferred_backend"),
    *("math_sdp_allow_fp16_bf16_reduction", "meta_in_tls_dispatch_include", "miopen_immediate"),
    *("mkldnn_deterministic", "mkldnn_enabled", "multithreading_enabled", "native_aot_enabled"),
    *("native_aot_unconditional_masked", "nnpack_enabled", "onednn_allow_tf32", "only_lift_cpu_tensors"),
    *("override_stale_capture_stream", "qengine", "rocm_fa_preferred_backend", "sdp_priority_order"),
    *("sm_carveout_experimental", "view_replay_enabled", "warnAlways", "warn_on_accumulate_grad_stream_mismatch"),
)
"""NAME of every flag with a setter torch._C._set_NAME and a getter, in any torch from 2.6 to 2.15, but four: strict
mode, set with warn_only; TorchScript's tracing and a thread's name, which are no flags; whether __torch_function__ is
off, which its own guards put back."""

_FUSED = ("flash", "mem_efficient", "math", "cudnn", "overrideable")
_PRECISIONS = (
    ("generic", "all"),
    *((backend, op) for backend in ("cuda", "mkldnn") for op in ("all", "conv", "rnn", "matmul")),
)
"""Where a precision of float32 is set, the wider place first. Source: torch/backends/__init__.py, torch 2.9 to 2.15."""

_UNREADABLE = object()


class Setting(NamedTuple):
    """One value of the process, how it is read, and how it is set."""

    read: Callable[[], Any]
    put: Callable[[Any], Any]

    def now(self) -> Any:
        """Its value; torch 2.9 and newer refuse to read an old setting of TF32 where a new one says something else."""
        try:
            return self.read()
        except RuntimeError:
            return _UNREADABLE


_open: list[None] = []
"""One for each block that is under way."""


@contextmanager
def settings_unchanged() -> Iterator[None]:
    """Afterwards every setting of the process has the value it had.

    Of blocks within one another each keeps what a trace depends on, and the outermost all the rest.
    """
    settings = [*_of_torch(), *(() if _open else (*_of_python(), *_of_compilers()))]
    was = [(setting, setting.now()) for setting in settings]
    _open.append(None)
    try:
        yield
    finally:
        _open.pop()
        for setting, value in was:
            if value is not _UNREADABLE and setting.now() != value:
                setting.put(value)


@cache
def _of_torch() -> tuple[Setting, ...]:
    """In an order in which what one setting changes of others is put back behind it."""
    return (*_flags(), *_others())


def _flags() -> Iterator[Setting]:
    for name in FLAGS:
        setter, getter = getattr(_C, f"_set_{name}", None), getter_of(name)
        if setter is not None and getter is not None:
            yield Setting(getter, partial(_set_flag, setter))
    for name in _FUSED:
        if hasattr(_C, f"_set_sdp_use_{name}"):
            yield Setting(getattr(_C, f"_get_{name}_sdp_enabled"), getattr(_C, f"_set_sdp_use_{name}"))
    if hasattr(_C, "_set_fp32_precision_setter"):
        for place in _PRECISIONS:
            yield Setting(
                partial(_C._get_fp32_precision_getter, *place), partial(_C._set_fp32_precision_setter, *place)
            )


def getter_of(flag: str) -> Callable[[], Any] | None:
    """What reads a flag of torch._C; None where this torch does not have it."""
    names = (f"_get_{flag}", f"_is_{flag}", f"_{flag}", f"is_{flag}", f"get_{flag}")
    found: Callable[[], Any] | None = next((getattr(_C, name) for name in names if hasattr(_C, name)), None)
    return found


def _set_flag(setter: Callable[..., Any], value: Any) -> None:
    if isinstance(value, tuple):
        setter(*value)
    elif value is not None:
        setter(value)


def _others() -> Iterator[Setting]:
    yield _attribute(torch.backends.mha, "_is_fastpath_enabled")
    yield _attributes(torch._tensor_str.PRINT_OPTS)
    yield _attributes(torch.cuda._lazy_seed_tracker)  # seeds for a CUDA that is not initialised yet
    yield Setting(lambda: list(torch.cuda._queued_calls), lambda calls: _refill(torch.cuda._queued_calls, calls))
    yield Setting(torch.get_num_threads, torch.set_num_threads)
    yield Setting(lambda: sys.float_info.min / 2 == 0, torch.set_flush_denormal)
    yield Setting(
        lambda: (torch.is_anomaly_enabled(), torch.is_anomaly_check_nan_enabled()),
        lambda anomaly: torch.set_anomaly_enabled(*anomaly),
    )
    if hasattr(_C._autograd, "_top_saved_tensors_default_hooks"):  # not in torch 2.6
        yield Setting(partial(_C._autograd._top_saved_tensors_default_hooks, True), _close_saved_tensors_hooks)
    if hasattr(_C, "_cuda_get_cudnn_benchmark_limit"):
        yield Setting(_C._cuda_get_cudnn_benchmark_limit, _C._cuda_set_cudnn_benchmark_limit)


def _close_saved_tensors_hooks(was: Any) -> None:
    """Take off the hooks for saved tensors that were left on; those that were there before stay."""
    top = _C._autograd._top_saved_tensors_default_hooks
    while top(True) is not None and top(True) != was:
        _C._autograd._pop_saved_tensors_default_hooks()


@cache
def _of_python() -> tuple[Setting, ...]:
    return tuple(_pythons())


def _pythons() -> Iterator[Setting]:
    for name in ("stdin", "stdout", "stderr", "excepthook", "displayhook", "unraisablehook"):
        yield _attribute(sys, name)
    yield Setting(lambda: dict(os.environ), _set_environment)
    yield Setting(_directory, _change_directory)
    yield Setting(sys.getrecursionlimit, sys.setrecursionlimit)
    yield Setting(partial(locale.setlocale, locale.LC_ALL), partial(locale.setlocale, locale.LC_ALL))
    yield Setting(gc.get_threshold, lambda each: gc.set_threshold(*each))
    yield Setting(_numpy_errors, lambda errors: errors and sys.modules["numpy"].seterr(**errors))
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP} if os.name == "posix" else ():
        yield Setting(partial(signal.getsignal, number), partial(_set_handler, number))


def _directory() -> str | None:
    with suppress(OSError):  # it was deleted
        return os.getcwd()
    return None


def _change_directory(path: str | None) -> None:
    if path is not None:
        os.chdir(path)


def _numpy_errors() -> dict[str, str] | None:
    numpy = sys.modules.get("numpy")
    return None if numpy is None else numpy.geterr()


def _set_environment(was: dict[str, str]) -> None:
    for name in os.environ.keys() - was.keys():
        del os.environ[name]
    os.environ.update({name: value for name, value in was.items() if os.environ.get(name) != value})


def _set_handler(number: int, handler: Any) -> None:
    if handler is not None:  # else it was not set from Python
        with suppress(ValueError):  # only the main thread may
            signal.signal(number, handler)


def _of_compilers() -> Iterator[Setting]:
    """Those of torch.compile, where it is loaded."""
    for name in ("torch._dynamo.config", "torch._inductor.config"):
        config: Any = sys.modules.get(name)
        read = getattr(config, "get_config_copy", None) or getattr(config, "shallow_copy_dict", None)  # to torch 2.9
        if read is not None:
            yield Setting(read, partial(_configure, config, read))


def _configure(config: Any, read: Callable[[], dict[str, Any]], was: dict[str, Any]) -> None:
    for name, value in read().items():
        if name in was and value != was[name]:
            setattr(config, name, was[name])


def _attribute(owner: Any, name: str) -> Setting:
    return Setting(partial(getattr, owner, name), partial(setattr, owner, name))


def _attributes(owner: Any) -> Setting:
    return Setting(lambda: dict(vars(owner)), lambda was: vars(owner).update(was))


def _refill(items: list[Any], was: list[Any]) -> None:
    items[:] = was
