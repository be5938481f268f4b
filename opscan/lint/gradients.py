"""Which calls a backward follows, as far as the source says it."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterable, Iterator

from opscan.lint.module import Module
from opscan.lint.questions import is_neural, words_of
from opscan.lint.records import Call
from opscan.lint.scopes import Frame

_OTHER_CODE = re.compile(
    r"process|transform|augment|metric|visuali|export|onnx|generation"
    r"|checkpoint_filter|state_dict|set_input_size|init_weights"
)
_OTHER_FILE = re.compile(
    r"(?<![a-z])(?:(?:pre|post)?process|transforms?(?![a-z])|augment|metrics?(?![a-z])|visuali|export|onnx|generation)"
)
"""In a path: whole words, as `torch_geometric` and `transformers` are packages of models."""
_NO_GRADIENT = ("torch.no_grad", "torch.inference_mode", "torch.autograd.no_grad", "torch.autograd.inference_mode")
_INPUTS = frozenset(("pixel_values", "pixel_values_videos", "input_masks", "mask_inputs"))
"""Names that models give to what is handed in: images, and the masks a user draws."""
_MASKS = re.compile(r"att(?:entio)?n_mask")


def in_model(module: Module, calls: Iterable[Call]) -> Iterator[Call]:
    """The calls that stand in model code: not in what prepares images, loads weights or judges results."""
    for call in calls:
        home = call.frame.class_of_method
        if home is not None and not is_neural(module, home):
            continue
        if any(_OTHER_CODE.search(name) for name in _function_names(call.frame)):
            continue
        if home is None and (_is_in_other_file(module) or _is_called_by_loading(module, call.frame)):
            continue
        yield call


def with_backward(module: Module, calls: Iterable[Call]) -> Iterator[Call]:
    """Those of them whose input may have a gradient."""
    for call in in_model(module, calls):
        if not (_is_of_input(call) or _becomes_mask(call) or _never_has_gradient(module, call)):
            yield call


def _is_of_input(call: Call) -> bool:
    """Whether it is given what the model was handed in, as it is or as another type."""
    given = call.argument("input", 0)
    while isinstance(given, ast.Call) and isinstance(given.func, ast.Attribute):
        given = given.func.value
    return isinstance(given, ast.Name) and given.id in _INPUTS


def _function_names(frame: Frame) -> list[str]:
    return [each.node.name.lower() for each in frame.outward() if isinstance(each.node, ast.FunctionDef)]


def _is_in_other_file(module: Module) -> bool:
    return bool(_OTHER_FILE.search("/".join(module.file.lower().replace(os.sep, "/").split("/")[-4:])))


def _is_called_by_loading(module: Module, frame: Frame) -> bool:
    """Whether a function has callers in the file, and all of them prepare a checkpoint's weights."""
    function = frame.function
    if function is None:
        return False
    callers = [_function_names(call.frame) for call in module.calls(f"@{function.name}")]
    return bool(callers) and all(any(_OTHER_CODE.search(name) for name in names) for names in callers)


def _becomes_mask(call: Call) -> bool:
    """Whether the result is an attention mask, or is only compared with a number: neither has a gradient."""
    statement, function = call.statement, call.frame.function
    if not isinstance(statement, ast.Assign) or statement.value is not call.node:
        return False
    target = statement.targets[0]
    if any(_MASKS.search(word) for word in words_of(target)):
        return True
    return isinstance(target, ast.Name) and function is not None and _is_only_compared(target.id, statement, function)


def _is_only_compared(name: str, statement: ast.Assign, function: ast.AST) -> bool:
    """Whether a variable is, after a statement, read only to be reshaped or compared with a number."""
    allowed: set[ast.AST] = set()
    compared = False
    for node in ast.walk(function):
        if isinstance(node, ast.Compare) and isinstance(node.comparators[0], ast.Constant) and name in words_of(node):
            compared = True
            allowed.update(ast.walk(node))
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == name:
            allowed.update(ast.walk(node))
    return compared and all(
        node in allowed
        for node in ast.walk(function)
        if isinstance(node, ast.Name)
        and node.id == name
        and isinstance(node.ctx, ast.Load)
        and node.lineno >= statement.lineno
    )


def _never_has_gradient(module: Module, call: Call) -> bool:
    """Whether it runs without a gradient, or all callers that its function has in the file do."""
    if _is_without_gradient(module, call):
        return True
    function = call.frame.function
    callers = list(module.calls(f"@{function.name}")) if function and call.frame.class_of_method is None else []
    return bool(callers) and all(_is_without_gradient(module, each) for each in callers)


def _is_without_gradient(module: Module, call: Call) -> bool:
    """Whether torch.no_grad or inference_mode is around it, or decorates its function or its class's forward."""
    for frame in call.frame.outward():
        node = frame.node
        if isinstance(node, ast.With) and any(_turns_off(module, item.context_expr, frame) for item in node.items):
            return True
        functions: list[ast.stmt] = [node] if isinstance(node, ast.FunctionDef) else []
        if isinstance(node, ast.ClassDef):
            functions = [each for each in node.body if isinstance(each, ast.FunctionDef) and each.name == "forward"]
        for function in functions:
            assert isinstance(function, ast.FunctionDef)
            if any(_turns_off(module, each, frame) for each in function.decorator_list):
                return True
    return False


def _turns_off(module: Module, node: ast.expr, frame: Frame) -> bool:
    called = node.func if isinstance(node, ast.Call) else node
    return module.resolve(called, frame) in _NO_GRADIENT
