"""OPL10x: settings that are not what they look like."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from opscan.lint.finding import Edit, Hit, replace
from opscan.lint.module import NOT_CONSTANT, Module
from opscan.lint.questions import STRICT, environment_writes, is_chosen, source_of, tests_around, words_of
from opscan.lint.records import Call
from opscan.lint.rule import rule
from opscan.lint.scopes import Frame, exclude

_FUNCTIONS = (
    STRICT, "torch.manual_seed", "torch.cuda.manual_seed", "torch.cuda.manual_seed_all", "numpy.random.seed",
    "random.seed", "torch.set_deterministic_debug_mode", "torch.set_deterministic", "tensorflow.random.set_seed",
    "keras.utils.set_random_seed", "tensorflow.config.experimental.enable_op_determinism",
)  # fmt: skip
_FLAGS = (
    "torch.backends.cudnn.deterministic", "torch.backends.cudnn.benchmark", "torch.backends.cudnn.enabled",
    "torch.backends.cudnn.allow_tf32", "torch.backends.cuda.matmul.allow_tf32",
    "torch.utils.deterministic.fill_uninitialized_memory",
)  # fmt: skip


@rule(
    "OPL101",
    "function-overwritten",
    "error",
    [r"~seed(?<=[._]seed)(?:_all)?\s*(?:[=,:)\]]|\\) or determinis or debug_mode"],
)
def function_overwritten(module: Module) -> Iterator[Hit]:
    """`torch.use_deterministic_algorithms = True`."""
    for name in _FUNCTIONS:
        for each in module.settings.get(name, ()):
            if module.literal(each.value, each.frame) is NOT_CONSTANT:
                continue
            written, value = source_of(module, each.target), source_of(module, each.value)
            call = f"{written}()" if name.endswith("enable_op_determinism") else f"{written}({value})"
            targets = each.statement.targets if isinstance(each.statement, ast.Assign) else []
            alone = len(targets) == 1 and isinstance(targets[0], ast.Attribute)
            edits = (replace(each.statement, call),) if alone else ()
            message = f"`{written}` is a function: assigning {value} to it destroys it and sets nothing"
            yield Hit(each.statement, message, f"call it: {call}", edits)


@rule("OPL102", "flag-called", "error", ["cudnn or matmul or fill_uninitialized_memory", "torch"])
def flag_called(module: Module) -> Iterator[Hit]:
    """`torch.backends.cudnn.deterministic()`."""
    for call in module.calls(*_FLAGS):
        written = source_of(module, call.node.func)
        value = source_of(module, call.node.args[0]) if len(call.node.args) == 1 else "True"
        fix = f"{written} = {value}"
        is_alone = isinstance(call.statement, ast.Expr) and call.statement.value is call.node
        edits = (replace(call.node, fix),) if is_alone and len(call.node.args) == 1 else ()
        message = f"`{written}` is a flag, not a function: calling it raises TypeError"
        yield Hit(call.node, message, f"assign it: {fix}", edits)


@rule("OPL103", "strict-without-argument", "error", ["use_deterministic_algorithms"])
def strict_without_argument(module: Module) -> Iterator[Hit]:
    """`torch.use_deterministic_algorithms()`."""
    for call in module.calls(STRICT):
        if call.is_open or call.argument("mode", 0) is not None:
            continue
        written = source_of(module, call.node.func)
        edits: tuple[Edit, ...] = ()
        if not call.node.keywords:
            edits = (replace(call.node, f"{written}(True)"),)
        yield Hit(call.node, f"`{written}` without its argument raises TypeError", f"{written}(True)", edits)


@rule("OPL104", "warn-only", "warning", ["deterministic", "warn or 1"])
def warn_only(module: Module) -> Iterator[Hit]:
    """`torch.use_deterministic_algorithms(True, warn_only=True)`."""
    message = "is not strict mode: ops without a deterministic kernel only warn, and attention stays nondeterministic"
    for call in module.calls(STRICT):
        warns = module.literal(call.keyword("warn_only"), call.frame) is True
        is_on = module.literal(call.argument("mode", 0), call.frame) is not False
        if warns and is_on and not _asked_to_warn(call.frame):
            yield Hit(call.node, f"warn_only=True {message}", "leave warn_only=True out")
    for call in module.calls("torch.set_deterministic_debug_mode"):
        if module.literal(call.argument("debug_mode", 0), call.frame) in (1, "warn") and not _asked_to_warn(call.frame):
            yield Hit(call.node, f"the debug mode `warn` {message}", 'torch.set_deterministic_debug_mode("error")')
    for call in module.calls("lightning.pytorch.Trainer"):
        given = call.keyword("deterministic")
        if given is not None and module.literal(given, call.frame) == "warn":
            yield Hit(given, f'deterministic="warn" {message}', "deterministic=True")


def _asked_to_warn(frame: Frame) -> bool:
    return any("warn" in word for test in tests_around(frame) for word in words_of(test))


@rule("OPL105", "set-deterministic-removed", "error", ["set_deterministic or is_deterministic"])
def set_deterministic_removed(module: Module) -> Iterator[Hit]:
    """`torch.set_deterministic(True)`."""
    newer = {"torch.set_deterministic": STRICT, "torch.is_deterministic": "torch.are_deterministic_algorithms_enabled"}
    for old, new in newer.items():
        for call in module.calls(old):
            if _is_guarded_by_version(call):
                continue
            written = source_of(module, call.node.func)
            if written.endswith(old.rpartition(".")[2]) and isinstance(call.node.func, ast.Attribute):
                better = written.removesuffix(old.rpartition(".")[2]) + new.rpartition(".")[2]
                yield Hit(call.node, f"`{written}` was removed from torch", better, (replace(call.node.func, better),))
            else:
                yield Hit(call.node, f"`{old}` was removed from torch", new)


def _is_guarded_by_version(call: Call) -> bool:
    """Whether the old name is only used where it still is: behind hasattr, a version, or a caught AttributeError."""
    frames = list(call.frame.inside())
    if any(frame.kind == "try" for frame in frames):
        return True
    words = {word for test in tests_around(call.frame) for word in words_of(test)}
    return any("version" in word.lower() or word in ("hasattr", "set_deterministic") for word in words)


@rule("OPL106", "cudnn-benchmark", "warning", ["benchmark", "cudnn or Trainer or lightning"])
def cudnn_benchmark(module: Module) -> Iterator[Hit]:
    """`torch.backends.cudnn.benchmark = True`."""
    settings = module.settings
    strict = settings.get("torch.backends.cudnn.deterministic", [])
    for each in settings.get("torch.backends.cudnn.benchmark", ()):
        if module.literal(each.value, each.frame) is not True or is_chosen(each.frame):
            continue
        off = [other for other in settings["torch.backends.cudnn.benchmark"] if exclude(each.frame, other.frame)]
        if off or any(exclude(each.frame, other.frame) for other in strict):
            continue
        also = any(module.literal(other.value, other.frame) is True for other in strict)
        beside = ", also with deterministic = True beside it" if also else ""
        message = f"cudnn.benchmark = True picks the algorithm by timing, so that runs differ{beside}"
        yield Hit(each.statement, message, "torch.backends.cudnn.benchmark = False", (replace(each.value, "False"),))
    for call in module.calls("lightning.pytorch.Trainer"):
        given = call.keyword("benchmark")
        if given is not None and module.literal(given, call.frame) is True:
            message = "benchmark=True picks cuDNN's algorithm by timing, so that runs differ"
            yield Hit(given, message, "benchmark=False", (replace(given, "False"),))


@rule("OPL107", "hash-seed-too-late", "warning", ["PYTHONHASHSEED"])
def hash_seed_too_late(module: Module) -> Iterator[Hit]:
    """`os.environ["PYTHONHASHSEED"] = "0"` in the running interpreter."""
    starts_others = any(
        name.startswith(("os.exec", "os.spawn", "subprocess.", "os.system", "os.posix_spawn", "multiprocessing."))
        or name.endswith((".spawn", ".start_processes"))
        for name in module.called_names
    )
    if starts_others:
        return
    for each in environment_writes(module):
        if each.name == "PYTHONHASHSEED":
            message = "PYTHONHASHSEED is read when Python starts: set here it changes nothing in this process"
            yield Hit(each.node, message, "start it as: PYTHONHASHSEED=0 python ...")
