"""OPL11x: the workspace of cuBLAS, which strict mode asks for up to torch 2.9."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from opscan.lint.finding import Hit, replace
from opscan.lint.module import NOT_CONSTANT, Module
from opscan.lint.questions import STRICT, environment_writes, strict_calls, tests_around, words_of
from opscan.lint.records import Call
from opscan.lint.rule import rule

_VARIABLE = "CUBLAS_WORKSPACE_CONFIG"
_WANTED = (":4096:8", ":16:8")
_FIRST_WITHOUT = (2, 10)
"""Source: CUBLAS_WORKSPACE_CONFIG in rules/cuda.settings.toml."""
_DEVICES = ("cuda", "cuda:0")
_INITIALISING = (
    "torch.cuda.init", "torch.cuda.current_device", "torch.cuda.set_device", "torch.cuda.synchronize",
    "torch.cuda.empty_cache", "torch.cuda.get_device_properties", "torch.cuda.get_device_capability",
    "torch.cuda.mem_get_info", "torch.cuda.current_stream", "torch.cuda.Stream",
)  # fmt: skip


@rule("OPL111", "cublas-config-missing", "warning", ["use_deterministic_algorithms or set_deterministic_debug_mode"])
def cublas_config_missing(module: Module) -> Iterator[Hit]:
    """Strict mode without CUBLAS_WORKSPACE_CONFIG."""
    if (module.torch is not None and module.torch >= _FIRST_WITHOUT) or _VARIABLE in module.text:
        return
    for call in strict_calls(module):
        tests = " ".join(word for test in tests_around(call.frame) for word in words_of(test))
        if _is_put_back(module, call):
            continue
        if any(device in tests.lower() for device in ("xpu", "mps", "npu", "hpu")):
            continue
        message = f"strict mode without {_VARIABLE}: up to torch 2.9 the first matrix product on CUDA raises"
        yield Hit(call.node, message, f'os.environ["{_VARIABLE}"] = ":4096:8" before CUDA is used')
        return


def _is_put_back(module: Module, call: Call) -> bool:
    """Whether strict mode is on for a while only: the same function sets it again to what it was."""
    home = call.frame.home.node
    others = (each for each in module.calls(STRICT) if each is not call and each.frame.home.node is home)
    return any(module.literal(each.argument("mode", 0), each.frame) is NOT_CONSTANT for each in others)


@rule("OPL112", "cublas-config-late", "error", [_VARIABLE])
def cublas_config_late(module: Module) -> Iterator[Hit]:
    """CUBLAS_WORKSPACE_CONFIG set after CUDA was initialised."""
    for each in environment_writes(module):
        if each.name != _VARIABLE:
            continue
        for call in module.ordered_calls:
            if call.at >= (each.node.lineno, each.node.col_offset):
                break
            if call.frame.home.node is each.frame.home.node and _initialises(module, call):
                message = (
                    f"{_VARIABLE} is set after CUDA was initialised in line {call.node.lineno}: it is not read again"
                )
                yield Hit(each.node, message, "set it at the top of the file, before CUDA is used")
                break


def _initialises(module: Module, call: Call) -> bool:
    """Whether a call makes CUDA start: a tensor or a module moved there, or made there."""
    if call.name in _INITIALISING:
        return True
    function = call.node.func
    method = getattr(function, "attr", "")
    if method == "cuda" and not call.name.startswith("torch.") and not call.node.args:
        return True
    places = [call.keyword("device")]
    if method == "to" and not call.name.startswith("torch."):
        places += call.node.args[:1]
    return any(_is_cuda(module, place, call) for place in places) and call.name != "torch.device"


def _is_cuda(module: Module, node: ast.expr | None, call: Call) -> bool:
    if node is None:
        return False
    value = module.value_of(node, call.frame)
    if isinstance(value, ast.Call) and module.resolve(value.func, call.frame) == "torch.device" and value.args:
        value = value.args[0]
    return isinstance(value, ast.Constant) and value.value in _DEVICES


@rule("OPL113", "cublas-config-invalid", "error", [_VARIABLE])
def cublas_config_invalid(module: Module) -> Iterator[Hit]:
    """CUBLAS_WORKSPACE_CONFIG with a value that strict mode does not accept."""
    for each in environment_writes(module):
        if each.name != _VARIABLE or each.value is None:
            continue
        value = module.literal(each.value, each.frame)
        if isinstance(value, str) and value not in _WANTED and not _is_for_rnns(module, value):
            message = f"{_VARIABLE} = {value!r} is not one of :4096:8 and :16:8, which alone count as deterministic"
            yield Hit(each.value, message, f'"{_WANTED[0]}"', (replace(each.value, f'"{_WANTED[0]}"'),))


def _is_for_rnns(module: Module, value: str) -> bool:
    """Of :4096:2, which the docs of torch.nn.LSTM ask for, strict mode complains only up to torch 2.9."""
    return value == ":4096:2" and module.torch is not None and module.torch >= _FIRST_WITHOUT
