"""OPL12x: Lightning, TensorFlow and torch.compile."""

from __future__ import annotations

from collections.abc import Iterator

from opscan.lint.edits import with_keyword
from opscan.lint.finding import Hit
from opscan.lint.module import Module
from opscan.lint.questions import STRICT, environment_writes
from opscan.lint.rule import rule
from opscan.lint.seeds import seed_calls, wants_repeats

_TRAINER = "lightning.pytorch.Trainer"
_SEED_EVERYTHING = "lightning.pytorch.seed_everything"
_OP_DETERMINISM = "tensorflow.config.experimental.enable_op_determinism"
_VARIABLE = "TF_DETERMINISTIC_OPS"


@rule("OPL121", "trainer-not-deterministic", "warning", ["lightning", "Trainer"])
def trainer_not_deterministic(module: Module) -> Iterator[Hit]:
    """A Lightning Trainer without deterministic=, in a file that seeds."""
    for call in module.calls(_TRAINER):
        if call.is_open or call.keyword("deterministic") is not None or not wants_repeats(module):
            continue
        if any(module.calls(STRICT)):
            continue
        message = "the file seeds, but its Trainer has no deterministic=True: ops on CUDA differ all the same"
        yield Hit(call.node, message, "deterministic=True", with_keyword(module, call.node, "deterministic=True"))


@rule("OPL122", "seed-everything-without-workers", "warning", ["seed_everything"])
def seed_everything_without_workers(module: Module) -> Iterator[Hit]:
    """Lightning's seed_everything without workers=True."""
    for call in module.calls(_SEED_EVERYTHING):
        if call.is_open or call.argument("workers", 1) is not None:
            continue
        message = "seed_everything without workers=True leaves the generators of DataLoader workers to chance"
        yield Hit(call.node, message, "workers=True", with_keyword(module, call.node, "workers=True"))


@rule("OPL123", "op-determinism-without-seed", "error", ["enable_op_determinism"])
def op_determinism_without_seed(module: Module) -> Iterator[Hit]:
    """TensorFlow's op determinism without a seed."""
    seeded = any(each.generators & {"tf"} for each in seed_calls(module))
    for call in module.calls(_OP_DETERMINISM):
        if not seeded:
            message = "enable_op_determinism without a seed: TensorFlow's random ops raise RuntimeError"
            yield Hit(call.node, message, "tf.keras.utils.set_random_seed(1) before it")


@rule("OPL124", "tf-deterministic-ops-variable", "warning", [_VARIABLE])
def tf_deterministic_ops_variable(module: Module) -> Iterator[Hit]:
    """TF_DETERMINISTIC_OPS where enable_op_determinism took its place, or with a value that is no yes."""
    has_call = any(module.calls(_OP_DETERMINISM))
    for each in environment_writes(module):
        if each.name == _VARIABLE and not has_call:
            message = f"{_VARIABLE} alone: since TensorFlow 2.8 enable_op_determinism() does it, and covers more ops"
            yield Hit(each.node, message, "tf.config.experimental.enable_op_determinism()")


@rule("OPL125", "tf-seeds-without-op-determinism", "warning", ["set_random_seed or set_seed", "tensorflow", "fit"])
def tf_seeds_without_op_determinism(module: Module) -> Iterator[Hit]:
    """A TensorFlow training that is seeded but may use nondeterministic ops."""
    if _VARIABLE in module.text or any(module.calls(_OP_DETERMINISM)) or not _is_tensorflow(module):
        return
    if not any(module.methods("fit")):
        return
    for name in ("keras.utils.set_random_seed", "tensorflow.random.set_seed"):
        for call in module.calls(name):
            message = "seeds alone: on a GPU TensorFlow's ops add in any order unless op determinism is enabled"
            yield Hit(call.node, message, "tf.config.experimental.enable_op_determinism()")
            return


def _is_tensorflow(module: Module) -> bool:
    return any(
        binding.dotted.startswith("tensorflow")
        for bindings in module.scope.names.values()
        for binding in bindings
        if binding.kind == "import"
    )


@rule("OPL126", "compile-max-autotune", "warning", ["max-autotune", "compile"])
def compile_max_autotune(module: Module) -> Iterator[Hit]:
    """torch.compile(mode="max-autotune") in a file that wants its runs to repeat."""
    for call in module.calls("torch.compile"):
        mode = module.literal(call.keyword("mode"), call.frame)
        if isinstance(mode, str) and mode.startswith("max-autotune") and wants_repeats(module):
            message = f'torch.compile(mode="{mode}") picks kernels by timing, so that runs differ'
            yield Hit(call.node, message, "leave mode out")
